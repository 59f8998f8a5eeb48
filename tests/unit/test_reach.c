/* SPDX-License-Identifier: Apache-2.0
 *
 * What no root reaches, in heaps made by hand, and random ones against the
 * definitions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hand_graph.h"
#include "judged.h"

enum { MAX_BLOCKS = 12, MAX_POINTERS = 40 };

/* Block i is at 0x1000 + 0x100 i, 64 + i bytes large, from a function of its own. */
struct heap {
	uint32_t blocks;
	struct {
		uint32_t from, to;
	} pointers[MAX_POINTERS]; /* by `from`; each at the next offset of its block */
	uint32_t pointer_count;
	uint32_t roots[MAX_BLOCKS];
	uint32_t root_count;
};

/* "01 12": block 0 points to block 1, and 1 to 2; roots "0": a root points to 0. */
static struct heap heap_of(uint32_t blocks, const char *pointers, const char *roots)
{
	struct heap heap = {.blocks = blocks};

	for (; *pointers; pointers += pointers[2] ? 3 : 2) {
		heap.pointers[heap.pointer_count].from = (uint32_t)(pointers[0] - '0');
		heap.pointers[heap.pointer_count++].to = (uint32_t)(pointers[1] - '0');
	}
	for (; *roots; roots++)
		heap.roots[heap.root_count++] = (uint32_t)(*roots - '0');
	return heap;
}

static uint64_t address_of(uint32_t block)
{
	return 0x1000 + 0x100 * (uint64_t)block;
}

static uint32_t site_of(struct builder *b, uint32_t block)
{
	char name[16];

	snprintf(name, sizeof(name), "make%u", block);
	return builder_stack(b, "main", name, NULL);
}

static struct builder *begin(const struct heap *heap)
{
	struct builder *b = builder_new();

	for (uint32_t i = 0; i < heap->blocks; i++)
		builder_event(b, 1, 10, ALLOC, address_of(i), 64 + i, site_of(b, i));
	return b;
}

static void put_pointers(struct builder *b, uint32_t snapshot, const struct heap *heap, uint32_t from)
{
	struct snapshot_pointer_record records[MAX_POINTERS];
	uint32_t count = 0;

	for (uint32_t i = 0; i < heap->pointer_count; i++) {
		if (heap->pointers[i].from != from)
			continue;
		records[count] = (struct snapshot_pointer_record){.offset = 8 * (uint64_t)count,
								  .to = heap->pointers[i].to};
		count++;
	}
	if (count)
		builder_pointers(b, snapshot, from, records, count);
}

static struct judged end(struct builder *b, const struct heap *heap)
{
	struct analysis_options options = judged_options();
	uint32_t snapshot = builder_snapshot(b, CASTAWAY_REASON_EXIT, 50, "");

	for (uint32_t i = 0; i < heap->blocks; i++)
		builder_block(b, snapshot,
			      &(struct snapshot_block_record){
				      .address = address_of(i), .size = 64 + i, .stack = site_of(b, i)});
	for (uint32_t i = 0; i < heap->blocks; i++)
		put_pointers(b, snapshot, heap, i);
	for (uint32_t i = 0; i < heap->root_count; i++)
		builder_root(b, snapshot,
			     &(struct snapshot_root_record){.kind = CASTAWAY_ROOT_MEMORY,
							    .address = 0x7000 + 8 * (uint64_t)i,
							    .to = heap->roots[i]});
	builder_snapshot_end(b, snapshot, 60);
	options.leaks = true;
	return judged_end(b, 100, &options);
}

static struct judged judge(const struct heap *heap)
{
	return end(begin(heap), heap);
}

/* The leak whose example is block i. */
static const struct leak *leak_of(const struct judged *j, uint32_t i)
{
	for (size_t l = 0; l < j->analysis->leak_count; l++) {
		if (j->analysis->leaks[l].stack == site_of(j->builder, i))
			return &j->analysis->leaks[l];
	}
	fail_msg("block %u is no leak", i);
	return NULL;
}

