/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of managed blocks, and how the shadow shows them: sizes, places of
 * birth, marks, what does not fit, and the order among other blocks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "preload/generation.h"
#include "preload/managed.h"
#include "preload/shadow.h"
#include "preload_stub.h"

#define BASE 0x30000000u

struct seen {
	uintptr_t address[8];
	uint64_t size[8];
	unsigned count, limit;
};

static bool note(const struct shadow_block *block, void *arg)
{
	struct seen *seen = arg;

	assert_true(seen->count < 8);
	seen->address[seen->count] = block->address;
	seen->size[seen->count++] = block->size;
	return seen->count < seen->limit;
}

static void test_birth_and_death(void **state)
{
	struct managed_block block;

	assert_false(managed_find(BASE, &block));
	assert_int_equal(managed_take(BASE), 0);
	assert_true(managed_insert(BASE, 41, 7));
	assert_true(managed_find(BASE, &block));
	assert_int_equal(block.address, BASE);
	assert_int_equal(block.size, 48);
	assert_int_equal(block.stack, 7);
	assert_false(managed_find(BASE + 8, &block));
	assert_false(managed_find(BASE + 16, &block));
	assert_int_not_equal(managed_take(BASE), 0);
	assert_false(managed_find(BASE, &block));
	assert_int_equal(managed_take(BASE), 0);
}

static void test_sizes(void **state)
{
	static const struct {
		size_t size;
		uint64_t rounded;
	} sizes[] = {{0, 8}, {1, 8}, {8, 8}, {9, 16}, {504, 504}, {512, 512}};
	struct managed_block block;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_true(managed_fits(BASE, sizes[i].size));
		assert_true(managed_insert(BASE, sizes[i].size, 1));
		assert_true(managed_find(BASE, &block));
		assert_int_equal(block.size, sizes[i].rounded);
	}
	assert_false(managed_fits(BASE, 513));
	assert_false(managed_fits(BASE + 8, 16));
	managed_take(BASE);
}

/* A stack whose number does not fit is none, and must not spoil the size. */
static void test_large_stack(void **state)
{
	struct managed_block block;

	assert_true(managed_insert(BASE, 64, MANAGED_STACK_MASK));
	assert_true(managed_find(BASE, &block));
	assert_int_equal(block.stack, MANAGED_STACK_MASK);
	assert_true(managed_insert(BASE, 64, MANAGED_STACK_MASK + 1));
	assert_true(managed_find(BASE, &block));
	assert_int_equal(block.stack, 0);
	assert_int_equal(block.size, 64);
	assert_false(managed_take(BASE) & MANAGED_WATCHED);
}

static void test_watched(void **state)
{
	struct managed_block block;
	uint32_t held;

	managed_insert(BASE, 200, 9);
	managed_watch(BASE);
	assert_true(managed_find(BASE, &block));
	assert_int_equal(block.size, 200);
	assert_int_equal(block.stack, 9);
	held = managed_take(BASE);
	assert_true(held & MANAGED_WATCHED);
	managed_restore(BASE, held);
	assert_true(managed_take(BASE) & MANAGED_WATCHED);
	/* One that is in the shadow has its mark here, and nothing else. */
	managed_watch(BASE + 64);
	assert_false(managed_find(BASE + 64, &block));
	assert_int_equal(managed_count(), 0);
	assert_int_equal(managed_take(BASE + 64), MANAGED_ELSEWHERE | MANAGED_WATCHED);
	/* The next block at the address is not marked any more. */
	managed_insert(BASE, 200, 9);
	assert_false(managed_take(BASE) & MANAGED_WATCHED);
}

/* In address order with the shadow's own, two of which share a granule. */
static void test_in_the_shadow(void **state)
{
	struct seen seen = {.limit = 8}, first = {.limit = 2};
	struct shadow_block block;
	struct thread *self = &g_stub_threads[0];

	managed_insert(BASE + 0x100, 32, 3);
	managed_insert(BASE + 0x40, 16, 2);
	managed_insert(BASE + 0x40000000, 512, 4);
	shadow_insert(self, BASE + 0x80, 24, 5, CASTAWAY_RUNTIME_NONE);
	shadow_insert(self, BASE + 0x88, 8, 6, CASTAWAY_RUNTIME_NONE);
	assert_int_equal(shadow_count(), 5);
	shadow_for_each(note, &seen);
	assert_int_equal(seen.count, 5);
	assert_int_equal(seen.address[0], BASE + 0x40);
	assert_int_equal(seen.address[1], BASE + 0x80);
	assert_int_equal(seen.address[2], BASE + 0x88);
	assert_int_equal(seen.address[3], BASE + 0x100);
	assert_int_equal(seen.address[4], BASE + 0x40000000);
	assert_int_equal(seen.size[4], 512);
	shadow_for_each(note, &first);
	assert_int_equal(first.count, 2);
	assert_true(shadow_find(BASE + 0x100, &block));
	assert_int_equal(block.runtime, CASTAWAY_RUNTIME_CPYTHON);
	assert_int_equal(block.stack, 3);
	assert_int_equal(block.birth_pass, 0);
	assert_false(shadow_remove(self, BASE + 0x100, NULL));
	managed_take(BASE + 0x100);
	managed_take(BASE + 0x40);
	managed_take(BASE + 0x40000000);
	assert_true(shadow_remove(self, BASE + 0x80, NULL));
	assert_true(shadow_remove(self, BASE + 0x88, NULL));
	assert_int_equal(shadow_count(), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_birth_and_death), cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_large_stack),     cmocka_unit_test(test_watched),
		cmocka_unit_test(test_in_the_shadow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
