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

static inline struct pagemap *shadow_map_of(uintptr_t address)
{
	return &g_shadow_maps[address >> 3 & 1];
}

static inline struct shadow_record *shadow_record_at(uint32_t index)
{
	return (struct shadow_record *)(void *)pool_segment(&g_shadow_records, index) + POOL_PLACE(index);
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
	/* One by one: a copy of what was just stored in parts would wait for that. */
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

/* The slot of a block of an allocator that aligns to 16, as libc's does, which the
 * processor is asked for; NULL when nothing was ever stored near it, and for other
 * addresses.  For the next two calls. */
static inline uint32_t *shadow_slot_usual(uintptr_t address)
{
	uint32_t *slot = address & 15 ? NULL : pagemap_peek(&g_shadow_maps[0], address);

	if (slot)
		__builtin_prefetch(slot, 1);
	return slot;
}

/* A block was born (after the real call), at any slot. */
static inline __attribute__((always_inline)) void
shadow_insert_at(struct thread *thread, uint32_t *slot, uint64_t size, uint32_t stack, uint8_t runtime)
{
	/* As in CPython, the newborn that starts a pass is not part of it. */
	shadow_count_births(thread, 1);
	shadow_store(thread, slot, shadow_pack(size, runtime), generation_birth(CASTAWAY_DOMAIN_BLOCKS),
		     stack);
}

/* A block dies (before the real call), and nobody asks what it was: its record is long
 * out of the cache. */
static inline __attribute__((always_inline)) bool shadow_remove_usual(struct thread *thread, uint32_t *slot)
{
	const uint32_t index = pagemap_take(slot);

	if (__builtin_expect(!index, 0))
		return false;
	pool_give(&g_shadow_records, &thread->block_free, index);
	shadow_count_births(thread, -1);
	return true;
}

#endif
