/* SPDX-License-Identifier: Apache-2.0
 *
 * Which reference to give up, on drawn graphs; evidence and the stranding
 * event, on whole traces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "advice.h"
#include "hand_graph.h"
#include "trace_builder.h"

/* ---- advice ------------------------------------------------------------------------ */

/* Advice for all nodes of `h` together. */
static struct break_advice advise(struct hand *h)
{
	struct break_advice result;
	struct advice *advice;
	uint32_t member[16];

	assert_true(h->graph.node_count <= 16);
	for (uint32_t i = 0; i < h->graph.node_count; i++)
		member[i] = i;
	assert_int_equal(advice_new(hand_graph(h), NULL, &advice, NULL), ERROR_NONE);
	assert_int_equal(advice_for(advice, member, h->graph.node_count, &result, NULL), ERROR_NONE);
	advice_free(advice);
	return result;
}

static void expect_field(struct hand *h, const char *field, const char *reason)
{
	struct break_advice advice = advise(h);

	assert_true(advice.present);
	assert_string_equal(h->trace.strings[advice.field].text, field);
	assert_string_equal(advice.reason, reason);
	assert_int_equal(graph_field(&h->graph.edge[advice.edge]), advice.field);
	assert_true(advice.edge >= h->graph.first[advice.edge_from]);
	assert_true(advice.edge < h->graph.first[advice.edge_from + 1]);
	hand_free(h);
}

static struct hand *ring_of(const char *const fields[], uint32_t nodes)
{
	struct hand *h = hand_new(nodes);

	for (uint32_t i = 0; i < nodes; i++)
		hand_edge_as(h, i, (i + 1) % nodes, CASTAWAY_STRONG, fields[i]);
	return h;
}

static void test_names(void **state)
{
	static const char *const parent[] = {"child", "m_parent", "next"};
	static const char *const camel[] = {"items", "viewOwner"};
	static const char *const capital[] = {"PREV", "next"};
	static const char *const self[] = {"self"};
	static const char *const both[] = {"prev", "parent"};
	static const char *const part[] = {"transparent", "self_handle"}; /* "parent" is no word of it */

	expect_field(ring_of(parent, 3), "m_parent",
		     "`m_parent` points back to the parent; without it the 3 objects have no cycle");
	expect_field(ring_of(camel, 2), "viewOwner",
		     "`viewOwner` points back to the owner; without it the 2 objects have no cycle");
	expect_field(ring_of(capital, 2), "PREV",
		     "`PREV` points to the previous one; without it the 2 objects have no cycle");
	expect_field(ring_of(self, 1), "self",
		     "`self` refers to the object itself; without it the object has no cycle");
	expect_field(ring_of(both, 2), "parent",
		     "`parent` points back to the parent; without it the 2 objects have no cycle");
	expect_field(ring_of(part, 2), "self_handle",
		     "`self_handle` refers to the object itself; without it the 2 objects have no cycle");
}

/* A name that says "back" does not help when cycles stay. */
static void test_breaking_goes_before_names(void **state)
{
	struct hand *h = hand_new(3);

	hand_edge_as(h, 0, 1, CASTAWAY_STRONG, "left");
	hand_edge_as(h, 1, 0, CASTAWAY_STRONG, "parent");
	hand_edge_as(h, 1, 2, CASTAWAY_STRONG, "right");
	hand_edge_as(h, 2, 0, CASTAWAY_STRONG, "link");
	expect_field(h, "left", "`left` is part of the cycle; without it the 3 objects have no cycle");
}

static void test_no_single_class(void **state)
{
	struct hand *h = hand_new(2);

	hand_edge_as(h, 0, 0, CASTAWAY_STRONG, "a");
	hand_edge_as(h, 1, 1, CASTAWAY_STRONG, "owner");
	hand_edge_as(h, 0, 1, CASTAWAY_STRONG, "b");
	hand_edge_as(h, 1, 0, CASTAWAY_STRONG, "c");
	expect_field(h, "owner", "`owner` points back to the owner; no single field breaks every cycle here");
}

