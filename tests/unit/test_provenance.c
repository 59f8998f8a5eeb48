/* SPDX-License-Identifier: Apache-2.0
 *
 * Where references of a runtime that counts by itself were taken, on whole
 * traces: two objects that point to each other, and the calls that made it so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "judged.h"
#include "provenance.h"

#define A 0x5000u
#define B 0x6000u

struct pair {
	struct builder *builder;
	uint32_t type, made, set, build, drop;
};

/* Both are born in `build`, which calls the constructor. */
static struct pair begin(void)
{
	struct pair p = {.builder = builder_new()};

	p.type = builder_string(p.builder, "Node");
	p.made = builder_stack(p.builder, "main", "build", "node_new", "g_malloc", NULL);
	p.set = builder_stack(p.builder, "main", "build", "node_set_other", NULL);
	p.build = builder_stack(p.builder, "main", "build", NULL);
	p.drop = builder_stack(p.builder, "main", "drop", NULL);
	builder_event(p.builder, 1, 10, ALLOC, A, 64, p.made);
	builder_event(p.builder, 1, 11, ALLOC, B, 64, p.made);
	return p;
}

static void put(struct pair *p, uint32_t snapshot, uint64_t address, int64_t refcount)
{
	const struct snapshot_block_record block = {.address = address, .size = 64, .stack = p->made};

	builder_block(p->builder, snapshot, &block);
	builder_object(p->builder, snapshot,
		       &(struct snapshot_object_record){.address = address + 16,
							.size = 48,
							.block_offset = 16,
							.refcount = refcount,
							.type = p->type,
							.runtime = CASTAWAY_RUNTIME_GOBJECT},
		       NULL);
}

/* A and B point to each other (or only A to B), and nothing points to them. */
static struct judged end(struct pair *p, int64_t a, int64_t b, bool cycle)
{
	struct analysis_options options = judged_options();
	uint32_t snapshot = builder_snapshot(p->builder, CASTAWAY_REASON_EXIT, 900, "exit");

	put(p, snapshot, A, a);
	put(p, snapshot, B, b);
	builder_pointers(p->builder, snapshot, 0,
			 &(struct snapshot_pointer_record){.offset = 40, .interior = 16, .to = 1}, 1);
	if (cycle)
		builder_pointers(p->builder, snapshot, 1,
				 &(struct snapshot_pointer_record){.offset = 40, .interior = 16, .to = 0}, 1);
	builder_snapshot_end(p->builder, snapshot, 901);
	options.leaks = true;
	return judged_end(p->builder, 1000, &options);
}

static uint32_t acquired(const struct judged *j, uint64_t from)
{
	const struct graph *graph = j->analysis->graph;
	uint32_t node = graph_find(graph, from);

	assert_int_equal(graph->first[node + 1] - graph->first[node], 1);
	return provenance_acquired(j->analysis, graph->first[node]);
}

static void ref(struct pair *p, uint64_t ticks, uint64_t address, uint32_t stack)
{
	builder_event(p->builder, 1, ticks, RUNTIME_REF, address + 16, stack);
}

static void unref(struct pair *p, uint64_t ticks, uint64_t address, uint32_t stack)
{
	builder_event(p->builder, 1, ticks, RUNTIME_UNREF, address + 16, stack);
}

/* The creator gives up what it has made, not what the setter took. */
static void test_creator_gives_up_the_birth(void **state)
{
	struct pair p = begin();
	const struct evidence *evidence;
	struct judged j;

	ref(&p, 20, A, p.set);
	ref(&p, 21, B, p.set);
	unref(&p, 22, B, p.build);
	unref(&p, 30, A, p.drop);
	j = end(&p, 1, 1, true);
	assert_int_equal(j.analysis->finding_count, 1);
	evidence = &j.analysis->findings[0].evidence;
	assert_int_equal(evidence->counted_by_runtime, 2);
	assert_int_equal(evidence->recorded, 2);
	assert_int_equal(evidence->unseen, 0);
	assert_int_equal(acquired(&j, A + 16), p.set);
	assert_true(j.analysis->findings[0].stranded_at.present);
	assert_int_equal(j.analysis->findings[0].stranded_at.ticks, 30);
	assert_int_equal(j.analysis->findings[0].stranded_at.stack, p.drop);
	judged_free(&j);
}

/* A function that takes and gives back in one is balanced in itself. */
static void test_same_function(void **state)
{
	struct pair p = begin();
	struct judged j;

	ref(&p, 20, B, p.set);
	ref(&p, 25, B, p.build);
	unref(&p, 26, B, p.build);
	unref(&p, 27, B, p.build);
	j = end(&p, 1, 1, true);
	assert_int_equal(acquired(&j, A + 16), p.set);
	judged_free(&j);
}

