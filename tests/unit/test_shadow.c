/* SPDX-License-Identifier: Apache-2.0
 *
 * The shadow heap: birth, death, unknown and interior addresses, two blocks in
 * one granule, order of the walk, and double frees by several threads at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "preload/generation.h"
#include "preload/shadow.h"
#include "preload_stub.h"

#define RACED 20000u
#define BASE  0x20000000u

static uint32_t s_removed[4];

static struct thread *self(void)
{
	return &g_stub_threads[0];
}

static void test_life(void **state)
{
	struct shadow_block block, former;

	shadow_insert(self(), 0x5000, 100, 7, CASTAWAY_RUNTIME_CPYTHON);
	assert_true(shadow_find(0x5000, &block));
	assert_int_equal(block.address, 0x5000);
	assert_int_equal(block.size, 100);
	assert_int_equal(block.stack, 7);
	assert_int_equal(block.runtime, CASTAWAY_RUNTIME_CPYTHON);
	assert_int_equal(shadow_count(), 1);

	/* Inside it, beside it, nowhere near. */
	assert_false(shadow_remove(self(), 0x5010, NULL));
	assert_false(shadow_remove(self(), 0x5008, NULL));
	assert_false(shadow_remove(self(), 0x5001, NULL));
	assert_false(shadow_remove(self(), 0x700000000000, NULL));
	assert_false(shadow_remove(self(), UINTPTR_MAX - 7, NULL));
	assert_int_equal(shadow_count(), 1);

	assert_true(shadow_remove(self(), 0x5000, &former));
	assert_false(shadow_remove(self(), 0x5000, NULL));
	assert_false(shadow_find(0x5000, &block));
	assert_int_equal(shadow_count(), 0);
	shadow_restore(self(), &former);
	assert_true(shadow_find(0x5000, &block));
	assert_int_equal(block.size, 100);
	assert_int_equal(block.stack, 7);
	assert_int_equal(block.birth_pass, former.birth_pass);
	assert_int_equal(block.runtime, CASTAWAY_RUNTIME_CPYTHON);
	assert_true(shadow_remove(self(), 0x5000, NULL));
}

static void test_replaced(void **state)
{
	struct shadow_block block;

	shadow_insert(self(), 0x6000, 10, 1, 0);
	shadow_insert(self(), 0x6000, 20, 2, 0);
	assert_true(shadow_find(0x6000, &block));
	assert_int_equal(block.size, 20);
	assert_int_equal(shadow_count(), 1);
	assert_true(shadow_remove(self(), 0x6000, NULL));
	assert_int_equal(shadow_count(), 0);
}

/* Where nothing may be recorded. */
static void test_forgotten(void **state)
{
	const uint32_t events = g_stub_event_count;
	struct shadow_block block;

	shadow_insert(self(), 0x6100, 10, 1, 0);
	shadow_forget(0x6108);
	shadow_forget(0x6101);
	shadow_forget(0x710000000000);
	assert_int_equal(shadow_count(), 1);
	shadow_forget(0x6100);
	assert_false(shadow_find(0x6100, &block));
	assert_int_equal(shadow_count(), 0);
	shadow_forget(0x6100);
	assert_int_equal(shadow_count(), 0);
	assert_int_equal(g_stub_event_count, events);
	shadow_insert(self(), 0x6100, 20, 2, 0);
	assert_true(shadow_find(0x6100, &block));
	assert_int_equal(block.size, 20);
	assert_true(shadow_remove(self(), 0x6100, NULL));
	assert_int_equal(shadow_count(), 0);
}

static void test_unaligned(void **state)
{
	shadow_insert(self(), 0x6004, 10, 1, 0);
	assert_int_equal(g_stub_limits[CASTAWAY_LIMIT_UNALIGNED], 1);
	assert_int_equal(shadow_count(), 0);
	assert_false(shadow_remove(self(), 0x6004, NULL));
}

static bool note(const struct shadow_block *block, void *arg)
{
	uintptr_t **at = arg;

	*(*at)++ = block->address;
	return block->address != 0x900000;
}