/* All references of one class go together: both prev pointers of a list. */
static void test_class_of_several(void **state)
{
	struct hand *h = hand_new(3);

	for (uint32_t i = 0; i < 2; i++) {
		hand_edge_as(h, i, i + 1, CASTAWAY_STRONG, "next");
		hand_edge_as(h, i + 1, i, CASTAWAY_STRONG, "prev");
	}
	expect_field(h, "prev", "`prev` points to the previous one; without it the 3 objects have no cycle");
}

static void test_younger_to_older(void **state)
{
	static const char *const fields[] = {"a", "b"};
	struct hand *h = ring_of(fields, 2);

	h->graph.node[0].flags |= GRAPH_NODE_BIRTH_KNOWN;
	h->graph.node[1].flags |= GRAPH_NODE_BIRTH_KNOWN;
	h->graph.node[1].birth_pass = 3;
	expect_field(h, "b",
		     "`b` leads from a younger object back to an older one; without it the 2 objects have no "
		     "cycle");
}

static void test_fewer_references(void **state)
{
	struct hand *h = hand_new(2);

	hand_edge_as(h, 0, 1, CASTAWAY_STRONG, "many");
	hand_edge_as(h, 0, 1, CASTAWAY_STRONG, "many");
	hand_edge_as(h, 1, 0, CASTAWAY_STRONG, "one");
	expect_field(h, "one", "`one` is part of the cycle; without it the 2 objects have no cycle");
}

/* Where fields have no names, offsets tell references apart, and types help. */
static void test_without_names(void **state)
{
	struct hand *h = hand_new(2);
	struct break_advice advice;

	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	h->edge[1].edge.field_flags |= CASTAWAY_EDGE_OFFSET;
	h->edge[1].edge.detail = 24;
	h->graph.node[1].birth_pass = 1;
	h->graph.node[0].flags |= GRAPH_NODE_BIRTH_KNOWN;
	h->graph.node[1].flags |= GRAPH_NODE_BIRTH_KNOWN;
	advice = advise(h);
	assert_string_equal(advice.reason,
			    "the reference at offset 24 of `Node` leads from a younger object back to an "
			    "older one; without it the 2 objects have no cycle");
	hand_free(h);

	h = hand_new(2);
	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	h->graph.node[1].type = hand_string(h, "cell");
	advice = advise(h);
	assert_string_equal(advice.reason,
			    "the reference from `cell` to `Node` is captured by a closure; without it the 2 "
			    "objects have no cycle");
	hand_free(h);
}

static void test_weak_edges_are_no_advice(void **state)
{
	struct hand *h = hand_new(1);

	hand_edge_as(h, 0, 0, CASTAWAY_WEAK, "parent");
	assert_false(advise(h).present);
	hand_free(h);
}

static void test_long_names(void **state)
{
	char name[400];
	const char *const fields[] = {name};
	struct hand *h;
	struct break_advice advice;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	h = ring_of(fields, 1);
	advice = advise(h);
	assert_true(strlen(advice.reason) < sizeof(advice.reason));
	assert_non_null(strstr(advice.reason, "without it the object has no cycle"));
	hand_free(h);
}