/* Of what lived there before, nothing counts. */
static void test_earlier_life(void **state)
{
	struct pair p = begin();
	struct judged j;

	ref(&p, 12, B, p.drop);
	builder_event(p.builder, 1, 13, FREE, B, 0);
	builder_event(p.builder, 1, 14, ALLOC, B, 64, p.made);
	j = end(&p, 1, 1, true);
	assert_int_equal(j.analysis->findings[0].evidence.unseen, 0);
	assert_int_equal(acquired(&j, A + 16), p.made);
	judged_free(&j);
}

/* Calls that were not seen are counted, and the last unref may be one of them. */
static void test_unseen(void **state)
{
	struct pair p = begin();
	struct judged j;

	unref(&p, 20, A, p.drop);
	j = end(&p, 1, 1, true);
	assert_int_equal(j.analysis->findings[0].evidence.recorded, 1);
	assert_int_equal(j.analysis->findings[0].evidence.unseen, 1);
	assert_false(j.analysis->findings[0].stranded_at.present);
	judged_free(&j);
}

/* No cycle: A was taken once more than given back, and by whom. */
static void test_over_referenced(void **state)
{
	struct pair p = begin();
	struct judged j;

	ref(&p, 20, A, p.set);
	unref(&p, 30, A, p.build);
	j = end(&p, 1, 1, false);
	assert_int_equal(j.analysis->finding_count, 0);
	assert_int_equal(j.analysis->leak_count, 1);
	assert_int_equal(j.analysis->leaks[0].verdict, VERDICT_OVER_REFERENCED);
	assert_int_equal(j.analysis->leaks[0].taken, p.set);
	judged_free(&j);
}

/* Two pointers to one object: each gets the reference of its own type's method. */
static void test_methods(void **state)
{
	struct pair p = begin();
	uint32_t store = builder_stack(p.builder, "main", "fill", "g_list_store_append", NULL);
	uint32_t list = builder_string(p.builder, "GListStore"), snapshot;
	struct analysis_options options = judged_options();
	struct judged j;

	builder_event(p.builder, 1, 15, ALLOC, 0x7000, 64, p.made);
	ref(&p, 20, B, store);
	ref(&p, 21, B, p.set);
	unref(&p, 22, B, p.build);
	p.type = builder_string(p.builder, "Node");
	snapshot = builder_snapshot(p.builder, CASTAWAY_REASON_EXIT, 900, "exit");
	put(&p, snapshot, A, 1);
	put(&p, snapshot, B, 2);
	p.type = list;
	put(&p, snapshot, 0x7000, 1);
	builder_pointers(p.builder, snapshot, 0,
			 &(struct snapshot_pointer_record){.offset = 40, .interior = 16, .to = 1}, 1);
	builder_pointers(p.builder, snapshot, 1,
			 (const struct snapshot_pointer_record[]){{.offset = 40, .interior = 16, .to = 0},
								  {.offset = 48, .interior = 16, .to = 2}},
			 2);
	builder_pointers(p.builder, snapshot, 2,
			 &(struct snapshot_pointer_record){.offset = 40, .interior = 16, .to = 1}, 1);
	builder_snapshot_end(p.builder, snapshot, 901);
	j = judged_end(p.builder, 1000, &options);
	assert_int_equal(j.analysis->finding_count, 1);
	assert_int_equal(acquired(&j, A + 16), p.set);
	assert_int_equal(acquired(&j, 0x7010), store);
	judged_free(&j);
}

/* An unref of what is no more is a misuse, and no other runtime's count. */
static void test_one_unref_too_many(void **state)
{
	struct pair p = begin();
	const struct replay_misuse *misuses;
	struct judged j;
	size_t count;

	builder_event(p.builder, 1, 15, ALLOC, 0x7000, 64, p.made);
	unref(&p, 20, 0x7000, p.build);
	builder_event(p.builder, 1, 21, FREE, 0x7000, 0);
	unref(&p, 22, 0x7000, p.drop);
	/* Memory that was never a block is not judged. */
	unref(&p, 23, 0x9000, p.drop);
	unref(&p, 24, 0x9000, p.drop);
	j = end(&p, 1, 1, true);
	misuses = replay_misuses(j.analysis->replay, &count);
	assert_int_equal(count, 1);
	assert_int_equal(misuses[0].kind, REPLAY_UNREF_UNKNOWN);
	assert_int_equal(misuses[0].address, 0x7010);
	assert_int_equal(misuses[0].stack, p.drop);
	judged_free(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_creator_gives_up_the_birth),
		cmocka_unit_test(test_same_function),
		cmocka_unit_test(test_earlier_life),
		cmocka_unit_test(test_unseen),
		cmocka_unit_test(test_over_referenced),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_one_unref_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
