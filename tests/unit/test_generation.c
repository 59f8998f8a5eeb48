/* SPDX-License-Identifier: Apache-2.0
 *
 * Generations against numbers worked out by hand from CPython 3.11's
 * gc_collect_generations() and gc_collect_main().
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "preload/generation.h"
#include "preload_stub.h"

static struct thread *self(void)
{
	return &g_stub_threads[0];
}

static struct generation_stamp born(unsigned count)
{
	struct generation_stamp stamp = {0, 0};

	for (unsigned i = 0; i < count; i++)
		generation_object_born(self(), &stamp);
	return stamp;
}

static void died(struct generation_stamp stamp, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		generation_object_died(self(), &stamp);
}

static void expect_pass(uint32_t event, uint64_t number, uint64_t generation, uint64_t examined,
			uint64_t promoted)
{
	assert_true(event < g_stub_event_count);
	assert_int_equal(g_stub_events[event].opcode, CASTAWAY_EVENT_PASS);
	assert_int_equal(g_stub_events[event].values[0], CASTAWAY_DOMAIN_OBJECTS);
	assert_int_equal(g_stub_events[event].values[1], number);
	assert_int_equal(g_stub_events[event].values[2], generation);
	assert_int_equal(g_stub_events[event].values[3], examined);
	assert_int_equal(g_stub_events[event].values[4], promoted);
}

static void expect_counts(uint64_t count0, uint64_t count1, uint64_t count2)
{
	uint64_t counts[3];

	generation_get_counts(counts);
	assert_int_equal(counts[0], count0);
	assert_int_equal(counts[1], count1);
	assert_int_equal(counts[2], count2);
}

static void expect_live(uint64_t live0, uint64_t live1, uint64_t live2)
{
	struct generation_stats stats[3];

	generation_get_stats(stats);
	assert_int_equal(stats[0].live, live0);
	assert_int_equal(stats[1].live, live1);
	assert_int_equal(stats[2].live, live2);
}

/* Thresholds 3, 1, 1.  A birth that makes count0 4 starts a pass, in which the
 * newborn has no part; the pass sets count0 to 0, so later ones need 4 more.
 *
 *   birth  4: pass 0 of 0: 3 examined   live 1 3 0   counts 0 1 0
 *   birth  8: pass 1 of 0: 4            live 1 7 0   counts 0 2 0
 *   birth 12: pass 2 of 1: 11           live 1 0 11  counts 0 0 1, pending 11
 *   birth 16: pass 3 of 0: 4            live 1 4 11  counts 0 1 1
 *   birth 20: pass 4 of 0: 4            live 1 8 11  counts 0 2 1
 *   birth 24: pass 5 of 1: 12           live 1 0 23  counts 0 0 2, pending 23
 *   birth 28: pass 6 of 2 (2 > 1, and 23 >= 0 / 4): 27, of which 4 promoted
 *             live 1 0 27, counts 0 0 0, pending 0, total 27
 */
static void test_table(void **state)
{
	struct generation_stamp first, fourth, eighth;

	generation_init((const uint64_t[]){3, 1, 1});
	g_stub_event_count = 0;
	first = born(1);
	assert_int_equal(first.pass, 0);
	assert_int_equal(generation_of_object(&first), 0);
	born(2);
	assert_int_equal(g_stub_event_count, 0);
	expect_counts(3, 0, 0);
	fourth = born(1);
	assert_int_equal(g_stub_event_count, 1);
	expect_pass(0, 0, 0, 3, 3);
	expect_counts(0, 1, 0);
	expect_live(1, 3, 0);
	assert_int_equal(fourth.pass, 1);
	assert_int_equal(generation_of_object(&first), 1);
	assert_int_equal(generation_of_object(&fourth), 0);

	eighth = born(4);
	expect_pass(1, 1, 0, 4, 4);
	expect_live(1, 7, 0);
	assert_int_equal(generation_of_object(&fourth), 1);
	born(4);
	expect_pass(2, 2, 1, 11, 11);
	expect_counts(0, 0, 1);
	expect_live(1, 0, 11);
	assert_int_equal(generation_of_object(&eighth), 2);
	born(12);
	expect_pass(3, 3, 0, 4, 4);
	expect_pass(4, 4, 0, 4, 4);
	expect_pass(5, 5, 1, 12, 12);
	expect_counts(0, 0, 2);
	expect_live(1, 0, 23);
	born(4);
	expect_pass(6, 6, 2, 27, 4);
	assert_int_equal(g_stub_event_count, 7);
	expect_counts(0, 0, 0);
	expect_live(1, 0, 27);
}

/* After it total is 27, so a full pass waits until pending is at least 6: two
 * deaths keep the young few.  From here with thresholds 3, 0, 0: each pass of 0
 * is followed by one of 1, at 4 births each.
 *   pass 7 of 0: 4; pass 8 of 1: 8, pending 8, count2 1
 *   then at the next 4 births count2 = 1 > 0 and 8 >= 27 / 4 = 6: full.
 * With 3 of each 4 dead again, pending is 2 after the pass of 1: it waits. */
