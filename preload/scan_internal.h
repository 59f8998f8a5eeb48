/* SPDX-License-Identifier: Apache-2.0
 *
 * The words of the index, for those who look into them: scan_index.c and scan.c.
 */
#ifndef SCAN_INTERNAL_H
#define SCAN_INTERNAL_H

#include "scan.h"

#define SCAN_REGION_BITS  30
#define SCAN_REGION_COUNT (1u << (47 - SCAN_REGION_BITS))
#define SCAN_WORD_BITS    6 /* a word tells of 64 granules */

/* Random pointers find no word in a cache: the fewer lines and pages they are in,
 * the better.  So the bits stand for no smaller granules than the blocks need. */
struct scan_word {
	uint64_t starts;
	uint32_t before; /* blocks that start before this word; 0 where no block reaches */
	uint32_t unused;
};
_Static_assert(sizeof(struct scan_word) == 16, "four words share a cache line");

#define SCAN_INLINE static inline __attribute__((always_inline))

/* Of the words of its region. */
SCAN_INLINE uint64_t scan_word_of(const struct scan_index *index, uint64_t address)
{
	return (address & ((UINT64_C(1) << SCAN_REGION_BITS) - 1)) >> (index->granule_bits + SCAN_WORD_BITS);
}

/* Blocks that start in this granule of the word or before. */
SCAN_INLINE uint32_t scan_rank(const struct scan_word *word, uint64_t granule)
{
	return word->before + (uint32_t)__builtin_popcountll(word->starts << (~granule & 63));
}

SCAN_INLINE bool scan_inside(const struct scan_block *block, uint64_t address)
{
	return address - block->address < (block->size ? block->size : 1);
}

#endif
