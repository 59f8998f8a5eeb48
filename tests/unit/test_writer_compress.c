/* SPDX-License-Identifier: Apache-2.0
 *
 * Which chunks are compressed: events that hardly shrink are left as they are for a
 * while, and other chunks have no part in that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <zstd.h>

#include "preload/writer_internal.h"

enum { SIZE = 20000 };

static uint8_t s_packed[2 * SIZE];

/* Of `noise` bytes nothing can be said, the rest repeats. */
static size_t compress(enum castaway_chunk_type type, size_t noise)
{
	static uint64_t s_random = 88172645463325252u;
	uint8_t payload[SIZE], back[SIZE];
	size_t stored;

	memset(payload, 7, sizeof(payload));
	for (size_t i = 0; i < noise; i++) {
		s_random ^= s_random << 13;
		s_random ^= s_random >> 7;
		s_random ^= s_random << 17;
		payload[i] = (uint8_t)(s_random >> 32);
	}
	stored = writer_compress(type, s_packed, sizeof(s_packed), payload, sizeof(payload));
	if (stored != 0) {
		assert_int_equal(ZSTD_decompress(back, sizeof(back), s_packed, stored), sizeof(payload));
		assert_memory_equal(back, payload, sizeof(payload));
	}
	return stored;
}

static void test_small(void **state)
{
	const uint8_t payload[100] = {0};

	(void)state;
	assert_int_equal(
		writer_compress(CASTAWAY_CHUNK_STACKS, s_packed, sizeof(s_packed), payload, sizeof(payload)),
		0);
}

static void test_noise(void **state)
{
	(void)state;
	assert_int_equal(compress(CASTAWAY_CHUNK_STACKS, SIZE), 0);
	assert_in_range(compress(CASTAWAY_CHUNK_STACKS, SIZE / 2), SIZE / 2, SIZE * 6 / 10);
}

/* A nine-tenths chunk shrinks by a tenth, which is not worth it: after four of them
 * fifteen are left, of whatever kind those are; then it is tried again. */
static void test_unpromising(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_not_equal(compress(CASTAWAY_CHUNK_EVENTS, SIZE * 9 / 10), 0);
	assert_int_not_equal(compress(CASTAWAY_CHUNK_STACKS, SIZE / 2), 0);
	for (unsigned i = 0; i < 15; i++)
		assert_int_equal(compress(CASTAWAY_CHUNK_EVENTS, i % 2 ? SIZE / 2 : SIZE * 9 / 10), 0);
	/* Still no better: left again at once. */
	assert_int_not_equal(compress(CASTAWAY_CHUNK_EVENTS, SIZE * 9 / 10), 0);
	for (unsigned i = 0; i < 15; i++)
		assert_int_equal(compress(CASTAWAY_CHUNK_EVENTS, SIZE / 2), 0);
	/* Better: from now on each is tried, until four in a row are not. */
	for (unsigned round = 0; round < 8; round++) {
		assert_int_not_equal(compress(CASTAWAY_CHUNK_EVENTS, SIZE / 2), 0);
		for (unsigned i = 0; i < 3; i++)
			assert_int_not_equal(compress(CASTAWAY_CHUNK_EVENTS, SIZE * 9 / 10), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_unpromising),
	};

	if (!writer_compress_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
