/* SPDX-License-Identifier: Apache-2.0
 *
 * Small blocks of a runtime that allocates under a lock of its own: one 4-byte
 * slot per 16 bytes holds the size and the place of birth, and there is nothing
 * else to a block, so that a birth costs a walk through the page map and a
 * store.  Owner and reader of a block is whoever holds the runtime's lock; a
 * fork child and the snapshot may read at any time.  shadow_find() and
 * shadow_for_each() see these blocks too.
 */
#ifndef MANAGED_H
#define MANAGED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagemap.h"

/* A slot: stack, size in steps of 8 bytes (0: as a block of no bytes), watch mark. */
#define MANAGED_STACK_BITS 24
#define MANAGED_STACK_MASK ((UINT32_C(1) << MANAGED_STACK_BITS) - 1)
#define MANAGED_SIZE_SHIFT MANAGED_STACK_BITS
#define MANAGED_SIZE_MAX   512u
#define MANAGED_WATCHED    (UINT32_C(1) << 31)
/* The block is in the shadow; here is only its mark. */
#define MANAGED_ELSEWHERE (UINT32_C(127) << MANAGED_SIZE_SHIFT)

/* The slot of a block that is there, not elsewhere and not watched. */
static inline bool managed_is_ordinary(uint32_t held)
{
	return held - 1 < MANAGED_ELSEWHERE - 1;
}

extern struct pagemap g_managed;

struct managed_block {
	uintptr_t address;
	uint64_t size; /* rounded up to a multiple of 8 */
	uint32_t stack;
};

static inline bool managed_fits(uintptr_t address, size_t size)
{
	return size <= MANAGED_SIZE_MAX && !(address & 15);
}

static inline void managed_put(uint32_t *slot, size_t size, uint32_t stack)
{
	const uint32_t steps = ((uint32_t)size + 7 + !size) / 8;

	__atomic_store_n(slot, steps << MANAGED_SIZE_SHIFT | stack, __ATOMIC_RELAXED);
}

/* False without memory.  A place of birth that has too large a number is lost. */
static inline bool managed_insert(uintptr_t address, size_t size, uint32_t stack)
{
	uint32_t *slot = pagemap_slot(&g_managed, address);

	if (!slot)
		return false;
	managed_put(slot, size, stack <= MANAGED_STACK_MASK ? stack : 0);
	return true;
}

/* The same where nothing has to be made and nothing lost for it; else false. */
static inline bool managed_insert_short(uintptr_t address, size_t size, uint32_t stack)
{
	uint32_t *slot = pagemap_peek(&g_managed, address);

	if (__builtin_expect(!slot || stack > MANAGED_STACK_MASK, 0))
		return false;
	managed_put(slot, size, stack);
	return true;
}

/* What the slot held, 0 = no such block; the block is gone then. */
static inline uint32_t managed_take(uintptr_t address)
{
	uint32_t *slot = pagemap_peek(&g_managed, address);
	uint32_t held = slot ? __atomic_load_n(slot, __ATOMIC_RELAXED) : 0;

	if (__builtin_expect(held != 0, 1))
		__atomic_store_n(slot, 0, __ATOMIC_RELAXED);
	return held;
}

/* The end of a block, where it is ordinary; else false, and nothing was done. */
static inline bool managed_end_ordinary(uintptr_t address)
{
	uint32_t *slot = pagemap_peek(&g_managed, address);

	if (__builtin_expect(!slot || !managed_is_ordinary(__atomic_load_n(slot, __ATOMIC_RELAXED)), 0))
		return false;
	__atomic_store_n(slot, 0, __ATOMIC_RELAXED);
	return true;
}

/* Puts back what managed_take() gave. */
void managed_restore(uintptr_t address, uint32_t held);

/* From now on managed_take() of the block says MANAGED_WATCHED; also for a
 * block of the runtime that is in the shadow. */
void managed_watch(uintptr_t address);

bool managed_find(uintptr_t address, struct managed_block *ret);
/* The first block at `address` or after, on a walk through g_managed; false when
 * there is none. */
bool managed_next(struct pagemap_walk *walk, uintptr_t address, struct managed_block *ret);
uint64_t managed_count(void); /* by counting them */

#endif
