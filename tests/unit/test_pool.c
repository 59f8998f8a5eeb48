/* SPDX-License-Identifier: Apache-2.0
 *
 * Record pools: no record has two owners, and a thread that only frees feeds
 * one that only allocates.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "preload/pool.h"
#include "preload_stub.h"

#define RING      1024u
#define MOVED     200000u
#define HELD      512u
#define STRESS_MS 400u
#define SEGMENTS  (POOL_FIRST + 3u)
#define GROWN     100000u
_Static_assert(4 * GROWN > POOL_FIRST * POOL_SEGMENT_RECORDS, "past the first segments");

struct record {
	uint64_t link; /* overwritten while it is free */
	uint64_t owner;
};

static struct pool s_pool = POOL_INIT(s_pool, sizeof(struct record)),
		   s_pair = POOL_INIT(s_pair, sizeof(struct record)),
		   s_plain = POOL_INIT(s_plain, sizeof(struct record)),
		   s_grown = POOL_INIT(s_grown, sizeof(struct record)),
		   s_reserved = POOL_INIT(s_reserved, sizeof(struct record)),
		   s_covered = POOL_INIT(s_covered, sizeof(struct record));
static uint32_t s_ring[RING], s_written, s_read;
static uint32_t s_conflicts;

static struct pool_cache *cache_of(unsigned index)
{
	return &g_stub_threads[index].block_free;
}

/* What the threads have is another pool's. */
static void empty_caches(void)
{
	for (unsigned i = 0; i < 4; i++)
		cache_of(i)->count = 0;
}

static void test_reuse(void **state)
{
	uint32_t first = pool_take(&s_plain, NULL), second = pool_take(&s_plain, NULL);

	assert_int_equal(first, 1);
	assert_int_equal(second, 2);
	assert_ptr_equal((char *)pool_at(&s_plain, second) - (char *)pool_at(&s_plain, first),
			 sizeof(struct record));
	pool_give(&s_plain, NULL, first);
	assert_int_equal(pool_take(&s_plain, NULL), first);
	assert_int_equal(pool_take(&s_plain, NULL), 3);
}

static void test_segments(void **state)
{
	uint32_t index = 0;

	for (uint32_t i = 0; i < SEGMENTS << POOL_SEGMENT_BITS; i++) {
		index = pool_take(&s_plain, NULL);
		((struct record *)pool_at(&s_plain, index))->owner = index;
	}
	for (uint32_t i = 4; i <= index; i++)
		assert_int_equal(((struct record *)pool_at(&s_plain, i))->owner, i);
	/* Index 3 was the last one of the test before. */
	assert_int_equal(index, 3 + (SEGMENTS << POOL_SEGMENT_BITS));
}

/* While others grow the pool, past the segments that are near by too. */
static void grow_body(unsigned index)
{
	for (uint32_t i = 0; i < GROWN; i++) {
		uint32_t number = pool_take(&s_grown, cache_of(index));
		uint64_t *owner = &((struct record *)pool_at(&s_grown, number))->owner;

		if (__atomic_exchange_n(owner, number, __ATOMIC_RELAXED) != 0)
			__atomic_add_fetch(&s_conflicts, 1, __ATOMIC_RELAXED);
	}
}

static void test_growth(void **state)
{
	uint32_t kept = 0;

	empty_caches();
	stub_run_threads(4, grow_body);
	assert_int_equal(s_conflicts, 0);
	for (uint32_t i = 1; i <= s_grown.used; i++)
		kept += ((struct record *)pool_at(&s_grown, i))->owner == i;
	assert_int_equal(kept, 4 * GROWN);
}

/* The first segments in one piece, and records beyond it. */
static void test_reserved(void **state)
{
	uint8_t *first;
	uint32_t index = 0;

	pool_reserve(&s_reserved, 2 * POOL_SEGMENT_RECORDS);
	assert_non_null(s_reserved.near);
	assert_true(pool_cover(&s_reserved, 0));
	first = pool_at(&s_reserved, 0);
	assert_ptr_equal(first, s_reserved.near);
	for (uint32_t i = 1; i < 3 * POOL_SEGMENT_RECORDS; i++) {
		index = pool_take(&s_reserved, NULL);
		assert_int_equal(index, i);
		assert_int_equal(((struct record *)pool_at(&s_reserved, i))->owner, 0);
		((struct record *)pool_at(&s_reserved, i))->owner = i;
		if (i < 2 * POOL_SEGMENT_RECORDS)
			assert_ptr_equal(pool_at(&s_reserved, i), first + i * sizeof(struct record));
	}
	for (uint32_t i = 1; i <= index; i++)
		assert_int_equal(((struct record *)pool_at(&s_reserved, i))->owner, i);
}

