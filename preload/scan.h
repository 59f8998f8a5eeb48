/* SPDX-License-Identifier: Apache-2.0
 *
 * From words of memory to blocks.  The index is a bitmap of block starts (one
 * bit per 16 bytes, or 8 where blocks need it) with a rank beside 96 of them, so
 * that a word is classified with one look at the bitmap and one at the block,
 * whatever the number of blocks.  Pointers into the inside of a block count,
 * pointers to its end do not.
 *
 * Runs in the snapshot child only: one thread, memory from the arena, no libc
 * but mem*.
 */
#ifndef SCAN_H
#define SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch.h"

#define SCAN_NONE      UINT32_MAX
#define SCAN_SIZE_BITS 56
#define SCAN_SIZE_MASK ((UINT64_C(1) << SCAN_SIZE_BITS) - 1)

struct scan_block {
	uint64_t address;
	uint64_t size : SCAN_SIZE_BITS;
	uint64_t runtime : 8; /* whose allocator made it */
};

struct scan_word; /* scan_internal.h */

struct scan_index {
	struct scan_block *blocks; /* by address, not overlapping */
	uint16_t *sizes;           /* the same with less to read: 1 for 0, UINT16_MAX for what is more */
	uint32_t count, capacity;
	struct scan_word **regions; /* by address >> 30 */
	uint64_t low, high;         /* no block is outside */
	uint64_t mask;              /* of a pointer's value */
	uint64_t step;              /* bytes between words that may be pointers */
	uint32_t granule_bits;      /* of an address: at most one block starts in a granule */
	arch_word_filter filter;    /* arch.h; NULL: the processor has none */
	bool failed;                /* no memory, or blocks out of order */
};

/* A word at `offset` bytes into what was scanned points `interior` bytes into
 * block `to`. */
struct scan_hit {
	uint32_t from, to;
	uint64_t offset, interior;
};
/* `count` of them, at least one. */
typedef void (*scan_sink)(void *arg, const struct scan_hit *hits, size_t count);

/* Blocks come in the order of their addresses; one that overlaps the former is
 * left out (false), as is any block past the first failure, and one that is at
 * no multiple of 16 where it was not said that some are `odd`: multiples of 8. */
bool scan_index_begin(struct scan_index *index, uint32_t expected, bool odd);
bool scan_index_add(struct scan_index *index, uint64_t address, uint64_t size, uint8_t runtime);

/* What may be a pointer: words at multiples of `alignment` (1, 2, 4, 8), whose
 * lowest `tag_bits` bits are no part of the address.  From the start: 8 and 0. */
#define SCAN_TAG_BITS_MAX 6u
void scan_index_options(struct scan_index *index, uint64_t alignment, uint64_t tag_bits);

/* Number of the block that holds `address`, or SCAN_NONE. */
uint32_t scan_find(const struct scan_index *index, uintptr_t address);

/* Words of [start, end) at aligned addresses; hits carry `from`. */
void scan_range(const struct scan_index *index, uint32_t from, const void *start, const void *end,
		scan_sink sink, void *arg);

/* The contents of blocks [first, last), hits in the order of `from`. */
void scan_blocks(const struct scan_index *index, uint32_t first, uint32_t last, scan_sink sink, void *arg);

#endif
