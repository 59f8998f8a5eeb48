/* SPDX-License-Identifier: Apache-2.0
 *
 * What only the memory of extension types explains: taken for owners unless a
 * count says that it cannot be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "judged.h"

#define FIELD 16

struct world {
	struct builder *builder;
	uint32_t snapshot, box, list;
};

static struct world world_new(void)
{
	struct world w = {.builder = builder_new()};

	w.box = builder_string(w.builder, "ext.Box");
	w.list = builder_string(w.builder, "list");
	w.snapshot = builder_snapshot(w.builder, CASTAWAY_REASON_EXIT, 100, "");
	return w;
}

/* An instance of the type, which no list of the collector has; `target` 0: it holds nothing. */
static void put_box_with(struct world *w, uint64_t address, int64_t refcount, uint64_t target, uint8_t flags)
{
	const struct snapshot_edge_record edge = {
		.target = target,
		.offset = FIELD,
		.flags = CASTAWAY_UNKNOWN | CASTAWAY_EDGE_SCANNED | CASTAWAY_EDGE_OFFSET | flags,
	};
	const struct snapshot_object_record object = {
		.address = address,
		.size = 32,
		.refcount = refcount,
		.type = w->box,
		.runtime = CASTAWAY_RUNTIME_CPYTHON,
		.edge_count = target != 0,
	};

	builder_object(w->builder, w->snapshot, &object, &edge);
}

static void put_box(struct world *w, uint64_t address, int64_t refcount, uint64_t target)
{
	put_box_with(w, address, refcount, target, 0);
}

static void put_list(struct world *w, uint64_t address, int64_t refcount, uint64_t target)
{
	const struct snapshot_edge_record edge = {.target = target, .offset = -1};
	const struct snapshot_object_record object = {
		.address = address,
		.size = 40,
		.refcount = refcount,
		.type = w->list,
		.flags = CASTAWAY_OBJECT_TRACKED,
		.runtime = CASTAWAY_RUNTIME_CPYTHON,
		.edge_count = target != 0,
	};

	builder_object(w->builder, w->snapshot, &object, &edge);
}

static struct judged judge(struct world *w, uint32_t traits)
{
	const struct snapshot_type_record type = {.type = w->box, .base = w->box, .traits = traits};

	builder_type(w->builder, w->snapshot, &type);
	builder_snapshot_end(w->builder, w->snapshot, 101);
	return judged_end(w->builder, 200, NULL);
}

static void expect_structures(struct judged *j, uint32_t count)
{
	assert_non_null(j->analysis);
	assert_int_equal(j->analysis->structure_count, count);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(j->analysis->structures[i].verdict, VERDICT_LIKELY_STRANDED);
}

static void test_cycle(void **state)
{
	struct world w = world_new();
	struct judged j;
	const struct finding *finding;

	put_box(&w, 0x1000, 1, 0x2000);
	put_list(&w, 0x2000, 1, 0x1000);
	builder_name(w.builder, w.snapshot, 0x2000, builder_string(w.builder, "the list"));
	j = judge(&w, CASTAWAY_TYPE_NO_TRAVERSE | CASTAWAY_TYPE_NO_CLEAR);
	expect_structures(&j, 1);
	finding = &j.analysis->findings[0];
	assert_int_equal(j.analysis->structures[0].member_count, 2);
	assert_int_equal(finding->evidence.refcounts, 2);
	assert_int_equal(finding->evidence.explained_inside, 2);
	assert_int_equal(finding->evidence.unexplained, 0);
	assert_string_equal(finding->evidence.edges, "mixed");
	assert_string_equal(trace_text(j.trace, finding->advice.from_type), "ext.Box");
	assert_non_null(strstr(finding->advice.action, "a tp_traverse and a tp_clear"));
	assert_non_null(strstr(finding->advice.reason, "offset 16"));
	assert_string_equal(trace_text(j.trace, graph_name(j.analysis->graph, 1)), "the list");
	assert_int_equal(graph_name(j.analysis->graph, 0), 0);
	/* The collector's own objects are counted, the box is not one. */
	assert_int_equal(j.analysis->runtimes[0].objects, 1);
	judged_free(&j);
}

/* A count more than all pointers together: something holds it. */
static void test_held(void **state)
{
	struct world w = world_new();
	struct judged j;

	put_box(&w, 0x1000, 1, 0x2000);
	put_list(&w, 0x2000, 2, 0x1000);
	j = judge(&w, CASTAWAY_TYPE_NO_TRAVERSE);
	expect_structures(&j, 0);
	judged_free(&j);
}

