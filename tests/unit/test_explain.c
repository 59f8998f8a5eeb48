/* SPDX-License-Identifier: Apache-2.0
 *
 * Evidence and the stranding event, on whole traces.
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

#define PARENT 0x1000
#define CHILD  0x2000

/* Parent and child as a program would write it; `release` is let go last. */
static void parent_and_child(struct builder *b, uint64_t start)
{
	uint32_t type = builder_string(b, "Node");
	uint32_t child = builder_string(b, "child"), parent = builder_string(b, "parent");
	uint32_t at = builder_stack(b, "main", "build", NULL);

	judged_object(b, start, PARENT, "Node", at);
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
	j = judged_end(b, 1000, NULL);
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
	judged_free(&j);
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
	j = judged_end(b, 1000, NULL);
	expect_stranded_at(&j, 7, CASTAWAY_EVENT_UNREF, CHILD);
	judged_free(&j);
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
	j = judged_end(b, 1000, NULL);
	expect_stranded_at(&j, 13, CASTAWAY_EVENT_UNREF, PARENT);
	judged_free(&j);
}

/* The count was there first, and a link explained it later. */
static void test_link_strands(void **state)
{
	struct builder *b = builder_new();
	struct judged j;

	judged_object(b, 10, PARENT, "Node", 0);
	builder_event(b, 1, 20, LINK, PARENT, PARENT, 0, 0);
	builder_event(b, 1, 30, UNLINK, PARENT, PARENT, 0, 0);
	builder_event(b, 1, 40, LINK, PARENT, PARENT, 0, 0);
	j = judged_end(b, 1000, NULL);
	expect_stranded_at(&j, 3, CASTAWAY_EVENT_LINK, PARENT);
	judged_free(&j);
}

/* Weak links of the same field and target explain nothing. */
static void test_weak_links(void **state)
{
	struct builder *b = builder_new();
	struct judged j;

	judged_object(b, 5, 0x9000, "Node", 0);
	judged_object(b, 10, PARENT, "Node", 0);
	builder_event(b, 1, 15, WEAK, 0x9000, PARENT, 0, 0);
	builder_event(b, 1, 20, WEAK, PARENT, PARENT, 0, 0);
	builder_event(b, 1, 25, UNLINK, PARENT, PARENT, 0, 0);
	builder_event(b, 1, 30, REF, PARENT, 0);
	builder_event(b, 1, 40, LINK, PARENT, PARENT, 0, 0);
	builder_event(b, 1, 50, UNREF, PARENT, 0);
	j = judged_end(b, 1000, NULL);
	expect_stranded_at(&j, 7, CASTAWAY_EVENT_UNREF, PARENT);
	assert_string_equal(j.analysis->findings[0].evidence.reachable_via, "weak");
	judged_free(&j);
}

/* A container and its children, linked and unlinked over and over: the time
 * must not go with the square, nor may a link get lost. */
static void test_many_links(void **state)
{
	enum { CHILDREN = 20000 };
	struct builder *b = builder_new();
	uint32_t item = builder_string(b, "item"), parent = builder_string(b, "parent");
	uint64_t ticks = 10;
	struct judged j;
	clock_t start;

	judged_object(b, ticks++, 0x1000, "Node", 0);
	for (uint64_t i = 0; i < CHILDREN; i++) {
		uint64_t child = 0x10000 + 64 * i;

		judged_object(b, ticks++, child, "Node", 0);
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
	j = judged_end(b, ticks + 1, NULL);
	assert_true(clock() - start < 2 * CLOCKS_PER_SEC);
	expect_stranded_at(&j, 1 + 6 * CHILDREN, CASTAWAY_EVENT_UNREF, 0x1000);
	judged_free(&j);
}

/* A cycle that hangs on a released object: that reference is the evidence's
 * outside part, and the members alone never came to zero. */
static void test_held_by_released(void **state)
{
	struct builder *b = builder_new();
	struct judged j;

	judged_object(b, 10, PARENT, "Node", 0);
	builder_event(b, 1, 11, REF, PARENT, 0);
	builder_event(b, 1, 12, LINK, PARENT, PARENT, 0, 0);
	judged_object(b, 20, CHILD, "Node", 0);
	builder_event(b, 1, 21, LINK, CHILD, PARENT, 0, 0);
	builder_event(b, 1, 22, UNREF, CHILD, 0);
	j = judged_end(b, 1000, NULL);
	assert_int_equal(j.analysis->finding_count, 1);
	assert_int_equal(j.analysis->findings[0].evidence.refcounts, 2);
	assert_int_equal(j.analysis->findings[0].evidence.explained_inside, 1);
	assert_int_equal(j.analysis->findings[0].evidence.explained_outside, 1);
	assert_int_equal(j.analysis->findings[0].evidence.unexplained, 0);
	assert_false(j.analysis->findings[0].stranded_at.present);
	judged_free(&j);
}

/* The later born of two alike: it points back at the older. */
static void test_birth_order_of_annotated_objects(void **state)
{
	struct builder *b = builder_new();
	uint32_t x = builder_string(b, "x"), y = builder_string(b, "y");
	struct judged j;

	judged_object(b, 10, PARENT, "Node", 0);
	judged_object(b, 11, CHILD, "Node", 0);
	builder_event(b, 1, 12, LINK, CHILD, PARENT, x, 0);
	builder_event(b, 1, 13, LINK, PARENT, CHILD, y, 0);
	j = judged_end(b, 1000, NULL);
	assert_int_equal(j.analysis->finding_count, 1);
	assert_int_equal(j.analysis->findings[0].advice.field, x);
	judged_free(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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
