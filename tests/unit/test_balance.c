/* SPDX-License-Identifier: Apache-2.0
 *
 * The call tree of references: what it counts, what it leaves out, its order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "balance.h"
#include "trace_builder.h"

#define OBJECT 0x5000u

struct balanced {
	struct builder *builder;
	struct trace *trace;
	struct replay *replay;
	struct balance balance;
	enum error_code code;
	struct error error;
};

static bool stop_at_once(void *arg, uint64_t events)
{
	return false;
}

/* The tree of all objects that are alive at `until`. */
static struct balanced run(struct builder *b, uint64_t until, bool all, bool cancel)
{
	struct balanced r = {.builder = b};
	struct balance_options options = {
		.until = until, .all = all, .progress = cancel ? stop_at_once : NULL};
	const struct replay_object *const *alive;
	struct balance_object objects[4];
	size_t count;

	builder_end(b, CASTAWAY_END_EXIT, 1000);
	r.trace = builder_open(b);
	assert_int_equal(replay_new(r.trace, &r.replay, &r.error), ERROR_NONE);
	assert_int_equal(replay_run(r.replay, until, &r.error), ERROR_NONE);
	alive = replay_objects(r.replay, &count, &r.error);
	assert_true(count <= 4);
	for (size_t i = 0; i < count; i++)
		objects[i] = balance_annotated(alive[i]);
	r.code = balance_run(r.trace, objects, count, &options, &r.balance, &r.error);
	return r;
}

static void done(struct balanced *r)
{
	balance_done(&r->balance);
	replay_free(r->replay);
	trace_free(r->trace);
	builder_free(r->builder);
}

static void ref(struct builder *b, uint64_t ticks, uint32_t stack)
{
	builder_event(b, 1, ticks, REF, OBJECT, stack);
}

static void unref(struct builder *b, uint64_t ticks, uint32_t stack)
{
	builder_event(b, 1, ticks, UNREF, OBJECT, stack);
}

static void born(struct builder *b, uint64_t ticks, uint32_t stack)
{
	builder_event(b, 1, ticks, OBJECT, OBJECT, 64, builder_string(b, "Node"), stack);
}

static const char *function(const struct balanced *r, size_t node)
{
	return trace_text(r->trace, r->trace->frames[r->balance.nodes[node].stack].function);
}

static void check_node(const struct balanced *r, size_t node, const char *name, uint32_t parent,
		       uint64_t refs, uint64_t unrefs)
{
	assert_in_range(node, 0, r->balance.count - 1);
	assert_string_equal(function(r, node), name);
	assert_int_equal(r->balance.nodes[node].parent, parent);
	assert_int_equal(r->balance.nodes[node].refs, refs);
	assert_int_equal(r->balance.nodes[node].unrefs, unrefs);
}

/* main calls make (the birth), borrow (in balance: two calls of its own) and
 * keep, which keeps two. */
static struct builder *program(void)
{
	struct builder *b = builder_new();
	uint32_t take = builder_stack(b, "main", "borrow", "take", NULL);
	uint32_t give = builder_stack(b, "main", "borrow", "give", NULL);

	born(b, 10, builder_stack(b, "main", "make", NULL));
	ref(b, 20, take);
	ref(b, 30, builder_stack(b, "main", "keep", NULL));
	ref(b, 40, builder_stack(b, "main", "keep", NULL));
	unref(b, 50, give);
	return b;
}

static void test_outstanding(void **state)
{
	struct balanced r = run(program(), UINT64_MAX, false, false);

	assert_int_equal(r.code, ERROR_NONE);
	assert_int_equal(r.balance.refs, 4);
	assert_int_equal(r.balance.unrefs, 1);
	assert_int_equal(r.balance.counts, 3);
	assert_int_equal(r.balance.before, 0);
	assert_int_equal(r.balance.count, 3);
	check_node(&r, 0, "main", BALANCE_NONE, 4, 1);
	check_node(&r, 1, "keep", 0, 2, 0);
	check_node(&r, 2, "make", 0, 1, 0);
	assert_int_equal(r.balance.nodes[0].own_refs, 0);
	assert_int_equal(r.balance.nodes[1].own_refs, 2);
	done(&r);
}