/* A large component and more classes than are looked at. */
static void test_large(void **state)
{
	enum { NODES = 200000, NAMES = 3000 };
	static char names[NAMES][8];
	struct hand *h = hand_new(NODES);
	uint32_t *member = malloc(NODES * sizeof(*member));
	struct break_advice result;
	struct advice *advice;
	clock_t start;

	assert_non_null(member);
	for (uint32_t i = 0; i < NAMES; i++) {
		names[i][0] = 'f';
		for (unsigned d = 0; d < 4; d++)
			names[i][1 + d] = (char)('0' + i /
							       (d == 0   ? 1000
								: d == 1 ? 100
								: d == 2 ? 10
									 : 1) %
							       10);
	}
	for (uint32_t i = 0; i < NODES; i++) {
		member[i] = i;
		hand_edge_as(h, i, (i + 1) % NODES, CASTAWAY_STRONG, i < NAMES ? names[i] : "next");
	}
	hand_graph(h);
	start = clock();
	assert_int_equal(advice_new(&h->graph, NULL, &advice, NULL), ERROR_NONE);
	assert_int_equal(advice_for(advice, member, NODES, &result, NULL), ERROR_NONE);
	assert_true(clock() - start < 2 * CLOCKS_PER_SEC);
	assert_string_equal(result.reason, "`f0000` is part of the cycle; without it the 200000 objects have "
					   "no cycle");
	advice_free(advice);
	free(member);
	hand_free(h);
}

/* ---- evidence and stranding ---------------------------------------------------------- */

struct judged {
	struct builder *builder;
	struct trace *trace;
	struct analysis *analysis;
};

static void judge_until(struct builder *b, uint64_t ticks, struct judged *j)
{
	struct analysis_options options;

	analysis_options_default(&options);
	options.symbols.off = true;
	*j = (struct judged){.builder = b};
	builder_end(b, CASTAWAY_END_EXIT, ticks);
	j->trace = builder_open(b);
	assert_int_equal(analysis_run(j->trace, &options, &j->analysis, NULL), ERROR_NONE);
}

static void judge(struct builder *b, struct judged *j)
{
	judge_until(b, 1000, j);
}

static void release(struct judged *j)
{
	analysis_free(j->analysis);
	trace_free(j->trace);
	builder_free(j->builder);
}

#define PARENT 0x1000
#define CHILD  0x2000

/* Parent and child as a program would write it; `release` is let go last. */
static void parent_and_child(struct builder *b, uint64_t start)
{
	uint32_t type = builder_string(b, "Node");
	uint32_t child = builder_string(b, "child"), parent = builder_string(b, "parent");
	uint32_t at = builder_stack(b, "main", "build", NULL);

	builder_event(b, 1, start, OBJECT, PARENT, 64, type, at);
	builder_event(b, 1, start + 1, OBJECT, CHILD, 64, type, at);
	builder_event(b, 1, start + 2, LINK, PARENT, CHILD, child, at); /* takes the creator's count */
	builder_event(b, 1, start + 3, REF, PARENT, at);
	builder_event(b, 1, start + 4, LINK, CHILD, PARENT, parent, at);
}

static void expect_stranded_at(const struct judged *j, uint64_t event, uint8_t opcode, uint64_t object)
{
	const struct stranding *at = &j->analysis->findings[0].stranded_at;

	assert_int_equal(j->analysis->finding_count, 1);
	assert_true(at->present);
	assert_int_equal(at->event, event);
	assert_int_equal(at->opcode, opcode);
	assert_int_equal(j->analysis->graph->node[at->object].address, object);
}

static void test_last_unref(void **state)
{
	struct builder *b = builder_new();
	uint32_t drop = builder_stack(b, "main", "drop", NULL);
	const struct evidence *evidence;
	struct judged j;

	parent_and_child(b, 10);
	builder_event(b, 2, 50, UNREF, PARENT, drop);
	builder_event(b, 1, 60, OBJECT, 0x3000, 64, builder_string(b, "Node"), 0);
	judge(b, &j);
	expect_stranded_at(&j, 5, CASTAWAY_EVENT_UNREF, PARENT);
	assert_int_equal(j.analysis->findings[0].stranded_at.ticks, 50);
	assert_int_equal(j.analysis->findings[0].stranded_at.thread, 2);
	assert_int_equal(j.analysis->findings[0].stranded_at.stack, drop);
	evidence = &j.analysis->findings[0].evidence;
	assert_int_equal(evidence->refcounts, 2);
	assert_int_equal(evidence->explained_inside, 2);
	assert_int_equal(evidence->explained_outside, 0);
	assert_int_equal(evidence->unexplained, 0);
	assert_string_equal(evidence->reachable_via, "none");
	assert_string_equal(evidence->edges, "exact");
	assert_string_equal(trace_text(j.trace, j.analysis->findings[0].advice.field), "parent");
	release(&j);
}

