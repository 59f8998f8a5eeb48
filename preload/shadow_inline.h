/* SPDX-License-Identifier: Apache-2.0
 *
 * The ways into the shadow that the malloc family's hooks take at every call, as
 * parts of the hook: of so little work, calls would be the largest part.  Others
 * take the functions of shadow.h.
 */
#ifndef SHADOW_INLINE_H
#define SHADOW_INLINE_H

#include "emit.h"
#include "generation.h"
#include "object.h"
#include "pagemap.h"
#include "pool.h"
#include "shadow.h"

#define SHADOW_SIZE_BITS 48
#define SHADOW_SIZE_MAX  ((UINT64_C(1) << SHADOW_SIZE_BITS) - 1)

/* Births and deaths reach the shared counter of the generations this many at a
 * time, lest all threads write to one cache line at every allocation. */
#define SHADOW_BIRTHS_BATCH 64

struct shadow_record {
	uint64_t size_runtime; /* size, runtime << SHADOW_SIZE_BITS */
	uint32_t birth;
	uint32_t stack;
};
_Static_assert(sizeof(struct shadow_record) == 16, "four records share a cache line");

/* A granule can hold two blocks of allocators that align to 8 only: those whose
 * address has bit 3 have a map of their own, which others never touch. */
extern struct pagemap g_shadow_maps[2];
extern struct pool g_shadow_records;

void shadow_count_batch(struct thread *thread);
void shadow_not_inserted(uintptr_t address);
bool shadow_remove_described(struct thread *thread, uint32_t *slot, uintptr_t address,
			     struct shadow_block *former);

static inline struct pagemap *shadow_map_of(uintptr_t address)
{
	return &g_shadow_maps[address >> 3 & 1];
}

static inline struct shadow_record *shadow_record_at(uint32_t index)
{
	return (struct shadow_record *)(void *)pool_segment(&g_shadow_records, index) + POOL_PLACE(index);
}

/* The slot of an address, NULL when nothing was ever stored near it, which the
 * processor is asked for.  The next two calls need it. */
static inline uint32_t *shadow_slot(uintptr_t address)
{
	uint32_t *slot = pagemap_peek(shadow_map_of(address), address);

	if (slot)
		__builtin_prefetch(slot, 1);
	return slot;
}

static inline void shadow_count_births(struct thread *thread, int64_t births)
{
	thread->births += births;
	if (__builtin_expect(thread->births >= SHADOW_BIRTHS_BATCH || thread->births <= -SHADOW_BIRTHS_BATCH,
			     0))
		shadow_count_batch(thread);
}

static inline uint64_t shadow_pack(uint64_t size, uint8_t runtime)
{
	return (size < SHADOW_SIZE_MAX ? size : SHADOW_SIZE_MAX) | (uint64_t)runtime << SHADOW_SIZE_BITS;
}

static inline __attribute__((always_inline)) void
shadow_store(struct thread *thread, uint32_t *slot, uint64_t size_runtime, uint32_t birth, uint32_t stack)
{
	const uint32_t index = pool_take(&g_shadow_records, &thread->block_free);
	struct shadow_record *record;
	uint32_t former;

	if (__builtin_expect(!index, 0)) {
		limits_count(CASTAWAY_LIMIT_MEMORY, 1, NULL);
		return;
	}
	record = shadow_record_at(index);
	record->size_runtime = size_runtime;
	record->birth = birth;
	record->stack = stack;
	/* No exchange: nobody else has this block, and another thread that frees
	 * it without having it finds one of the two. */
	former = __atomic_load_n(slot, __ATOMIC_RELAXED);
	__atomic_store_n(slot, index, __ATOMIC_RELEASE);
	/* The end of an older block here was missed; it ends now. */
	if (__builtin_expect(former != 0, 0)) {
		pool_give(&g_shadow_records, &thread->block_free, former);
		shadow_count_births(thread, -1);
	}
}

/* A block was born (after the real call).  Its parts one by one: to copy what was
 * just stored in parts, the processor must wait for all stores before. */
static inline __attribute__((always_inline)) void shadow_insert_at(struct thread *thread, uint32_t *slot,
								   uintptr_t address, uint64_t size,
								   uint32_t stack, uint8_t runtime)
{
	if (__builtin_expect(!slot, 0))
		slot = pagemap_slot(shadow_map_of(address), address);
	if (__builtin_expect(!slot || (address & 7), 0)) {
		shadow_not_inserted(address);
		return;
	}
	/* As in CPython, the newborn that starts a pass is not part of it. */
	shadow_count_births(thread, 1);
	shadow_store(thread, slot, shadow_pack(size, runtime), generation_birth(CASTAWAY_DOMAIN_BLOCKS),
		     stack);
}

/* A block dies (before the real call).  Mostly nobody asks what it was, and its
 * record is long out of the cache. */
static inline __attribute__((always_inline)) bool
shadow_remove_at(struct thread *thread, uint32_t *slot, uintptr_t address, struct shadow_block *former)
{
	uint32_t index;

	if (__builtin_expect(former != NULL || object_count() != 0 || (address & 7), 0))
		return shadow_remove_described(thread, slot, address, former);
	index = pagemap_take(slot);
	if (__builtin_expect(!index, 0))
		return false;
	pool_give(&g_shadow_records, &thread->block_free, index);
	shadow_count_births(thread, -1);
	return true;
}

#endif
