/* SPDX-License-Identifier: Apache-2.0
 *
 * The index of a scan: where blocks start, and how many start before.
 */
#include <string.h>

#include "arch.h"
#include "arena.h"
#include "scan_internal.h"

/* Below it all that is looked at finds room in the processor's tables of small
 * pages, and large ones would only take time to be zeroed. */
#define LARGE                      100000u /* blocks */
#define REGION_WORDS(granule_bits) ((size_t)1 << (SCAN_REGION_BITS - SCAN_WORD_BITS - (granule_bits)))

static void *map(const struct scan_index *index, size_t size)
{
	return index->capacity < LARGE ? arena_map(size) : arena_map_large(size);
}

bool scan_index_begin(struct scan_index *index, uint32_t expected, bool odd)
{
	memset(index, 0, sizeof *index);
	index->capacity = expected;
	index->granule_bits = odd ? 3 : 4;
	index->step = 8;
	index->mask = ~UINT64_C(0);
	index->filter = arch_find_word_filter();
	index->blocks = map(index, (size_t)expected * sizeof *index->blocks + 1);
	/* One more, always NULL, for what is no address of user space. */
	index->regions = arena_map((SCAN_REGION_COUNT + 1) * sizeof *index->regions);
	index->sizes = map(index, (size_t)expected * sizeof *index->sizes + 1);
	index->failed = !index->blocks || !index->sizes || !index->regions;
	return !index->failed;
}

static struct scan_word *word_of(struct scan_index *index, uint64_t address)
{
	struct scan_word **region = &index->regions[address >> SCAN_REGION_BITS];

	if (!*region)
		*region = map(index, REGION_WORDS(index->granule_bits) * sizeof **region);
	return *region ? *region + scan_word_of(index, address) : NULL;
}

/* Every word that the block reaches learns how many blocks start before it, so
 * that a pointer into the middle of a large block finds its rank there. */
static bool mark(struct scan_index *index, uint64_t address, uint64_t size)
{
	const uint64_t last = address + (size ? size - 1 : 0);
	const uint32_t bits = index->granule_bits + SCAN_WORD_BITS;
	struct scan_word *word = word_of(index, address);

	if (!word)
		return false;
	if (!word->starts)
		word->before = index->count;
	word->starts |= UINT64_C(1) << (address >> index->granule_bits & 63);
	for (uint64_t at = (address >> bits) + 1; at <= last >> bits; at++) {
		word = word_of(index, at << bits);
		if (!word)
			return false;
		word->before = index->count + 1;
	}
	return true;
}

bool scan_index_add(struct scan_index *index, uint64_t address, uint64_t size, uint8_t runtime)
{
	const struct scan_block *former = index->count ? &index->blocks[index->count - 1] : NULL;

	if (index->failed || index->count == index->capacity)
		return false;
	if (address & ((UINT64_C(1) << index->granule_bits) - 1) || address >> 47 ||
	    size > (UINT64_C(1) << 47) - address)
		return false;
	if (former && address < former->address + (former->size ? former->size : 1))
		return false;
	if (!mark(index, address, size)) {
		index->failed = true;
		return false;
	}
	if (index->count == 0)
		index->low = address;
	index->high = address + (size ? size : 1);
	index->sizes[index->count] = (uint16_t)(size < UINT16_MAX ? size + !size : UINT16_MAX);
	index->blocks[index->count++] =
		(struct scan_block){.address = address, .size = size & SCAN_SIZE_MASK, .runtime = runtime};
	return true;
}

void scan_index_options(struct scan_index *index, uint64_t alignment, uint64_t tag_bits)
{
	index->step = 8;
	while (index->step > 1 && index->step > alignment)
		index->step /= 2;
	index->mask = ~UINT64_C(0) << (tag_bits < SCAN_TAG_BITS_MAX ? tag_bits : SCAN_TAG_BITS_MAX);
}

uint32_t scan_find(const struct scan_index *index, uintptr_t address)
{
	const struct scan_word *region = address >> 47 ? NULL : index->regions[address >> SCAN_REGION_BITS];
	const struct scan_word *word = region ? &region[scan_word_of(index, address)] : NULL;
	const uint32_t blocks = word ? scan_rank(word, address >> index->granule_bits) : 0;

	return blocks && scan_inside(&index->blocks[blocks - 1], address) ? blocks - 1 : SCAN_NONE;
}
