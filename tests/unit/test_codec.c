/* SPDX-License-Identifier: Apache-2.0
 *
 * The codec that both sides share, against bytes worked out by hand from
 * FORMAT.md.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "castaway/codec.h"

static struct codec_cursor cursor(const uint8_t *bytes, size_t size)
{
	return (struct codec_cursor){bytes, bytes + size, false};
}

static void test_known_bytes(void **state)
{
	static const struct {
		uint64_t value;
		uint8_t bytes[CODEC_VARINT_MAX];
		size_t size;
	} known[] = {
		{0, {0x00}, 1},
		{127, {0x7f}, 1},
		{128, {0x80, 0x01}, 2},
		{300, {0xac, 0x02}, 2},
		{UINT64_MAX, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 10},
	};
	uint8_t out[CODEC_VARINT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		struct codec_cursor c = cursor(known[i].bytes, known[i].size);

		assert_int_equal(codec_put_varint(out, known[i].value) - out, known[i].size);
		assert_memory_equal(out, known[i].bytes, known[i].size);
		assert_true(codec_get_varint(&c) == known[i].value);
		assert_false(c.failed);
		assert_int_equal(codec_left(&c), 0);
	}
}

static void test_zigzag(void **state)
{
	static const int64_t values[] = {0, -1, 1, -2, 2, INT64_MAX, INT64_MIN};
	static const uint64_t codes[] = {0, 1, 2, 3, 4, UINT64_MAX - 1, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		assert_true(codec_zigzag(values[i]) == codes[i]);
		assert_true(codec_unzigzag(codes[i]) == values[i]);
	}
}

static void test_every_length_round_trips(void **state)
{
	uint8_t out[CODEC_VARINT_MAX], other[CODEC_VARINT_MAX];

	(void)state;
	for (unsigned bits = 0; bits < 64; bits++) {
		for (int delta = -1; delta <= 1; delta++) {
			uint64_t value = ((uint64_t)1 << bits) + (uint64_t)(int64_t)delta;
			uint8_t *end = codec_put_varint(out, value);
			struct codec_cursor c = cursor(out, (size_t)(end - out));

			assert_true(codec_get_varint(&c) == value);
			/* The other writers: the same bytes. */
			assert_int_equal(codec_put_varint_wide(other, value) - other, end - out);
			assert_memory_equal(other, out, (size_t)(end - out));
			assert_int_equal(codec_put_varint_narrow(other, value) - other, end - out);
			assert_memory_equal(other, out, (size_t)(end - out));
			end = codec_put_svarint(out, (int64_t)value);
			c = cursor(out, (size_t)(end - out));
			assert_true(codec_get_svarint(&c) == (int64_t)value);
		}
	}
}

static void test_bad_varints(void **state)
{
	static const uint8_t too_long[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01};
	static const uint8_t too_large[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
	struct codec_cursor c = cursor(too_long, sizeof(too_long));

	(void)state;
	assert_int_equal(codec_get_varint(&c), 0);
	assert_true(c.failed);
	c = cursor(too_large, sizeof(too_large));
	assert_int_equal(codec_get_varint(&c), 0);
	assert_true(c.failed);
	c = cursor(too_large, 3); /* cut off */
	assert_int_equal(codec_get_varint(&c), 0);
	assert_true(c.failed);
}

static void test_failure_sticks(void **state)
{
	static const uint8_t bytes[] = {1, 2, 3, 4};
	struct codec_cursor c = cursor(bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(codec_get_u64(&c), 0);
	assert_true(c.failed);
	assert_int_equal(codec_left(&c), 0);
	assert_int_equal(codec_get_u8(&c), 0);
	assert_int_equal(codec_get_varint(&c), 0);
	assert_null(codec_get_bytes(&c, 0));
}

static void test_fixed_width_and_bytes(void **state)
{
	static const uint8_t bytes[] = {0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, 'a', 'b', 'c'};
	struct codec_cursor c = cursor(bytes, sizeof(bytes));
	uint8_t out[8];

	(void)state;
	assert_true(codec_get_u64(&c) == 0x0102030405060708u);
	assert_ptr_equal(codec_get_bytes(&c, 3), bytes + 8);
	assert_null(codec_get_bytes(&c, UINT64_MAX));
	assert_ptr_equal(codec_put_u64(out, 0x0102030405060708u), out + 8);
	assert_memory_equal(out, bytes, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_bytes),
		cmocka_unit_test(test_zigzag),
		cmocka_unit_test(test_every_length_round_trips),
		cmocka_unit_test(test_bad_varints),
		cmocka_unit_test(test_failure_sticks),
		cmocka_unit_test(test_fixed_width_and_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
