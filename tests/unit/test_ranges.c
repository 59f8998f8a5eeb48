/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of ranges against a map of cells.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "preload/ranges.h"
#include "preload_stub.h"

#define CELLS 500u

static void clear(void *arg, uint64_t start, uint64_t end)
{
	uint8_t *cells = arg;

	assert_true(start < end && end <= CELLS);
	for (uint64_t i = start; i < end; i++)
		cells[i]++;
}

/* Every cell of [start, end) outside of the ranges is visited once. */
static void expect(const struct ranges *ranges, const uint8_t *taken, uint64_t start, uint64_t end)
{
	uint8_t seen[CELLS] = {0};

	ranges_outside(ranges, start, end, clear, seen);
	for (uint64_t i = 0; i < CELLS; i++)
		assert_int_equal(seen[i], i >= start && i < end && !taken[i]);
}

static void test_empty(void **state)
{
	struct ranges ranges = {0};
	uint8_t taken[CELLS] = {0};

	ranges_add(&ranges, 5, 5);
	ranges_add(&ranges, 6, 5);
	assert_int_equal(ranges.count, 0);
	ranges_sort(&ranges);
	expect(&ranges, taken, 0, CELLS);
	expect(&ranges, taken, 7, 7);
}

static void test_neighbours(void **state)
{
	struct ranges ranges = {0};
	uint8_t taken[CELLS] = {0};

	ranges_add(&ranges, 10, 20);
	ranges_add(&ranges, 20, 30);
	ranges_add(&ranges, 15, 18);
	assert_int_equal(ranges.count, 1);
	ranges_add(&ranges, 2, 4);
	ranges_add(&ranges, 30, 31);
	ranges_sort(&ranges);
	assert_int_equal(ranges.count, 2);
	memset(taken + 2, 1, 2);
	memset(taken + 10, 1, 21);
	expect(&ranges, taken, 0, CELLS);
	expect(&ranges, taken, 3, 31);
	expect(&ranges, taken, 12, 13);
}

static void test_random(void **state)
{
	unsigned seed = 1;

	for (unsigned round = 0; round < 300; round++) {
		struct ranges ranges = {0};
		uint8_t taken[CELLS] = {0};

		/* More than the first array holds, now and then. */
		for (int n = rand_r(&seed) % 600; n > 0; n--) {
			uint64_t start = (uint64_t)rand_r(&seed) % CELLS;
			uint64_t end = start + (uint64_t)rand_r(&seed) % 8;

			end = end > CELLS ? CELLS : end;
			ranges_add(&ranges, start, end);
			memset(taken + start, 1, end - start);
			if (n % 5 == 0 && end < CELLS) {
				ranges_add(&ranges, end, end + 1);
				taken[end] = 1;
			}
		}
		assert_false(ranges.failed);
		ranges_sort(&ranges);
		for (size_t i = 1; i < ranges.count; i++)
			assert_true(ranges.ranges[i - 1].end < ranges.ranges[i].start);
		expect(&ranges, taken, 0, CELLS);
		expect(&ranges, taken, (uint64_t)rand_r(&seed) % CELLS, (uint64_t)rand_r(&seed) % CELLS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