/* A pool without numbers of its own: records where they are asked for, all else untouched. */
static void test_cover(void **state)
{
	const uint32_t far = 7 * POOL_SEGMENT_RECORDS + 5;

	assert_true(pool_cover(&s_covered, far));
	assert_true(pool_cover(&s_covered, far));
	((struct record *)pool_at(&s_covered, far))->owner = 1;
	assert_null(pool_segment(&s_covered, 0));
	assert_true(pool_cover(&s_covered, 0));
	assert_int_equal(((struct record *)pool_at(&s_covered, far))->owner, 1);
	assert_false(pool_cover(&s_covered, UINT32_MAX));
	assert_int_equal(s_covered.used, 0);
}

/* Thread 0 takes, thread 1 gives back. */
static void pair_body(unsigned index)
{
	struct pool_cache *cache = cache_of(index);

	for (uint32_t i = 0; i < MOVED; i++) {
		if (index == 0) {
			while (i - __atomic_load_n(&s_read, __ATOMIC_ACQUIRE) >= RING)
				sched_yield();
			s_ring[i % RING] = pool_take(&s_pair, cache);
			__atomic_store_n(&s_written, i + 1, __ATOMIC_RELEASE);
		} else {
			while (__atomic_load_n(&s_written, __ATOMIC_ACQUIRE) <= i)
				sched_yield();
			pool_give(&s_pair, cache, s_ring[i % RING]);
			__atomic_store_n(&s_read, i + 1, __ATOMIC_RELEASE);
		}
	}
}

static void test_producer_and_consumer(void **state)
{
	empty_caches();
	stub_run_threads(2, pair_body);
	/* At most RING in flight, a full list in each thread, one batch between. */
	assert_true(s_pair.used < RING + 2 * 257 + 256);
}

static struct pool *s_stressed;
static int s_with_lists;

static void stress_body(unsigned index)
{
	struct pool_cache *cache = s_with_lists ? cache_of(index) : NULL;
	uint32_t held[HELD] = {0};
	uint64_t end = stub_milliseconds() + STRESS_MS;
	uint32_t random = index + 1;

	for (uint32_t i = 0; i % 4096 != 0 || stub_milliseconds() < end; i++) {
		uint32_t *slot;
		uint64_t *owner, expected;

		random = random * 1664525 + 1013904223;
		slot = &held[random >> 16 & (HELD - 1)];
		expected = *slot ? index + 1 : 0;
		if (!*slot)
			*slot = pool_take(s_stressed, cache);
		owner = &((struct record *)pool_at(s_stressed, *slot))->owner;
		if (__atomic_exchange_n(owner, expected ? 0 : index + 1, __ATOMIC_RELAXED) != expected)
			__atomic_add_fetch(&s_conflicts, 1, __ATOMIC_RELAXED);
		if (expected) {
			pool_give(s_stressed, cache, *slot);
			*slot = 0;
		}
	}
}

static void stress(struct pool *pool, int with_lists)
{
	empty_caches();
	s_stressed = pool;
	s_with_lists = with_lists;
	stub_run_threads(4, stress_body);
	assert_int_equal(s_conflicts, 0);
	assert_true(pool->used < 4 * (HELD + 257 + 256));
}

static void test_stress_lists(void **state)
{
	stress(&s_pool, 1);
}

static void test_stress_shared(void **state)
{
	static struct pool shared = POOL_INIT(shared, sizeof(struct record));

	stress(&shared, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reuse),        cmocka_unit_test(test_segments),
		cmocka_unit_test(test_growth),       cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_cover),        cmocka_unit_test(test_producer_and_consumer),
		cmocka_unit_test(test_stress_lists), cmocka_unit_test(test_stress_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
