/* SPDX-License-Identifier: Apache-2.0
 *
 * A set of addresses against a table of all that may be in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "preload/adapters/address_set.h"

#define ADDRESSES 20000u

static uintptr_t address_of(size_t i)
{
	/* Some are neighbours, some far apart. */
	return 0x7f0000001000u + i * 16 + (i % 7) * ((uintptr_t)1 << 32);
}

static void test_empty(void **state)
{
	struct address_set set = {0};

	assert_false(address_set_has(&set, 0x1000));
	address_set_clear(&set);
	assert_int_equal(set.count, 0);
}

static void test_twice(void **state)
{
	struct address_set set = {0};

	assert_true(address_set_add(&set, 0x1000));
	assert_true(address_set_add(&set, 0x1000));
	assert_int_equal(set.count, 1);
	assert_true(address_set_has(&set, 0x1000));
	assert_false(address_set_has(&set, 0x1010));
	address_set_clear(&set);
	assert_false(address_set_has(&set, 0x1000));
	assert_true(address_set_add(&set, 0x2000));
	assert_true(address_set_has(&set, 0x2000));
	address_set_clear(&set);
}

/* It grows several times, and its slots are what is in it. */
static void test_many(void **state)
{
	static bool is_in[ADDRESSES];
	struct address_set set = {0};
	unsigned seed = 11;
	size_t count = 0, slots = 0;

	for (size_t i = 0; i < ADDRESSES; i++) {
		size_t at = (size_t)rand_r(&seed) % ADDRESSES;

		assert_int_equal(address_set_has(&set, address_of(at)), is_in[at]);
		assert_true(address_set_add(&set, address_of(at)));
		count += !is_in[at];
		is_in[at] = true;
		assert_int_equal(set.count, count);
	}
	for (size_t i = 0; i < ADDRESSES; i++)
		assert_int_equal(address_set_has(&set, address_of(i)), is_in[i]);
	for (size_t i = 0; i < set.capacity; i++)
		slots += set.slots[i] != 0;
	assert_int_equal(slots, count);
	address_set_clear(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