static void test_long_lived(void **state)
{
	struct generation_stamp stamp;
	uint32_t before = g_stub_event_count;

	generation_set_thresholds(self(), (const uint64_t[]){3, 0, 0});
	assert_int_equal(g_stub_events[before].opcode, CASTAWAY_EVENT_GC_CONTROL);
	before++;
	born(4);
	expect_pass(before, 7, 0, 4, 4);
	born(4);
	expect_pass(before + 1, 8, 1, 8, 8);
	born(4);
	expect_pass(before + 2, 9, 2, 39, 4);
	/* total = 39; a quarter is 9.  Now live 1 0 39. */
	expect_live(1, 0, 39);
	born(4);
	expect_pass(before + 3, 10, 0, 4, 4);
	stamp = born(3);
	/* Three deaths: count0 goes back to 0, and live to 1 4 39. */
	died(stamp, 3);
	expect_counts(0, 1, 0);
	expect_live(1, 4, 39);
	born(4);
	/* 4 young of this round (1 + 3) and 4 of generation 1. */
	expect_pass(before + 4, 11, 1, 8, 8);
	/* pending 8 < 9: count2 = 1 > 0 must wait; count1 = 0, so a pass of 0. */
	expect_counts(0, 0, 1);
	born(4);
	expect_pass(before + 5, 12, 0, 4, 4);
	born(4);
	expect_pass(before + 6, 13, 1, 8, 8);
	/* pending 16 */
	born(4);
	expect_pass(before + 7, 14, 2, 59, 4);
}

static void test_disabled(void **state)
{
	uint32_t before;

	generation_set_enabled(self(), false);
	assert_false(generation_is_enabled());
	before = g_stub_event_count;
	born(10);
	assert_int_equal(g_stub_event_count, before);
	generation_set_enabled(self(), true);
	generation_set_thresholds(self(), (const uint64_t[]){0, 1, 1});
	before = g_stub_event_count;
	born(10);
	assert_int_equal(g_stub_event_count, before);
}

static void test_freeze(void **state)
{
	struct generation_stamp old = born(1), young;
	uint64_t total, frozen;
	struct generation_stats stats[3];

	generation_get_stats(stats);
	total = stats[0].live + stats[1].live + stats[2].live;
	generation_freeze(self());
	frozen = generation_frozen_count();
	assert_int_equal(frozen, total);
	expect_live(0, 0, 0);
	expect_counts(0, 0, 0);
	/* Born after the same number of passes, but after the freeze. */
	young = born(1);
	assert_int_equal(young.pass, old.pass);
	assert_int_equal(generation_of_object(&old), GENERATION_PERMANENT);
	assert_int_equal(generation_of_object(&young), 0);
	died(old, 1);
	assert_int_equal(generation_frozen_count(), frozen - 1);
	expect_live(1, 0, 0);
	generation_unfreeze(self());
	assert_int_equal(generation_frozen_count(), 0);
	assert_int_equal(generation_of_object(&old), 2);
	assert_int_equal(generation_of_object(&young), 0);
	expect_live(1, 0, frozen - 1);
	died(young, 1);
	expect_live(0, 0, frozen - 1);
}

static void test_blocks(void **state)
{
	uint32_t before = g_stub_event_count;

	generation_init((const uint64_t[]){700, 10, 10});
	for (unsigned i = 0; i < 11; i++)
		assert_true(generation_count(self(), CASTAWAY_DOMAIN_BLOCKS, 64));
	/* 704 > 700 at the eleventh: the 640 before it are examined. */
	assert_int_equal(g_stub_event_count, before + 1);
	assert_int_equal(g_stub_events[before].values[0], CASTAWAY_DOMAIN_BLOCKS);
	assert_int_equal(g_stub_events[before].values[3], 640);
	assert_int_equal(generation_birth(CASTAWAY_DOMAIN_BLOCKS), 1);
	assert_int_equal(generation_of(CASTAWAY_DOMAIN_BLOCKS, 0), 1);
	assert_int_equal(generation_of(CASTAWAY_DOMAIN_BLOCKS, 1), 0);
	for (unsigned i = 0; i < 11; i++)
		assert_true(generation_count(self(), CASTAWAY_DOMAIN_BLOCKS, -64));
	assert_int_equal(g_stub_event_count, before + 1);
}

/* A pass that is asked for runs though passes are disabled, as gc.collect(). */
static void test_collect(void **state)
{
	struct generation_stamp stamp;
	struct generation_stats before[3], after[3];
	uint32_t events;

	generation_set_enabled(self(), false);
	generation_get_stats(before);
	generation_object_born(self(), &stamp);
	events = g_stub_event_count;
	generation_collect(self(), 0);
	generation_get_stats(after);
	assert_int_equal(generation_of_object(&stamp), 1);
	assert_int_equal(after[0].collections, before[0].collections + 1);
	assert_int_equal(after[1].live, before[1].live + before[0].live + 1);
	assert_int_equal(g_stub_event_count, events + 1);
	assert_int_equal(g_stub_events[events].opcode, CASTAWAY_EVENT_PASS);
	assert_int_equal(g_stub_events[events].values[2], 0);
	generation_collect(self(), 2);
	assert_int_equal(generation_of_object(&stamp), 2);
	generation_object_died(self(), &stamp);
	generation_set_enabled(self(), true);
}

static void many(unsigned index)
{
	struct generation_stamp stamps[64];

	for (unsigned round = 0; round < 500; round++) {
		for (unsigned i = 0; i < 64; i++)
			generation_object_born(&g_stub_threads[index], &stamps[i]);
		for (unsigned i = 0; i < 64; i++)
			generation_object_died(&g_stub_threads[index], &stamps[i]);
	}
}

static void test_stress(void **state)
{
	struct generation_stats before[3], after[3];

	generation_set_thresholds(self(), (const uint64_t[]){5, 2, 2});
	generation_get_stats(before);
	stub_run_threads(4, many);
	generation_get_stats(after);
	assert_true(after[0].collections > before[0].collections);
	assert_int_equal(after[0].live + after[1].live + after[2].live,
			 before[0].live + before[1].live + before[2].live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),    cmocka_unit_test(test_long_lived),
		cmocka_unit_test(test_disabled), cmocka_unit_test(test_freeze),
		cmocka_unit_test(test_blocks),   cmocka_unit_test(test_collect),
		cmocka_unit_test(test_stress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