static void test_granule_and_order(void **state)
{
	static const uintptr_t blocks[] = {0x7008, 0x900000, 0x7000, 0x7018, 0x800000, 0xa00000};
	uintptr_t seen[8], *end = seen;
	struct shadow_block block;

	for (size_t i = 0; i < 6; i++)
		shadow_insert(self(), blocks[i], 8 + i, 1, 0);
	assert_true(shadow_find(0x7000, &block));
	assert_int_equal(block.size, 10);
	assert_true(shadow_find(0x7008, &block));
	assert_int_equal(block.size, 8);
	shadow_for_each(note, &end);
	/* 0xa00000 is not reached: the visit stopped before. */
	assert_int_equal(end - seen, 5);
	assert_int_equal(seen[0], 0x7000);
	assert_int_equal(seen[1], 0x7008);
	assert_int_equal(seen[2], 0x7018);
	assert_int_equal(seen[3], 0x800000);
	assert_int_equal(seen[4], 0x900000);
	assert_true(shadow_remove(self(), 0x7000, NULL));
	assert_true(shadow_find(0x7008, &block));
	for (size_t i = 0; i < 6; i++)
		shadow_remove(self(), blocks[i], NULL);
	assert_int_equal(shadow_count(), 0);
}

static void test_size_limit(void **state)
{
	struct shadow_block block;

	shadow_insert(self(), 0x8000, UINT64_MAX, 1, CASTAWAY_RUNTIME_PROFILE);
	assert_true(shadow_find(0x8000, &block));
	assert_int_equal(block.size, (UINT64_C(1) << 48) - 1);
	assert_int_equal(block.runtime, CASTAWAY_RUNTIME_PROFILE);
	assert_true(shadow_remove(self(), 0x8000, NULL));
}

static void remove_all(unsigned index)
{
	for (uintptr_t i = 0; i < RACED; i++)
		s_removed[index] += shadow_remove(&g_stub_threads[index], BASE + i * 32, NULL);
}

static void test_double_free(void **state)
{
	uint32_t total = 0;

	for (uintptr_t i = 0; i < RACED; i++)
		shadow_insert(self(), BASE + i * 32, 32, 1, 0);
	assert_int_equal(shadow_count(), RACED);
	stub_run_threads(4, remove_all);
	for (unsigned i = 0; i < 4; i++)
		total += s_removed[i];
	assert_int_equal(total, RACED);
	assert_int_equal(shadow_count(), 0);
}

/* Each thread owns addresses of its own and checks what it stored there. */
static void churn(unsigned index)
{
	struct thread *thread = &g_stub_threads[index];
	uint32_t random = index + 1;
	uint8_t alive[1024] = {0};

	for (uint32_t i = 0; i < 200000; i++) {
		uint32_t which;
		uintptr_t address;
		struct shadow_block block;

		random = random * 1664525 + 1013904223;
		which = random >> 16 & 1023;
		address = 0x40000000 + ((uintptr_t)which * 4 + index) * 8;
		if (shadow_find(address, &block) != alive[which] ||
		    (alive[which] && (block.size != which + 1 || block.stack != index)))
			s_removed[index]++;
		if (alive[which])
			s_removed[index] += !shadow_remove(thread, address, NULL);
		else
			shadow_insert(thread, address, which + 1, index, 0);
		alive[which] = !alive[which];
	}
	for (uintptr_t which = 0; which < 1024; which++)
		if (alive[which])
			s_removed[index] +=
				!shadow_remove(thread, 0x40000000 + (which * 4 + index) * 8, NULL);
}

static void test_stress(void **state)
{
	for (unsigned i = 0; i < 4; i++)
		s_removed[i] = 0;
	stub_run_threads(4, churn);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(s_removed[i], 0);
	assert_int_equal(shadow_count(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_unaligned),
		cmocka_unit_test(test_granule_and_order),
		cmocka_unit_test(test_size_limit),
		cmocka_unit_test(test_double_free),
		cmocka_unit_test(test_stress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