static void expect_summary(const struct judged *j, uint64_t leaked, uint64_t over_referenced,
			   uint64_t structures)
{
	assert_int_equal(j->code, ERROR_NONE);
	assert_true(j->analysis->summary.scanned);
	assert_int_equal(j->analysis->summary.leaked_blocks, leaked);
	assert_int_equal(j->analysis->summary.over_referenced, over_referenced);
	assert_int_equal(j->analysis->summary.structures, structures);
}

static void test_direct_and_indirect(void **state)
{
	struct heap heap = heap_of(6, "01 23 34", "0");
	struct judged j = judge(&heap);
	const struct leak *leak;

	expect_summary(&j, 4, 0, 0);
	assert_int_equal(j.analysis->summary.leaked_bytes, 66 + 67 + 68 + 69);
	assert_int_equal(j.analysis->summary.roots, 1);
	assert_int_equal(j.analysis->summary.edges, 3);
	assert_int_equal(j.analysis->summary.references, 0);
	assert_int_equal(j.analysis->leak_count, 2);
	leak = leak_of(&j, 2);
	assert_int_equal(leak->verdict, VERDICT_LEAKED);
	assert_int_equal(leak->count, 1);
	assert_int_equal(leak->direct_bytes, 66);
	assert_int_equal(leak->blocks, 3);
	assert_int_equal(leak->bytes, 66 + 67 + 68);
	assert_int_equal(leak_of(&j, 5)->blocks, 1);
	assert_true(leak_of(&j, 2)->fingerprint != leak_of(&j, 5)->fingerprint);
	judged_free(&j);
}

static void test_cycle(void **state)
{
	struct heap heap = heap_of(4, "12 21 23 20", "0");
	struct judged j = judge(&heap);
	const struct structure *s;

	expect_summary(&j, 0, 0, 1);
	s = &j.analysis->structures[0];
	assert_int_equal(s->verdict, VERDICT_STRANDED);
	assert_true(s->scanned);
	assert_int_equal(s->member_count, 2);
	assert_int_equal(s->member_bytes, 65 + 66);
	assert_int_equal(s->entrained_count, 1); /* 0 is held from elsewhere */
	assert_int_equal(s->entrained_bytes, 67);
	assert_string_equal(j.analysis->findings[0].evidence.edges, "scanned");
	assert_int_equal(j.analysis->summary.stranded_objects, 0);
	assert_int_equal(j.analysis->summary.stranded_bytes, 65 + 66 + 67);
	judged_free(&j);
}

/* Something leads to the cycle: that is what was lost. */
static void test_cycle_behind_a_leak(void **state)
{
	struct heap heap = heap_of(3, "01 12 21", "");
	struct judged j = judge(&heap);

	expect_summary(&j, 3, 0, 0);
	assert_int_equal(leak_of(&j, 0)->blocks, 3);
	judged_free(&j);
}

static void test_block_with_itself(void **state)
{
	struct heap heap = heap_of(1, "00", "");
	struct judged j = judge(&heap);

	expect_summary(&j, 1, 0, 0);
	assert_int_equal(j.analysis->summary.edges, 0);
	judged_free(&j);
}

static void add_object(struct builder *b, uint32_t block, uint64_t offset, const char *type)
{
	builder_event(b, 1, 11, OBJECT, address_of(block) + offset, 16, builder_string(b, type), 0);
}

static void test_over_referenced(void **state)
{
	struct heap heap = heap_of(3, "12", "");
	struct builder *b = begin(&heap);
	struct judged j;

	add_object(b, 0, 0, "Alone");
	add_object(b, 2, 0, "Owned"); /* its one count may well be the pointer in the leaked block */
	j = end(b, &heap);
	expect_summary(&j, 2, 1, 0);
	assert_int_equal(j.analysis->summary.objects, 2);
	assert_int_equal(leak_of(&j, 1)->blocks, 2);
	judged_free(&j);
}