/* Let go, taken again, let go again: the last one counts. */
static void test_the_last_time_counts(void **state)
{
	struct builder *b = builder_new();
	struct judged j;

	parent_and_child(b, 10);
	builder_event(b, 1, 20, UNREF, PARENT, 0);
	builder_event(b, 1, 30, REF, CHILD, 0);
	builder_event(b, 1, 40, UNREF, CHILD, 0);
	judge(b, &j);
	expect_stranded_at(&j, 7, CASTAWAY_EVENT_UNREF, CHILD);
	release(&j);
}

/* The same addresses lived through the same before: those events are not it. */
static void test_reused_addresses(void **state)
{
	struct builder *b = builder_new();
	struct judged j;

	parent_and_child(b, 10);
	builder_event(b, 1, 20, UNREF, PARENT, 0);
	builder_event(b, 1, 30, OBJECT_END, PARENT, 0);
	builder_event(b, 1, 31, OBJECT_END, CHILD, 0);
	parent_and_child(b, 40);
	builder_event(b, 1, 50, UNREF, PARENT, 0);
	judge(b, &j);
	expect_stranded_at(&j, 13, CASTAWAY_EVENT_UNREF, PARENT);
	release(&j);
}

/* The count was there first, and a link explained it later. */
static void test_link_strands(void **state)
{
	struct builder *b = builder_new();
	uint32_t type = builder_string(b, "Node");
	struct judged j;

	builder_event(b, 1, 10, OBJECT, PARENT, 64, type, 0);
	builder_event(b, 1, 20, LINK, PARENT, PARENT, 0, 0);
	builder_event(b, 1, 30, UNLINK, PARENT, PARENT, 0, 0);
	builder_event(b, 1, 40, LINK, PARENT, PARENT, 0, 0);
	judge(b, &j);
	expect_stranded_at(&j, 3, CASTAWAY_EVENT_LINK, PARENT);
	release(&j);
}

/* Weak links of the same field and target explain nothing. */
static void test_weak_links(void **state)
{
	struct builder *b = builder_new();
	uint32_t type = builder_string(b, "Node");
	struct judged j;

	builder_event(b, 1, 5, OBJECT, 0x9000, 64, type, 0);
	builder_event(b, 1, 10, OBJECT, PARENT, 64, type, 0);
	builder_event(b, 1, 15, WEAK, 0x9000, PARENT, 0, 0);
	builder_event(b, 1, 20, WEAK, PARENT, PARENT, 0, 0);
	builder_event(b, 1, 25, UNLINK, PARENT, PARENT, 0, 0);
	builder_event(b, 1, 30, REF, PARENT, 0);
	builder_event(b, 1, 40, LINK, PARENT, PARENT, 0, 0);
	builder_event(b, 1, 50, UNREF, PARENT, 0);
	judge(b, &j);
	expect_stranded_at(&j, 7, CASTAWAY_EVENT_UNREF, PARENT);
	assert_string_equal(j.analysis->findings[0].evidence.reachable_via, "weak");
	release(&j);
}

/* A container and its children, linked and unlinked over and over: the time
 * must not go with the square, nor may a link get lost. */
