/* SPDX-License-Identifier: Apache-2.0
 *
 * Words to blocks: edges of blocks and of the index's words and regions, and
 * random memory against a look at every block.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "preload/arch.h"
#include "preload/scan.h"
#include "preload_stub.h"

#define MAX_HITS 32768

struct hits {
	struct scan_hit hit[MAX_HITS];
	uint32_t count;
};

static void take(void *arg, const struct scan_hit *found, size_t count)
{
	struct hits *hits = arg;

	assert_true(count > 0 && count <= MAX_HITS - hits->count);
	memcpy(&hits->hit[hits->count], found, count * sizeof(*found));
	hits->count += (uint32_t)count;
}

static void test_find(void **state)
{
	/* Side by side, of size 0, over many words, across a gigabyte, near the top. */
	static const struct {
		uint64_t address, size;
	} blocks[] = {
		{0x1000, 24},
		{0x1018, 8},
		{0x1020, 0},
		{0x1028, 100000},
		{0x3fffffc0, 256},
		{0x7ffffff0, 17},
		{(UINT64_C(1) << 47) - 64, 64},
	};
	const uint32_t count = sizeof(blocks) / sizeof(blocks[0]);
	struct scan_index index;

	assert_true(scan_index_begin(&index, count, true));
	for (uint32_t i = 0; i < count; i++)
		assert_true(scan_index_add(&index, blocks[i].address, blocks[i].size, 0));
	for (uint32_t i = 0; i < count; i++) {
		uint64_t size = blocks[i].size ? blocks[i].size : 1;

		assert_int_equal(scan_find(&index, blocks[i].address), i);
		assert_int_equal(scan_find(&index, blocks[i].address + size - 1), i);
		assert_int_equal(scan_find(&index, blocks[i].address + size / 2), i);
		if (i + 1 == count || blocks[i].address + size < blocks[i + 1].address)
			assert_int_equal(scan_find(&index, blocks[i].address + size), SCAN_NONE);
	}
	assert_int_equal(scan_find(&index, 0), SCAN_NONE);
	assert_int_equal(scan_find(&index, 0xff8), SCAN_NONE);
	assert_int_equal(scan_find(&index, UINTPTR_MAX), SCAN_NONE);
	assert_int_equal(scan_find(&index, UINT64_C(1) << 47), SCAN_NONE);
}

static void test_refused(void **state)
{
	struct scan_index index;

	assert_true(scan_index_begin(&index, 3, true));
	assert_true(scan_index_add(&index, 0x2000, 64, 0));
	assert_false(scan_index_add(&index, 0x2038, 64, 0)); /* overlaps */
	assert_false(scan_index_add(&index, 0x1000, 8, 0));  /* out of order */
	assert_false(scan_index_add(&index, 0x3004, 8, 0));  /* not aligned */
	assert_false(scan_index_add(&index, UINT64_C(1) << 47, 8, 0));
	assert_false(scan_index_add(&index, (UINT64_C(1) << 47) - 8, 16, 0));
	assert_true(scan_index_add(&index, 0x2040, 8, 2));
	assert_true(scan_index_add(&index, 0x2048, 8, 0));
	assert_false(scan_index_add(&index, 0x2050, 8, 0)); /* more than announced */
	assert_false(index.failed);
	assert_int_equal(index.count, 3);
	assert_int_equal(index.blocks[1].runtime, 2);
	assert_int_equal(index.blocks[1].size, 8);
	assert_true(scan_index_begin(&index, 2, false));
	assert_false(scan_index_add(&index, 0x2008, 8, 0)); /* odd */
	assert_true(scan_index_add(&index, 0x2010, 8, 0));
}

static void test_range(void **state)
{
	uint64_t words[5] = {0x5000, 0x5007, 0x5040, 0x4fff, 0x50};
	struct hits hits = {.count = 0};
	struct scan_index index;

	assert_true(scan_index_begin(&index, 1, false));
	assert_true(scan_index_add(&index, 0x5000, 64, 0));
	scan_range(&index, 9, words, words + 5, take, &hits);
	assert_int_equal(hits.count, 2);
	assert_int_equal(hits.hit[0].from, 9);
	assert_int_equal(hits.hit[0].offset, 0);
	assert_int_equal(hits.hit[0].interior, 0);
	assert_int_equal(hits.hit[1].offset, 8);
	assert_int_equal(hits.hit[1].interior, 7);
	/* Only whole, aligned words. */
	hits.count = 0;
	scan_range(&index, 0, (char *)words + 1, (char *)words + 15, take, &hits);
	assert_int_equal(hits.count, 0);
	scan_range(&index, 0, (char *)words + 4, (char *)words + 16, take, &hits);
	assert_int_equal(hits.count, 1);
	assert_int_equal(hits.hit[0].offset, 4);
}

/* Cuts memory into random blocks, some of them side by side, some large. */
static void cut(struct scan_index *index, const void *memory, size_t bytes, uint64_t granule, unsigned *seed)
{
	for (uint64_t offset = 0; offset < bytes;) {
		bool large = rand_r(seed) % 32 == 0;
		uint64_t size = (uint64_t)rand_r(seed) % (large ? 4000 : 90);
		bool hole = rand_r(seed) % 3 == 0 && !large;

		if (size > bytes - offset)
			size = bytes - offset;
		if (!hole)
			assert_true(scan_index_add(index, (uintptr_t)memory + offset, size, 0));
		offset += (size + granule) & ~(granule - 1);
	}
}

