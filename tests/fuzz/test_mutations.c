/* SPDX-License-Identifier: Apache-2.0
 *
 * Damage by rule, the same in every run: truncation, flipped bits, foreign
 * headers, and contents that hash right but say nonsense.  Whatever is done to
 * a trace, it is refused with words, or opened and says what it lacks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exercise.h"
#include "seeds.h"

#define TRUNCATIONS 200
#define BIT_FLIPS   2000

static const struct {
	const char *name;
	struct builder *(*make)(bool compress);
} seeds[] = {
#define X(name) {#name, seed_##name},
	SEEDS(X)
#undef X
};
#define SEED_COUNT (sizeof(seeds) / sizeof(*seeds))

static uint64_t s_random;

static uint64_t random_below(uint64_t bound)
{
	s_random = s_random * 6364136223846793005u + 1442695040888963407u;
	return (s_random >> 33) % bound;
}

/* Each seed, plain and compressed. */
static void for_each_seed(void (*run)(struct builder *b, uint8_t *file, size_t size))
{
	for (size_t i = 0; i < 2 * SEED_COUNT; i++) {
		struct builder *b = seeds[i / 2].make(i % 2);
		size_t size;
		uint8_t *file = builder_finish(b, &size);

		s_random = 20240229 + i;
		run(b, file, size);
		builder_free(b);
	}
}

static void intact(struct builder *b, uint8_t *file, size_t size)
{
	struct outcome outcome;

	(void)b;
	exercise(file, size, true, &outcome);
	assert_int_equal(outcome.code, ERROR_NONE);
	assert_true(outcome.events > 0);
}

static void test_intact(void **state)
{
	(void)state;
	for_each_seed(intact);
}

/* Right behind an END, a trace that went on cannot be told from a whole one. */
static bool ends_with_end(const struct builder *b, const uint8_t *file, size_t size)
{
	for (size_t i = 1; i < builder_chunk_count(b); i++) {
		struct castaway_chunk_header header;

		memcpy(&header, file + builder_chunk_offset(b, i - 1), sizeof(header));
		if (builder_chunk_offset(b, i) == size)
			return header.type == CASTAWAY_CHUNK_END;
	}
	return false;
}

static void cut_at(const struct builder *b, const uint8_t *file, size_t size, bool analyze)
{
	/* A copy of exactly this size, so that a read beyond it is seen. */
	uint8_t *part = malloc(size ? size : 1);
	struct outcome outcome;

	assert_non_null(part);
	memcpy(part, file, size);
	exercise(part, size, analyze, &outcome);
	if (!ends_with_end(b, file, size))
		assert_true(outcome.code != ERROR_NONE || (!outcome.complete && outcome.limits > 0));
	free(part);
}

static void truncate_seed(struct builder *b, uint8_t *file, size_t size)
{
	for (size_t i = 0; i < builder_chunk_count(b); i++)
		cut_at(b, file, builder_chunk_offset(b, i), true);
	for (size_t i = 0; i < TRUNCATIONS; i++)
		cut_at(b, file, (size_t)random_below(size - 1), i % 10 == 0);
}

static void test_truncation(void **state)
{
	(void)state;
	for_each_seed(truncate_seed);
}

static void flip_bits(struct builder *b, uint8_t *file, size_t size)
{
	struct outcome outcome;

	(void)b;
	for (size_t i = 0; i < BIT_FLIPS; i++) {
		size_t at = (size_t)random_below(size);
		uint8_t bit = (uint8_t)(1u << random_below(8));

		file[at] ^= bit;
		exercise(file, size, i % 50 == 0, &outcome);
		/* Every byte is under some hash: no flip goes unseen. */
		assert_true(outcome.code != ERROR_NONE || (!outcome.complete && outcome.limits > 0));
		file[at] ^= bit;
	}
}

static void test_bit_flips(void **state)
{
	(void)state;
	for_each_seed(flip_bits);
}

static void change_contents(struct builder *b, uint8_t *file, size_t size)
{
	uint8_t *copy = malloc(size);
	struct outcome outcome;

	(void)b;
	assert_non_null(copy);
	for (size_t i = 0; i < BIT_FLIPS; i++) {
		memcpy(copy, file, size);
		for (uint64_t changes = 1 + random_below(4); changes > 0; changes--)
			copy[sizeof(struct castaway_file_header) +
			     random_below(size - sizeof(struct castaway_file_header))] =
				(uint8_t)random_below(256);
		exercise_repair(copy, size);
		exercise(copy, size, i % 10 == 0, &outcome);
	}
	free(copy);
}

static void test_nonsense_that_hashes_right(void **state)
{
	(void)state;
	for_each_seed(change_contents);
}

static void expect(const uint8_t *file, size_t size, enum error_code code)
{
	struct outcome outcome;

	exercise(file, size, false, &outcome);
	assert_int_equal(outcome.code, code);
}

static void foreign_headers(struct builder *b, uint8_t *file, size_t size)
{
	uint8_t saved[sizeof(struct castaway_file_header)];
	size_t first = builder_chunk_offset(b, 0);

	memcpy(saved, file, sizeof(saved));
	for (size_t i = 0; i < 8; i++) {
		file[i] ^= 0x20;
		expect(file, size, ERROR_NOT_A_TRACE);
		memcpy(file, saved, sizeof(saved));
	}
	file[offsetof(struct castaway_file_header, min_reader)] = 2;
	expect(file, size, ERROR_VERSION);
	builder_rehash_header(file);
	expect(file, size, ERROR_VERSION);
	memcpy(file, saved, sizeof(saved));
	file[offsetof(struct castaway_file_header, header_hash)] ^= 1;
	expect(file, size, ERROR_DAMAGED);
	memcpy(file, saved, sizeof(saved));
	expect(file, 0, ERROR_EMPTY);
	expect(file, first, ERROR_EMPTY);
	memset(file + first, 'C', size - first);
	expect(file, size, ERROR_DAMAGED);
}

static void test_foreign_headers(void **state)
{
	(void)state;
	for_each_seed(foreign_headers);
}

/* Chunks put twice, swapped and left out, as a bad copy would. */
static void shuffle_chunks(struct builder *b, uint8_t *file, size_t size)
{
	size_t count = builder_chunk_count(b);

	for (size_t i = 0; i < 300; i++) {
		uint8_t *copy = malloc(size * 3);
		size_t length = sizeof(struct castaway_file_header);
		struct outcome outcome;

		assert_non_null(copy);
		memcpy(copy, file, length);
		for (size_t n = 0; n < 2 * count && length < 2 * size; n++) {
			size_t chunk = (size_t)random_below(count);
			size_t at = builder_chunk_offset(b, chunk);
			size_t end = chunk + 1 < count ? builder_chunk_offset(b, chunk + 1) : size;

			memcpy(copy + length, file + at, end - at);
			length += end - at;
		}
		exercise(copy, length, i % 10 == 0, &outcome);
		assert_int_equal(outcome.code, ERROR_NONE);
		free(copy);
	}
}

static void test_shuffled_chunks(void **state)
{
	(void)state;
	for_each_seed(shuffle_chunks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_intact),          cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_bit_flips),       cmocka_unit_test(test_nonsense_that_hashes_right),
		cmocka_unit_test(test_foreign_headers), cmocka_unit_test(test_shuffled_chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
