/* SPDX-License-Identifier: Apache-2.0
 *
 * Record pools.  Free records go to the thread's own list first; what it has
 * too many of goes to a shared list in batches, so that a thread that only
 * frees feeds one that only allocates.  Runs under the guard, never waits.
 */
#include "pool.h"

#include <string.h>

#include "arena.h"

#define FRESH 32u /* never used records that a thread takes at once */

/* A record in the shared list: next of the same batch; in a batch's first record also the
 * first record of the next batch. */
struct free_record {
	uint32_t next, next_batch;
};

static struct free_record *free_at(struct pool *pool, uint32_t index)
{
	return pool_at(pool, index);
}

/* The table that has a place for this segment, NULL without memory.  The first
 * segments, which all exist by then, are in both tables. */
static uint8_t **table_for(struct pool *pool, uint32_t segment)
{
	uint8_t **table = __atomic_load_n(&pool->segments, __ATOMIC_ACQUIRE);
	uint8_t **fresh;

	if (table != pool->first || segment < POOL_FIRST)
		return table;
	fresh = arena_map(POOL_SEGMENTS * sizeof(*fresh));
	if (!fresh)
		return NULL;
	for (uint32_t i = 0; i < POOL_FIRST; i++)
		fresh[i] = __atomic_load_n(&pool->first[i], __ATOMIC_ACQUIRE);
	if (__atomic_compare_exchange_n(&pool->segments, &table, fresh, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return fresh;
	arena_unmap(fresh, POOL_SEGMENTS * sizeof(*fresh));
	return table;
}

static bool segment_ready(struct pool *pool, uint32_t segment)
{
	uint8_t **table = table_for(pool, segment);
	const size_t size = (size_t)pool->record_size << POOL_SEGMENT_BITS;
	uint8_t *near;

	if (table == NULL)
		return false;
	if (pool->near == NULL || segment > pool->near_last >> POOL_SEGMENT_BITS)
		return arena_map_once((void **)&table[segment], size) != NULL;
	if (__atomic_load_n(&table[segment], __ATOMIC_ACQUIRE) != NULL)
		return true;
	near = pool->near + segment * size;
	if (!arena_commit(near, size))
		return false;
	__atomic_store_n(&table[segment], near, __ATOMIC_RELEASE);
	return true;
}

void pool_reserve(struct pool *pool, uint32_t records)
{
	if (pool->near != NULL)
		return;
	pool->near = arena_reserve((size_t)records * pool->record_size);
	if (pool->near != NULL)
		pool->near_last = records - 1;
}

bool pool_cover(struct pool *pool, uint32_t index)
{
	const uint32_t segment = index >> POOL_SEGMENT_BITS;

	return segment < POOL_SEGMENTS && segment_ready(pool, segment);
}

/* Up to `want` records that were never used: the first index, 0 when full. */
static uint32_t take_fresh(struct pool *pool, uint32_t want, uint32_t *got)
{
	uint32_t used = __atomic_load_n(&pool->used, __ATOMIC_ACQUIRE);
	uint32_t first, left;

	do {
		first = used + 1;
		/* A batch stays in its segment: one mapping check for all. */
		left = (1u << POOL_SEGMENT_BITS) - (first & ((1u << POOL_SEGMENT_BITS) - 1));
		*got = want < left ? want : left;
		if (!pool_cover(pool, first))
			return 0;
	} while (!__atomic_compare_exchange_n(&pool->used, &used, used + *got, true, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
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

/* The newest of a batch comes out first. */
static void cache_refill(struct pool *pool, struct pool_cache *cache)
{
	uint32_t first = pop_batch(pool);
	uint32_t got;

	if (first) {
		for (uint32_t i = POOL_BATCH; i > 0; i--) {
			cache->free[i - 1] = first;
			first = free_at(pool, first)->next;
		}
		cache->count = POOL_BATCH;
		return;
	}
	first = take_fresh(pool, FRESH, &got);
	if (!first)
		return;
	/* Last first: they come out in the order of their addresses. */
	for (cache->count = 0; got > 0; got--)
		cache->free[cache->count++] = first + got - 1;
}

uint32_t pool_take_slow(struct pool *pool, struct pool_cache *cache)
{
	uint32_t index, got;

	if (!cache) {
		index = pop_batch(pool);
		return index ? index : take_fresh(pool, 1, &got);
	}
	cache_refill(pool, cache);
	return cache->count > 0 ? cache->free[--cache->count] : 0;
}

/* Moves the oldest records of the thread's list to the shared one. */
static void cache_spill(struct pool *pool, struct pool_cache *cache)
{
	uint32_t next = 0;

	for (uint32_t i = 0; i < POOL_BATCH; i++) {
		__atomic_store_n(&free_at(pool, cache->free[i])->next, next, __ATOMIC_RELAXED);
		next = cache->free[i];
	}
	cache->count -= POOL_BATCH;
	memmove(cache->free, cache->free + POOL_BATCH, cache->count * sizeof(*cache->free));
	push_batch(pool, next);
}

void pool_give_slow(struct pool *pool, struct pool_cache *cache, uint32_t index)
{
	if (!cache) {
		__atomic_store_n(&free_at(pool, index)->next, 0, __ATOMIC_RELAXED);
		push_batch(pool, index);
		return;
	}
	cache_spill(pool, cache);
	cache->free[cache->count++] = index;
}