/* The pointer of a weak link holds nothing, a second one to the same object does. */
static void test_weak(void **state)
{
	for (uint32_t pointers = 1; pointers <= 2; pointers++) {
		struct heap heap = heap_of(2, pointers == 1 ? "01" : "01 01", "0");
		struct builder *b = begin(&heap);
		struct judged j;

		add_object(b, 0, 0, "Owner");
		add_object(b, 1, 0, "Target");
		builder_event(b, 1, 12, WEAK, address_of(0), address_of(1), 0, 0);
		j = end(b, &heap);
		expect_summary(&j, 0, pointers == 1, 0);
		judged_free(&j);
	}
}

/* What is proven dead holds nothing, though a root still points to it. */
static void test_dead_structure(void **state)
{
	struct heap heap = heap_of(3, "00 01 12", "0");
	struct builder *b = begin(&heap);
	struct judged j;
	const struct structure *s;

	add_object(b, 0, 0, "Ring");
	builder_event(b, 1, 12, LINK, address_of(0), address_of(0), 0, 0);
	j = end(b, &heap);
	expect_summary(&j, 0, 0, 1);
	s = &j.analysis->structures[0];
	assert_false(s->scanned);
	assert_int_equal(s->member_count, 1);
	assert_int_equal(s->entrained_count, 0);
	assert_int_equal(s->block_count, 2);
	assert_int_equal(s->block_bytes, 65 + 66);
	assert_int_equal(j.analysis->findings[0].bytes, 16 + 65 + 66);
	assert_int_equal(j.analysis->findings[0].blocks, 2);
	judged_free(&j);
}

/* A pointer to one of two objects in a block keeps both, and what they point to. */
static void test_shared_block(void **state)
{
	struct heap heap = heap_of(2, "01", "0");
	struct builder *b = begin(&heap);
	struct judged j;

	add_object(b, 0, 8, "First");
	add_object(b, 0, 32, "Second");
	j = end(b, &heap);
	expect_summary(&j, 0, 0, 0);
	assert_int_equal(j.analysis->graph->node_count, 3);
	assert_true(j.analysis->graph->node[1].flags & GRAPH_NODE_SHARED);
	judged_free(&j);
}

/* Who points to an object on a stack or in a library's data no scan tells. */
static void test_object_in_no_block(void **state)
{
	struct heap heap = heap_of(1, "", "");
	struct builder *b = begin(&heap);
	struct judged j;

	builder_event(b, 1, 11, OBJECT, 0x9000, 16, builder_string(b, "Static"), 0);
	add_object(b, 0, 0, "Held");
	builder_event(b, 1, 12, LINK, 0x9000, address_of(0), 0, 0);
	j = end(b, &heap);
	expect_summary(&j, 0, 0, 0);
	judged_free(&j);
}

static void test_lost_part(void **state)
{
	struct heap heap = heap_of(1, "", "");
	struct builder *b = begin(&heap);
	struct analysis_options options = judged_options();
	uint32_t snapshot = builder_snapshot(b, CASTAWAY_REASON_EXIT, 50, "");
	/* One root more than SNAPSHOT_END says. */
	const uint8_t root[] = {0, CASTAWAY_ROOT_MEMORY, 0, 16, 0, 0};
	struct judged j;

	builder_block(b, snapshot, &(struct snapshot_block_record){.address = 0x1000, .size = 64});
	builder_chunk(b, CASTAWAY_CHUNK_ROOTS, 0, root, sizeof(root));
	builder_snapshot_end(b, snapshot, 60);
	options.leaks = true;
	j = judged_end(b, 100, &options);
	assert_int_equal(j.code, ERROR_NONE);
	assert_false(j.analysis->summary.scanned);
	assert_int_equal(j.analysis->leak_count, 0);
	assert_int_equal(j.trace->limit_count, 2); /* what is lost, and that leaks are not known */
	judged_free(&j);
}

