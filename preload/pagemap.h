/* SPDX-License-Identifier: Apache-2.0
 *
 * From an address to a 32-bit slot, one slot per 16 bytes of address space, in
 * three levels that are made when they are first written to.  Lock-free, never
 * shrinks; usable from any thread and in a fork child.
 */
#ifndef PAGEMAP_H
#define PAGEMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/single_threaded.h>

#define PAGEMAP_GRANULE_BITS 4
#define PAGEMAP_LEAF_BITS    16
#define PAGEMAP_MID_BITS     19
#define PAGEMAP_TOP_BITS     8
#define PAGEMAP_ADDRESS_BITS (PAGEMAP_GRANULE_BITS + PAGEMAP_LEAF_BITS + PAGEMAP_MID_BITS + PAGEMAP_TOP_BITS)

struct pagemap_leaf {
	uint32_t slots[1u << PAGEMAP_LEAF_BITS];
};

/* Large, of which little is ever touched, so that the top is small: it lies with
 * other variables that every event reads. */
#define PAGEMAP_MID_PART 512u /* leaves of a page */
struct pagemap_mid {
	struct pagemap_leaf *leaves[1u << PAGEMAP_MID_BITS];
	uint64_t parts[(1u << PAGEMAP_MID_BITS) / PAGEMAP_MID_PART / 64]; /* a bit for each that has a leaf */
};

/* Static storage; all zero is an empty map. */
struct pagemap {
	struct pagemap_mid *top[1u << PAGEMAP_TOP_BITS];
};

/* The slot of an address, or NULL when nothing was ever stored near it. */
static inline uint32_t *pagemap_peek(struct pagemap *map, uintptr_t address)
{
	struct pagemap_mid *mid;
	struct pagemap_leaf *leaf;

	if (address >> PAGEMAP_ADDRESS_BITS)
		return NULL;
	mid = __atomic_load_n(&map->top[address >> (PAGEMAP_ADDRESS_BITS - PAGEMAP_TOP_BITS)],
			      __ATOMIC_ACQUIRE);
	if (!mid)
		return NULL;
	leaf = __atomic_load_n(&mid->leaves[(address >> (PAGEMAP_GRANULE_BITS + PAGEMAP_LEAF_BITS)) &
					    ((1u << PAGEMAP_MID_BITS) - 1)],
			       __ATOMIC_ACQUIRE);
	if (!leaf)
		return NULL;
	return &leaf->slots[(address >> PAGEMAP_GRANULE_BITS) & ((1u << PAGEMAP_LEAF_BITS) - 1)];
}

/* The same, made when it is not there; NULL only without memory or for an
 * address outside the user half. */
uint32_t *pagemap_slot(struct pagemap *map, uintptr_t address);

static inline uint32_t pagemap_get(struct pagemap *map, uintptr_t address)
{
	uint32_t *slot = pagemap_peek(map, address);

	return slot ? __atomic_load_n(slot, __ATOMIC_ACQUIRE) : 0;
}

/* Stores 0 in a slot (NULL: none) and returns what was there: only one of
 * several racing callers gets it. */
static inline uint32_t pagemap_take(uint32_t *slot)
{
	/* The load keeps unknown addresses from dirtying pages. */
	uint32_t held = slot ? __atomic_load_n(slot, __ATOMIC_RELAXED) : 0;

	if (!held)
		return 0;
	if (!__libc_single_threaded)
		return __atomic_exchange_n(slot, 0, __ATOMIC_ACQ_REL);
	/* There is nobody to race with, and the exchange would cost more than all the rest. */
	__atomic_store_n(slot, 0, __ATOMIC_RELEASE);
	return held;
}

/* A walk through all of a map: most of a leaf is never written to, and what it
 * says of the leaf that was read last need not be asked again. */
struct pagemap_walk {
	struct pagemap *map;
	int fd; /* pages.h */
	const struct pagemap_leaf *leaf;
	uint64_t exist; /* of its pages, the first in the lowest bit */
};
void pagemap_walk_begin(struct pagemap_walk *walk, struct pagemap *map);
void pagemap_walk_end(struct pagemap_walk *walk);

/* The first slot that is not 0, from the granule of *address on and before end:
 * sets *address to the start of its granule and *value to what it holds; false
 * when there is none. */
bool pagemap_walk_next(struct pagemap_walk *walk, uintptr_t *address, uintptr_t end, uint32_t *value);
/* The same for a short way. */
bool pagemap_next(struct pagemap *map, uintptr_t *address, uintptr_t end, uint32_t *value);

#endif