/* The list of the second pair has no count for the pointer to it: the field is
 * borrowed, in the first pair too, where the counts alone would allow it. */
static void test_refuted_by_another(void **state)
{
	struct world w = world_new();
	struct judged j;

	put_box(&w, 0x1000, 1, 0x2000);
	put_list(&w, 0x2000, 1, 0x1000);
	put_box(&w, 0x3000, 1, 0x4000);
	put_list(&w, 0x4000, 1, 0x3000);
	put_list(&w, 0x5000, 2, 0x4000);
	j = judge(&w, CASTAWAY_TYPE_NO_TRAVERSE);
	expect_structures(&j, 0);
	for (uint32_t e = 0; e < j.analysis->graph->edge_count; e++) {
		const struct graph_edge *edge = &j.analysis->graph->edge[e];

		if (edge->field_flags & CASTAWAY_EDGE_SCANNED)
			assert_int_equal(graph_strength(edge), CASTAWAY_BORROWED);
	}
	judged_free(&j);
}

/* Two boxes point to a list that has one count. */
static void test_refuted_by_number(void **state)
{
	struct world w = world_new();
	struct judged j;

	put_box(&w, 0x1000, 1, 0x2000);
	put_box(&w, 0x1100, 1, 0x2000);
	put_list(&w, 0x2000, 1, 0x1000);
	j = judge(&w, CASTAWAY_TYPE_NO_TRAVERSE);
	expect_structures(&j, 0);
	judged_free(&j);
}

/* C code has the list's address, too: the count may be its. */
static void test_held_by_c(void **state)
{
	struct world w = world_new();
	struct judged j;

	put_box_with(&w, 0x1000, 1, 0x2000, CASTAWAY_EDGE_HELD);
	put_list(&w, 0x2000, 1, 0x1000);
	j = judge(&w, CASTAWAY_TYPE_NO_TRAVERSE);
	expect_structures(&j, 0);
	judged_free(&j);
}

/* It has not that of the second: its count is the field's, and so is the first's. */
static void test_held_by_c_once(void **state)
{
	struct world w = world_new();
	struct judged j;

	put_box_with(&w, 0x1000, 1, 0x2000, CASTAWAY_EDGE_HELD);
	put_list(&w, 0x2000, 1, 0x1000);
	put_box(&w, 0x3000, 1, 0x4000);
	put_list(&w, 0x4000, 1, 0x3000);
	j = judge(&w, CASTAWAY_TYPE_NO_TRAVERSE);
	expect_structures(&j, 2);
	judged_free(&j);
}

/* Of a type that nothing is known of, pointers are only pointers. */
static void test_no_traits(void **state)
{
	struct world w = world_new();
	struct judged j;

	put_box(&w, 0x1000, 1, 0x2000);
	put_list(&w, 0x2000, 1, 0x1000);
	builder_snapshot_end(w.builder, w.snapshot, 101);
	j = judged_end(w.builder, 200, NULL);
	expect_structures(&j, 0);
	judged_free(&j);
}

/* An exact cycle beside it stays what it is, and is not counted twice. */
static void test_beside_exact(void **state)
{
	struct world w = world_new();
	struct judged j;

	put_list(&w, 0x6000, 1, 0x6000);
	put_box(&w, 0x1000, 1, 0x2000);
	put_list(&w, 0x2000, 1, 0x1000);
	j = judge(&w, 0);
	assert_int_equal(j.analysis->structure_count, 2);
	assert_int_equal(j.analysis->finding_count, 2);
	assert_int_equal(j.analysis->findings[0].verdict, VERDICT_STRANDED);
	assert_int_equal(j.analysis->findings[1].verdict, VERDICT_LIKELY_STRANDED);
	assert_int_equal(j.analysis->summary.stranded_objects, 1);
	assert_non_null(strstr(j.analysis->findings[1].advice.reason, "leaves that out"));
	judged_free(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cycle),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_refuted_by_another),
		cmocka_unit_test(test_refuted_by_number),
		cmocka_unit_test(test_held_by_c),
		cmocka_unit_test(test_held_by_c_once),
		cmocka_unit_test(test_no_traits),
		cmocka_unit_test(test_beside_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