static struct heap random_heap(uint64_t *seed)
{
	struct heap heap = {.blocks = 1 + (uint32_t)(hand_random(seed) % MAX_BLOCKS)};

	for (uint32_t from = 0; from < heap.blocks; from++) {
		for (uint64_t n = hand_random(seed) % 4; n > 0 && heap.pointer_count < MAX_POINTERS; n--) {
			heap.pointers[heap.pointer_count].from = from;
			heap.pointers[heap.pointer_count++].to = (uint32_t)(hand_random(seed) % heap.blocks);
		}
	}
	if (hand_random(seed) % 4)
		heap.roots[heap.root_count++] = (uint32_t)(hand_random(seed) % heap.blocks);
	return heap;
}

/* Warshall's closure, without pointers of blocks to themselves. */
static void close_heap(const struct heap *heap, bool reach[MAX_BLOCKS][MAX_BLOCKS])
{
	memset(reach, 0, sizeof(bool[MAX_BLOCKS][MAX_BLOCKS]));
	for (uint32_t i = 0; i < heap->pointer_count; i++) {
		if (heap->pointers[i].from != heap->pointers[i].to)
			reach[heap->pointers[i].from][heap->pointers[i].to] = true;
	}
	for (uint32_t k = 0; k < heap->blocks; k++)
		for (uint32_t i = 0; i < heap->blocks; i++)
			for (uint32_t m = 0; m < heap->blocks; m++)
				reach[i][m] |= reach[i][k] && reach[k][m];
}

static void expect_heap(const struct heap *heap)
{
	struct judged j = judge(heap);
	bool reach[MAX_BLOCKS][MAX_BLOCKS], held[MAX_BLOCKS] = {false};
	uint64_t lost = 0, direct = 0, found = 0, found_direct = 0, cyclic = 0;

	close_heap(heap, reach);
	for (uint32_t i = 0; i < heap->blocks; i++) {
		for (uint32_t r = 0; r < heap->root_count; r++)
			held[i] |= heap->roots[r] == i || reach[heap->roots[r]][i];
		lost += !held[i];
	}
	for (uint32_t i = 0; i < heap->blocks; i++) {
		bool source = !held[i], first = true;

		/* Nothing lost leads to it but what it leads to itself. */
		for (uint32_t k = 0; k < heap->blocks; k++) {
			source &= held[k] || !reach[k][i] || reach[i][k];
			first &= k >= i || !(reach[i][k] && reach[k][i]);
		}
		direct += source && !reach[i][i];
		cyclic += source && reach[i][i] && first;
	}
	for (size_t l = 0; l < j.analysis->leak_count; l++) {
		found += j.analysis->leaks[l].blocks;
		found_direct += j.analysis->leaks[l].count;
	}
	for (size_t s = 0; s < j.analysis->structure_count; s++)
		found += j.analysis->structures[s].member_count + j.analysis->structures[s].entrained_count;
	assert_int_equal(found, lost);
	assert_int_equal(found_direct, direct);
	assert_int_equal(j.analysis->structure_count, cyclic);
	judged_free(&j);
}

static void test_random(void **state)
{
	uint64_t seed = 20261123;

	for (unsigned round = 0; round < 400; round++) {
		struct heap heap = random_heap(&seed);

		expect_heap(&heap);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_direct_and_indirect),
		cmocka_unit_test(test_cycle),
		cmocka_unit_test(test_cycle_behind_a_leak),
		cmocka_unit_test(test_block_with_itself),
		cmocka_unit_test(test_over_referenced),
		cmocka_unit_test(test_weak),
		cmocka_unit_test(test_dead_structure),
		cmocka_unit_test(test_shared_block),
		cmocka_unit_test(test_object_in_no_block),
		cmocka_unit_test(test_lost_part),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
