/* SPDX-License-Identifier: Apache-2.0
 *
 * Which places own, inferred from living objects, and what follows for lost ones:
 * a parent with a child that knows it is no cycle.
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
#include "slots.h"

#define CHILD_FIELD  32u /* of a parent */
#define PARENT_FIELD 40u /* of a child */

/* Blocks come in the order of their addresses: 0x1000, 0x2000 ... */
struct heap {
	struct builder *b;
	uint32_t snapshot, count;
	uint32_t holder; /* stack of what holds the living */
	struct {
		uint32_t to;
		uint64_t offset;
	} pointers[16][2];
	uint32_t pointer_count[16];
};

static struct heap begin(void)
{
	struct heap heap = {.b = builder_new()};

	heap.holder = builder_stack(heap.b, "main", "hold", NULL);
	heap.snapshot = builder_snapshot(heap.b, CASTAWAY_REASON_EXIT, 100, "exit");
	return heap;
}

static uint64_t address_of(uint32_t block)
{
	return 0x1000 * (uint64_t)(block + 1);
}

/* Returns its number; no type: a plain block. */
static uint32_t add(struct heap *heap, const char *type, int64_t refcount)
{
	uint64_t address = address_of(heap->count);

	builder_block(heap->b, heap->snapshot,
		      &(struct snapshot_block_record){.address = address, .size = 64, .stack = heap->holder});
	if (type)
		builder_object(heap->b, heap->snapshot,
			       &(struct snapshot_object_record){.address = address,
								.size = 64,
								.refcount = refcount,
								.type = builder_string(heap->b, type),
								.runtime = CASTAWAY_RUNTIME_GOBJECT},
			       NULL);
	return heap->count++;
}

static void point(struct heap *heap, uint32_t from, uint32_t to, uint64_t offset)
{
	heap->pointers[from][heap->pointer_count[from]].to = to;
	heap->pointers[from][heap->pointer_count[from]++].offset = offset;
}

static void hold(struct heap *heap, uint32_t block)
{
	builder_root(heap->b, heap->snapshot,
		     &(struct snapshot_root_record){.address = 0x90000 + 8 * (uint64_t)block,
						    .kind = CASTAWAY_ROOT_MODULE,
						    .to = block});
}

static struct judged judge(struct heap *heap)
{
	struct analysis_options options = judged_options();

	for (uint32_t i = 0; i < heap->count; i++) {
		struct snapshot_pointer_record records[2];

		for (uint32_t p = 0; p < heap->pointer_count[i]; p++)
			records[p] = (struct snapshot_pointer_record){.offset = heap->pointers[i][p].offset,
								      .to = heap->pointers[i][p].to};
		if (heap->pointer_count[i])
			builder_pointers(heap->b, heap->snapshot, i, records, heap->pointer_count[i]);
	}
	builder_snapshot_end(heap->b, heap->snapshot, 101);
	options.leaks = true;
	return judged_end(heap->b, 200, &options);
}

/* Something that a root points to, with a pointer to `to`. */
static void add_holder(struct heap *heap, uint32_t to)
{
	uint32_t holder = add(heap, NULL, 0);

	point(heap, holder, to, 8);
	hold(heap, holder);
}

/* A parent that nothing else holds; returns its number. */
static uint32_t add_family(struct heap *heap)
{
	uint32_t parent = add(heap, "Parent", 1), child = add(heap, "Child", 1);

	point(heap, parent, child, CHILD_FIELD);
	point(heap, child, parent, PARENT_FIELD);
	return parent;
}

static enum slot_strength strength(const struct judged *j, uint32_t block)
{
	const struct graph *graph = j->analysis->graph;
	uint32_t node = graph_find(graph, address_of(block));

	return slots_strength(j->analysis->slots, graph, node, &graph->edge[graph->first[node]]);
}

/* One that is held alone says that its holder owns; then the other's child, which
 * would be a second owner of one count, does not. */
static void test_family(void **state)
{
	struct heap heap = begin();
	uint32_t alone = add(&heap, "Parent", 1), living = add_family(&heap), lost;
	struct judged j;

	add_holder(&heap, alone);
	add_holder(&heap, living);
	lost = add_family(&heap);
	j = judge(&heap);
	assert_int_equal(strength(&j, lost), SLOT_OWNS);
	assert_int_equal(strength(&j, lost + 1), SLOT_BORROWS);
	assert_int_equal(j.analysis->finding_count, 0);
	assert_int_equal(j.analysis->leak_count, 1);
	assert_int_equal(j.analysis->leaks[0].verdict, VERDICT_OVER_REFERENCED);
	assert_int_equal(j.analysis->graph->node[j.analysis->leaks[0].node].address, address_of(lost));
	judged_free(&j);
}

/* Without anything living there is nothing to learn: as many counts as pointers
 * are a cycle. */
static void test_nothing_to_learn_from(void **state)
{
	struct heap heap = begin();
	struct judged j;

	add_family(&heap);
	j = judge(&heap);
	assert_int_equal(j.analysis->finding_count, 1);
	assert_int_equal(j.analysis->findings[0].verdict, VERDICT_STRANDED);
	judged_free(&j);
}

/* Living ones that own each other: so do the lost. */
static void test_cycle(void **state)
{
	struct heap heap = begin();
	uint32_t alone = add(&heap, "Parent", 1), living = add(&heap, "Parent", 2),
		 child = add(&heap, "Child", 1);
	struct judged j;

	point(&heap, living, child, CHILD_FIELD);
	point(&heap, child, living, PARENT_FIELD);
	add_holder(&heap, alone);
	add_holder(&heap, living);
	child = add_family(&heap) + 1;
	j = judge(&heap);
	assert_int_equal(strength(&j, child), SLOT_OWNS);
	assert_int_equal(j.analysis->finding_count, 1);
	assert_int_equal(j.analysis->findings[0].verdict, VERDICT_STRANDED);
	judged_free(&j);
}

/* A place for which both can be said is undecided, and a cycle stays one. */
static void test_contradiction(void **state)
{
	struct heap heap = begin();
	uint32_t alone = add(&heap, "Parent", 1), first = add_family(&heap), second = add(&heap, "Parent", 2);
	uint32_t child = add(&heap, "Child", 1);
	struct judged j;

	point(&heap, second, child, CHILD_FIELD);
	point(&heap, child, second, PARENT_FIELD);
	add_holder(&heap, alone);
	add_holder(&heap, first);
	add_holder(&heap, second);
	child = add_family(&heap) + 1;
	j = judge(&heap);
	assert_int_equal(strength(&j, child), SLOT_UNDECIDED);
	assert_int_equal(j.analysis->finding_count, 1);
	judged_free(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_family),
		cmocka_unit_test(test_nothing_to_learn_from),
		cmocka_unit_test(test_cycle),
		cmocka_unit_test(test_contradiction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