static void test_many_links(void **state)
{
	enum { CHILDREN = 20000 };
	struct builder *b = builder_new();
	uint32_t type = builder_string(b, "Node");
	uint32_t item = builder_string(b, "item"), parent = builder_string(b, "parent");
	uint64_t ticks = 10;
	struct judged j;
	clock_t start;

	builder_event(b, 1, ticks++, OBJECT, 0x1000, 64, type, 0);
	for (uint64_t i = 0; i < CHILDREN; i++) {
		uint64_t child = 0x10000 + 64 * i;

		builder_event(b, 1, ticks++, OBJECT, child, 64, type, 0);
		builder_event(b, 1, ticks++, LINK, 0x1000, child, item, 0);
		builder_event(b, 1, ticks++, REF, 0x1000, 0);
		builder_event(b, 1, ticks++, LINK, child, 0x1000, parent, 0);
	}
	for (uint64_t i = 0; i < CHILDREN; i++) {
		builder_event(b, 1, ticks++, UNLINK, 0x1000, 0x10000 + 64 * i, item, 0);
		builder_event(b, 1, ticks++, LINK, 0x1000, 0x10000 + 64 * i, item, 0);
	}
	builder_event(b, 1, ticks, UNREF, 0x1000, 0);
	start = clock();
	judge_until(b, ticks + 1, &j);
	assert_true(clock() - start < 2 * CLOCKS_PER_SEC);
	expect_stranded_at(&j, 1 + 6 * CHILDREN, CASTAWAY_EVENT_UNREF, 0x1000);
	release(&j);
}

/* A cycle that hangs on a released object: that reference is the evidence's
 * outside part, and the members alone never came to zero. */
static void test_held_by_released(void **state)
{
	struct builder *b = builder_new();
	uint32_t type = builder_string(b, "Node");
	struct judged j;

	builder_event(b, 1, 10, OBJECT, PARENT, 64, type, 0);
	builder_event(b, 1, 11, REF, PARENT, 0);
	builder_event(b, 1, 12, LINK, PARENT, PARENT, 0, 0);
	builder_event(b, 1, 20, OBJECT, CHILD, 64, type, 0);
	builder_event(b, 1, 21, LINK, CHILD, PARENT, 0, 0);
	builder_event(b, 1, 22, UNREF, CHILD, 0);
	judge(b, &j);
	assert_int_equal(j.analysis->finding_count, 1);
	assert_int_equal(j.analysis->findings[0].evidence.refcounts, 2);
	assert_int_equal(j.analysis->findings[0].evidence.explained_inside, 1);
	assert_int_equal(j.analysis->findings[0].evidence.explained_outside, 1);
	assert_int_equal(j.analysis->findings[0].evidence.unexplained, 0);
	assert_false(j.analysis->findings[0].stranded_at.present);
	release(&j);
}

/* The later born of two alike: it points back at the older. */
static void test_birth_order_of_annotated_objects(void **state)
{
	struct builder *b = builder_new();
	uint32_t type = builder_string(b, "Node"), x = builder_string(b, "x"), y = builder_string(b, "y");
	struct judged j;

	builder_event(b, 1, 10, OBJECT, PARENT, 64, type, 0);
	builder_event(b, 1, 11, OBJECT, CHILD, 64, type, 0);
	builder_event(b, 1, 12, LINK, CHILD, PARENT, x, 0);
	builder_event(b, 1, 13, LINK, PARENT, CHILD, y, 0);
	judge(b, &j);
	assert_int_equal(j.analysis->finding_count, 1);
	assert_int_equal(j.analysis->findings[0].advice.field, x);
	release(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_breaking_goes_before_names),
		cmocka_unit_test(test_no_single_class),
		cmocka_unit_test(test_class_of_several),
		cmocka_unit_test(test_younger_to_older),
		cmocka_unit_test(test_fewer_references),
		cmocka_unit_test(test_without_names),
		cmocka_unit_test(test_weak_edges_are_no_advice),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_last_unref),
		cmocka_unit_test(test_the_last_time_counts),
		cmocka_unit_test(test_reused_addresses),
		cmocka_unit_test(test_link_strands),
		cmocka_unit_test(test_weak_links),
		cmocka_unit_test(test_many_links),
		cmocka_unit_test(test_held_by_released),
		cmocka_unit_test(test_birth_order_of_annotated_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