/* By a look at every block. */
static uint32_t holder(const struct scan_index *index, uint64_t value)
{
	uint32_t to = 0;

	while (to < index->count &&
	       value - index->blocks[to].address >= (index->blocks[to].size ? index->blocks[to].size : 1))
		to++;
	return to;
}

/* The hits are what a look at each word finds. */
static void check_hits(const struct scan_index *index, const struct hits *hits, uint64_t alignment,
		       uint64_t mask)
{
	uint32_t at = 0;

	for (uint32_t from = 0; from < index->count; from++) {
		const struct scan_block *block = &index->blocks[from];

		for (uint64_t offset = 0; offset + 8 <= block->size; offset += alignment) {
			uint64_t value;
			uint32_t to;

			memcpy(&value, (const void *)(uintptr_t)(block->address + offset), sizeof(value));
			value &= mask;
			to = holder(index, value);
			if (to == index->count)
				continue;
			assert_int_equal(hits->hit[at].from, from);
			assert_int_equal(hits->hit[at].offset, offset);
			assert_int_equal(hits->hit[at].to, to);
			assert_int_equal(hits->hit[at].interior, value - index->blocks[to].address);
			at++;
		}
	}
	assert_int_equal(at, hits->count);
	assert_true(at > 500);
}

static uint64_t s_memory[4096];

static void fill(unsigned *seed)
{
	const uintptr_t start = (uintptr_t)s_memory;

	for (size_t i = 0; i < 4096; i++)
		s_memory[i] = rand_r(seed) % 4 ? start + (uint64_t)rand_r(seed) % sizeof(s_memory)
					       : (uint64_t)rand_r(seed) << 20;
	/* Pointers that lie across two words. */
	for (size_t i = 0; i < 1000; i++) {
		uint64_t value = start + (uint64_t)rand_r(seed) % sizeof(s_memory);

		memcpy((char *)s_memory + 4 + 32 * i, &value, sizeof(value));
	}
}

static void check_blocks(struct scan_index *index)
{
	const arch_word_filter filter = index->filter;
	static struct hits hits;

	for (uint64_t alignment = 8; alignment > 0; alignment /= 2) {
		for (unsigned variant = 0; variant < 4; variant++) {
			unsigned tag_bits = variant / 2 * 4;

			scan_index_options(index, alignment, tag_bits);
			index->filter = variant % 2 == 0 ? filter : NULL;
			hits.count = 0;
			scan_blocks(index, 0, index->count, take, &hits);
			check_hits(index, &hits, alignment, ~UINT64_C(0) << tag_bits);
		}
	}
}

static void test_blocks(void **state)
{
	struct scan_index index;
	unsigned seed = 3;

	/* Aligned as a large block of malloc's is. */
	const uintptr_t memory = ((uintptr_t)s_memory + 15) & ~(uintptr_t)15;

	for (uint64_t granule = 8; granule <= 16; granule *= 2) {
		assert_true(scan_index_begin(&index, 4096, granule == 8));
		cut(&index, (void *)memory, sizeof(s_memory) - 16, granule, &seed);
		fill(&seed);
		check_blocks(&index);
	}
}

/* Few of many words look like pointers, and the last of a run does. */
static void test_filter(void **state)
{
	const arch_word_filter filter = arch_find_word_filter();
	uint32_t found[100 + ARCH_FILTER_SPARE];
	uint64_t words[100];

	if (filter == NULL)
		skip();
	for (uint32_t count = 0; count <= 100; count++) {
		uint32_t expected = 0;

		for (uint32_t i = 0; i < count; i++)
			words[i] = i % 7 == 6 || i == count - 1 ? UINT64_MAX - 10 + i % 10 : i;
		assert_int_equal(filter(words, count, UINT64_MAX - 10, 10, found), (count + 6) / 7);
		for (uint32_t i = 0; i < count; i++) {
			if (words[i] > 1000)
				assert_int_equal(found[expected++], i);
		}
		assert_int_equal(expected, (count + 6) / 7);
	}
	words[0] = 4, words[1] = 5, words[2] = 14, words[3] = 15, words[4] = UINT64_C(1) << 63;
	assert_int_equal(filter(words, 5, 5, 10, found), 2);
	assert_int_equal(found[0], 1);
	assert_int_equal(found[1], 2);
}

static void test_options(void **state)
{
	struct scan_index index;

	assert_true(scan_index_begin(&index, 1, false));
	assert_int_equal(index.step, 8);
	assert_int_equal(index.mask, UINT64_MAX);
	scan_index_options(&index, 7, 64);
	assert_int_equal(index.step, 4);
	assert_int_equal(index.mask, UINT64_MAX << SCAN_TAG_BITS_MAX);
	scan_index_options(&index, 0, 3);
	assert_int_equal(index.step, 1);
	assert_int_equal(index.mask, UINT64_MAX - 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),   cmocka_unit_test(test_refused), cmocka_unit_test(test_range),
		cmocka_unit_test(test_blocks), cmocka_unit_test(test_filter),  cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