static void test_all(void **state)
{
	struct balanced r = run(program(), UINT64_MAX, true, false);

	assert_int_equal(r.balance.count, 6);
	check_node(&r, 3, "borrow", 0, 1, 1);
	assert_int_equal(r.balance.nodes[4].parent, 3);
	assert_int_equal(r.balance.nodes[5].parent, 3);
	assert_int_equal(r.balance.nodes[4].own_refs + r.balance.nodes[5].own_refs, 1);
	assert_int_equal(r.balance.nodes[4].own_unrefs + r.balance.nodes[5].own_unrefs, 1);
	done(&r);
}

/* Until 25 the borrowed one was not given back, and nothing was kept. */
static void test_moment(void **state)
{
	struct balanced r = run(program(), 25, false, false);

	assert_int_equal(r.balance.refs, 2);
	assert_int_equal(r.balance.unrefs, 0);
	assert_int_equal(r.balance.counts, 2);
	assert_int_equal(r.balance.count, 4); /* main, make, borrow, take */
	done(&r);
}

/* What another object at the same address went through is not counted. */
static void test_former_object(void **state)
{
	struct builder *b = builder_new();
	uint32_t stack = builder_stack(b, "main", NULL);
	struct balanced r;

	born(b, 10, stack);
	ref(b, 20, stack);
	ref(b, 30, stack);
	builder_event(b, 1, 40, OBJECT_END, OBJECT, stack);
	ref(b, 45, stack); /* misuse: nothing is there */
	born(b, 50, stack);
	r = run(b, UINT64_MAX, false, false);
	assert_int_equal(r.balance.refs, 1);
	assert_int_equal(r.balance.counts, 1);
	check_node(&r, 0, "main", BALANCE_NONE, 1, 0);
	done(&r);
}

/* Events without a stack have a node of their own; in a trace without any
 * stack it is the only one. */
static void test_no_stack(void **state)
{
	struct builder *b = builder_new();
	struct balanced r;

	born(b, 10, 0);
	ref(b, 20, 0);
	r = run(b, UINT64_MAX, false, false);
	assert_int_equal(r.code, ERROR_NONE);
	assert_int_equal(r.balance.count, 1);
	assert_int_equal(r.balance.nodes[0].stack, 0);
	assert_int_equal(r.balance.nodes[0].parent, BALANCE_NONE);
	assert_int_equal(r.balance.nodes[0].refs, 2);
	done(&r);
}

static void test_nothing(void **state)
{
	struct balanced r = run(builder_new(), UINT64_MAX, true, false);

	assert_int_equal(r.code, ERROR_NONE);
	assert_int_equal(r.balance.count, 0);
	assert_int_equal(r.balance.refs + r.balance.unrefs, 0);
	done(&r);
}

/* A stack of the greatest depth, and a sibling at every level. */
static void test_deep(void **state)
{
	struct builder *b = builder_new();
	uint32_t stack = 0, levels = 4000;
	struct balanced r;

	born(b, 1, builder_stack(b, "main", NULL));
	for (uint32_t i = 0; i < levels; i++) {
		stack = builder_frame_raw(b, stack, 0x1000 + i);
		ref(b, 10 + i, builder_frame_raw(b, stack, 0x90000));
	}
	r = run(b, UINT64_MAX, false, false);
	assert_int_equal(r.code, ERROR_NONE);
	assert_int_equal(r.balance.count, 1 + 2 * levels);
	assert_int_equal(r.balance.refs, 1 + levels);
	for (size_t i = 0; i < r.balance.count; i++) {
		uint32_t parent = r.balance.nodes[i].parent;

		assert_true(parent == BALANCE_NONE || parent < i);
	}
	done(&r);
}

static void test_cancelled(void **state)
{
	struct balanced r = run(program(), UINT64_MAX, false, true);

	assert_int_equal(r.code, ERROR_CANCELLED);
	assert_null(r.balance.nodes);
	done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outstanding), cmocka_unit_test(test_all),
		cmocka_unit_test(test_moment),      cmocka_unit_test(test_former_object),
		cmocka_unit_test(test_no_stack),    cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_deep),        cmocka_unit_test(test_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
