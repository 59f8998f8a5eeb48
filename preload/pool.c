/* SPDX-License-Identifier: Apache-2.0
 *
 * Record pools.  Free records go to the thread's own list first; what it has
 * too many of goes to a shared list in batches, so that a thread that only
 * frees feeds one that only allocates.  Runs under the guard, never waits.
 */
#include "pool.h"

#include <stdbool.h>

#include "arena.h"

enum {
	BATCH = 128,      /* records that move between a thread and the shared list */
	FRESH = 32,       /* never used records that a thread takes at once */
	CACHE_LIMIT = 256 /* above this a thread gives a batch back */
};

/* A free record: next of the same batch; in a batch's first record also the
 * first record of the next batch. */
struct free_record {
	uint32_t next, next_batch;
};

static struct free_record *free_at(struct pool *pool, uint32_t index)
{
	return pool_at(pool, index);
}

static bool segment_ready(struct pool *pool, uint32_t segment)
{
	uint8_t **where = &pool->segments[segment];
	uint8_t *known = __atomic_load_n(where, __ATOMIC_ACQUIRE);
	size_t size = (size_t)pool->record_size << POOL_SEGMENT_BITS;
	uint8_t *fresh;

	if (known)
		return true;
	fresh = arena_map(size);
	if (!fresh)
		return false;
	if (!__atomic_compare_exchange_n(where, &known, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		arena_unmap(fresh, size);
	return true;
}

/* Up to `want` records that were never used: the first index, 0 when full. */
static uint32_t take_fresh(struct pool *pool, uint32_t want, uint32_t *got)
{
	uint32_t used = __atomic_load_n(&pool->used, __ATOMIC_RELAXED);
	uint32_t first, left;

	do {
		first = used + 1;
		/* A batch stays in its segment: one mapping check for all. */
		left = (1u << POOL_SEGMENT_BITS) - (first & ((1u << POOL_SEGMENT_BITS) - 1));
		*got = want < left ? want : left;
		if (first >> POOL_SEGMENT_BITS >= POOL_SEGMENTS ||
		    !segment_ready(pool, first >> POOL_SEGMENT_BITS))
			return 0;
	} while (!__atomic_compare_exchange_n(&pool->used, &used, used + *got, true, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	return first;
}

static void push_batch(struct pool *pool, uint32_t first)
{
	uint64_t head = __atomic_load_n(&pool->batches, __ATOMIC_RELAXED);
	uint64_t fresh;

	do {
		__atomic_store_n(&free_at(pool, first)->next_batch, (uint32_t)head, __ATOMIC_RELAXED);
		fresh = ((head >> 32) + 1) << 32 | first;
	} while (!__atomic_compare_exchange_n(&pool->batches, &head, fresh, true, __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
}

/* The tag makes the exchange fail when the head was taken and put back since;
 * what was read from it meanwhile may be garbage, which then is not used. */
static uint32_t pop_batch(struct pool *pool)
{
	uint64_t head = __atomic_load_n(&pool->batches, __ATOMIC_ACQUIRE);
	uint64_t fresh;

	do {
		if (!(uint32_t)head)
			return 0;
		fresh = ((head >> 32) + 1) << 32 |
			__atomic_load_n(&free_at(pool, (uint32_t)head)->next_batch, __ATOMIC_RELAXED);
	} while (!__atomic_compare_exchange_n(&pool->batches, &head, fresh, true, __ATOMIC_ACQUIRE,
					      __ATOMIC_ACQUIRE));
	return (uint32_t)head;
}

static void cache_push(struct pool *pool, const struct pool_cache *cache, uint32_t index)
{
	__atomic_store_n(&free_at(pool, index)->next, *cache->head, __ATOMIC_RELAXED);
	*cache->head = index;
	++*cache->count;
}

static void cache_refill(struct pool *pool, const struct pool_cache *cache)
{
	uint32_t first = pop_batch(pool);
	uint32_t got;

	if (first) {
		*cache->head = first;
		*cache->count = BATCH;
		return;
	}
	first = take_fresh(pool, FRESH, &got);
	if (!first)
		return;
	/* Last first: they come out in the order of their addresses. */
	while (got)
		cache_push(pool, cache, first + --got);
}

uint32_t pool_take(struct pool *pool, const struct pool_cache *cache)
{
	uint32_t index, got;

	if (!cache) {
		index = pop_batch(pool);
		return index ? index : take_fresh(pool, 1, &got);
	}
	if (!*cache->head)
		cache_refill(pool, cache);
	index = *cache->head;
	if (index) {
		*cache->head = free_at(pool, index)->next;
		--*cache->count;
	}
	return index;
}

/* Moves the BATCH newest records of the thread's list to the shared one. */
static void cache_spill(struct pool *pool, const struct pool_cache *cache)
{
	uint32_t first = *cache->head, last = first;

	for (unsigned i = 1; i < BATCH; i++)
		last = free_at(pool, last)->next;
	*cache->head = free_at(pool, last)->next;
	*cache->count -= BATCH;
	__atomic_store_n(&free_at(pool, last)->next, 0, __ATOMIC_RELAXED);
	push_batch(pool, first);
}

void pool_give(struct pool *pool, const struct pool_cache *cache, uint32_t index)
{
	if (!cache) {
		__atomic_store_n(&free_at(pool, index)->next, 0, __ATOMIC_RELAXED);
		push_batch(pool, index);
		return;
	}
	cache_push(pool, cache, index);
	if (*cache->count > CACHE_LIMIT)
		cache_spill(pool, cache);
}
