/* SPDX-License-Identifier: Apache-2.0
 *
 * Fixed-size records by 32-bit index, 0 = none.  A record's memory is never
 * given back, so an index that is stale by a race still points at a record.
 * Lock-free; records of a dead thread's free list are lost to a fork child,
 * nothing else is.
 */
#ifndef POOL_H
#define POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_SEGMENT_BITS    16
#define POOL_SEGMENT_RECORDS (1u << POOL_SEGMENT_BITS)
#define POOL_SEGMENTS        16384u

/* A record's position in its segment. */
#define POOL_PLACE(index) ((size_t)((index) & (POOL_SEGMENT_RECORDS - 1)))

#define POOL_FIRST 4u
struct pool {
	uint8_t **segments;         /* first[], or where there are more of them, a table of POOL_SEGMENTS */
	uint8_t *first[POOL_FIRST]; /* near by: most programs need no more */
	uint32_t record_size;       /* >= 8, a multiple of 8 */
	uint32_t used;              /* records ever handed out; index 0 is not one */
	uint64_t batches;           /* tag << 32 | index of the first record of the first free batch */
	uint8_t *near;              /* pool_reserve(): records up to near_last are here, in one piece */
	uint32_t near_last;
};

#define POOL_INIT(pool, size)                                              \
	{                                                                  \
		.segments = (pool).first, .record_size = (uint32_t)(size), \
	}

/* Free records that only one thread uses; the records themselves are not looked
 * at, since they are long out of the processor's cache. */
enum {
	POOL_BATCH = 128,      /* records that move between a thread and the shared list */
	POOL_CACHE_LIMIT = 256 /* a thread that has so many gives a batch back */
};
struct pool_cache {
	uint32_t count;
	uint32_t free[POOL_CACHE_LIMIT];
};

/* Once, before the first record: the segments of so many (a multiple of
 * POOL_SEGMENT_RECORDS) shall lie side by side, if there is address space for it. */
void pool_reserve(struct pool *pool, uint32_t records);

/* Index of a record with unspecified contents, 0 without memory.  `cache` is
 * NULL in all calls for a pool (every one goes to the shared list) or in none. */
static inline uint32_t pool_take(struct pool *pool, struct pool_cache *cache);
static inline void pool_give(struct pool *pool, struct pool_cache *cache, uint32_t index);

/* Their slow paths. */
uint32_t pool_take_slow(struct pool *pool, struct pool_cache *cache);
void pool_give_slow(struct pool *pool, struct pool_cache *cache, uint32_t index);

static inline uint32_t pool_take(struct pool *pool, struct pool_cache *cache)
{
	if (__builtin_expect(cache != NULL && cache->count > 0, 1))
		return cache->free[--cache->count];
	return pool_take_slow(pool, cache);
}

static inline void pool_give(struct pool *pool, struct pool_cache *cache, uint32_t index)
{
	if (__builtin_expect(cache != NULL && cache->count < POOL_CACHE_LIMIT, 1))
		cache->free[cache->count++] = index;
	else
		pool_give_slow(pool, cache, index);
}

/* For a pool that is used with the numbers of another: memory for the record of that
 * index, zeroed at first; also for 0.  False without. */
bool pool_cover(struct pool *pool, uint32_t index);

/* Whether that of an index but 0 is at `near`: asked in one step with whether it is 0. */
static inline bool pool_is_near(const struct pool *pool, uint32_t index)
{
	return index - 1 < pool->near_last;
}

/* Memory of the POOL_SEGMENT_RECORDS records around one that pool_take returned. */
static inline uint8_t *pool_segment(struct pool *pool, uint32_t index)
{
	uint8_t **segments = __atomic_load_n(&pool->segments, __ATOMIC_ACQUIRE);

	return __atomic_load_n(&segments[index >> POOL_SEGMENT_BITS], __ATOMIC_ACQUIRE);
}

/* Only for an index that pool_take returned. */
static inline void *pool_at(struct pool *pool, uint32_t index)
{
	return pool_segment(pool, index) + POOL_PLACE(index) * pool->record_size;
}

#endif
