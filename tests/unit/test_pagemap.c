/* SPDX-License-Identifier: Apache-2.0
 *
 * The page map: lookup, removal by one of many, and the walk in order over
 * addresses in the same granule row, leaf, middle and top entries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "preload/pagemap.h"
#include "preload/pages.h"
#include "preload/rawio.h"
#include "preload_stub.h"

#define TAKEN 20000u

static struct pagemap s_map, s_race;
static uint32_t s_taken[4];

static void test_unknown(void **state)
{
	static struct pagemap empty;
	uintptr_t at = 0;
	uint32_t value;

	assert_null(pagemap_peek(&empty, 0x1000));
	assert_int_equal(pagemap_get(&empty, 0x7fffffffffff), 0);
	assert_int_equal(pagemap_take(pagemap_peek(&empty, 0x1000)), 0);
	assert_false(pagemap_next(&empty, &at, UINTPTR_MAX, &value));
	/* Above the user half there are no slots at all. */
	assert_null(pagemap_slot(&empty, (uintptr_t)1 << PAGEMAP_ADDRESS_BITS));
	assert_int_equal(pagemap_get(&empty, UINTPTR_MAX), 0);
}

static void test_walk(void **state)
{
	/* Neighbours, then the last and first granule of two leaves, of two parts of a
	 * middle, far apart in one, of two middles, and the last granule of all. */
	static const uintptr_t addresses[] = {
		0x0,
		0x10,
		0x30,
		0xffff0,
		0x100000,
		0x1ffffff0,
		0x20000000,
		0x400000000,
		0x7ffffffff0,
		0x8000000000,
		0x7f0000000000,
		0x7f0000000010,
		0x7ffffffffff0,
	};
	const size_t count = sizeof(addresses) / sizeof(addresses[0]);
	uintptr_t at = 0;
	uint32_t value;

	for (size_t i = count; i-- > 0;)
		*pagemap_slot(&s_map, addresses[i] + 7) = (uint32_t)i + 1;
	for (size_t i = 0; i < count; i++) {
		assert_true(pagemap_next(&s_map, &at, UINTPTR_MAX, &value));
		assert_int_equal(at, addresses[i]);
		assert_int_equal(value, i + 1);
		assert_int_equal(pagemap_get(&s_map, addresses[i] + 15), i + 1);
		at += 16;
	}
	assert_false(pagemap_next(&s_map, &at, UINTPTR_MAX, &value));
	at = 0x40;
	assert_false(pagemap_next(&s_map, &at, 0xffff0, &value));
	at = 0x40;
	assert_true(pagemap_next(&s_map, &at, 0xffff1, &value));
	assert_int_equal(at, 0xffff0);
	assert_int_equal(pagemap_take(pagemap_peek(&s_map, 0xffff0)), 4);
	assert_int_equal(pagemap_take(pagemap_peek(&s_map, 0xffff0)), 0);
	at = 0x40;
	assert_true(pagemap_next(&s_map, &at, UINTPTR_MAX, &value));
	assert_int_equal(at, 0x100000);
}

/* To read a page makes it, be it of zeros only. */
static void test_walk_makes_no_pages(void **state)
{
	static struct pagemap map;
	static const uintptr_t addresses[] = {0x0, 0x70, 0x4000, 0xa0010, 0xffff0, 0x100000};
	const size_t count = sizeof(addresses) / sizeof(addresses[0]);
	struct pagemap_walk walk;
	uintptr_t at = 0;
	uint64_t exist;
	uint32_t value;
	int fd = pages_open();

	if (fd < 0)
		skip();
	for (size_t i = 0; i < count; i++)
		*pagemap_slot(&map, addresses[i]) = (uint32_t)i + 1;
	pagemap_walk_begin(&walk, &map);
	for (size_t i = 0; i < count; i++) {
		assert_true(pagemap_walk_next(&walk, &at, UINTPTR_MAX, &value));
		assert_int_equal(at, addresses[i]);
		assert_int_equal(value, i + 1);
		at += 16;
	}
	assert_false(pagemap_walk_next(&walk, &at, UINTPTR_MAX, &value));
	pagemap_walk_end(&walk);
	/* A page of slots is for 16 KiB of addresses. */
	assert_int_equal(pages_exist(fd, (uintptr_t)pagemap_peek(&map, 0), 64, &exist), 64);
	assert_true(exist == (1 | 1 << 1 | UINT64_C(1) << 40 | UINT64_C(1) << 63));
	/* A page of a middle is for 512 MiB. */
	assert_int_equal(pages_exist(fd, (uintptr_t)map.top[0], 64, &exist), 64);
	assert_true(exist == 1);
	rawio_close(fd);
}

static void take_all(unsigned index)
{
	for (uintptr_t i = 0; i < TAKEN; i++)
		if (pagemap_take(pagemap_peek(&s_race, 0x10000000 + i * 16)))
			s_taken[index]++;
}

static void test_race(void **state)
{
	uint32_t total = 0;

	for (uintptr_t i = 0; i < TAKEN; i++)
		*pagemap_slot(&s_race, 0x10000000 + i * 16) = 1;
	stub_run_threads(4, take_all);
	for (unsigned i = 0; i < 4; i++)
		total += s_taken[i];
	assert_int_equal(total, TAKEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_walk_makes_no_pages),
		cmocka_unit_test(test_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
