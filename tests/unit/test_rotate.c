/* SPDX-License-Identifier: Apache-2.0
 *
 * When a trace file is begun anew, around stand-ins for the files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "preload/config.h"
#include "preload/rotate.h"
#include "preload/writer_internal.h"
#include "preload_stub.h"

#define MIB   (UINT64_C(1) << 20)
#define BOUND (4 * MIB)
#define NOW   UINT64_C(5000000000)
#define MS    UINT64_C(1000000)

struct config g_config;

static struct {
	uint64_t size;
	bool cannot_begin, cannot_finish;
	unsigned begun, finished, restarted;
} s_files;

uint64_t writer_file_size(void)
{
	return s_files.size;
}

bool writer_file_begin_next(void)
{
	s_files.begun++;
	return !s_files.cannot_begin;
}

bool writer_file_finish_next(void)
{
	s_files.finished++;
	return !s_files.cannot_finish;
}

void writer_pump_restart(void)
{
	s_files.restarted++;
}

static int set_up(void **state)
{
	memset(&s_files, 0, sizeof(s_files));
	memset(g_stub_limits, 0, sizeof(g_stub_limits));
	memset(g_stub_threads, 0, sizeof(g_stub_threads));
	g_config.max_mib = BOUND / MIB;
	rotate_reset();
	return 0;
}

static uint64_t rotated(void)
{
	return g_stub_limits[CASTAWAY_LIMIT_ROTATED];
}

static uint64_t not_rotated(void)
{
	return g_stub_limits[CASTAWAY_LIMIT_NOT_ROTATED];
}

/* From a full file to one that has `size` when its snapshot is in it. */
static void rotate_at(uint64_t now, uint64_t size)
{
	assert_true(rotate_due(now));
	assert_true(rotate_begin(true, now));
	s_files.size = size;
	rotate_end(true, now);
}

static void rotate_to(uint64_t size)
{
	rotate_at(NOW, size);
}

static void test_no_bound(void **state)
{
	g_config.max_mib = 0;
	s_files.size = UINT64_MAX;
	assert_false(rotate_due(NOW));
}

static void test_bound(void **state)
{
	s_files.size = BOUND - 1;
	assert_false(rotate_due(NOW));
	s_files.size = BOUND;
	rotate_to(MIB);
	assert_int_equal(s_files.begun, 1);
	assert_int_equal(s_files.restarted, 1);
	assert_int_equal(s_files.finished, 1);
	assert_int_equal(rotated(), 1);
	assert_int_equal(not_rotated(), 0);
	s_files.size = BOUND - 1;
	assert_false(rotate_due(NOW));
	s_files.size = BOUND;
	assert_true(rotate_due(NOW));
}

/* What lives takes most of the bound, or more: the next one comes after as much again. */
static void test_much_lives(void **state)
{
	s_files.size = BOUND;
	rotate_to(3 * MIB);
	s_files.size = BOUND;
	assert_false(rotate_due(NOW));
	s_files.size = 6 * MIB - 1;
	assert_false(rotate_due(NOW));
	s_files.size = 6 * MIB;
	rotate_to(10 * MIB);
	s_files.size = 20 * MIB - 1;
	assert_false(rotate_due(NOW));
	s_files.size = 20 * MIB;
	assert_true(rotate_due(NOW));
}

static void expect_another_time(uint64_t now, uint64_t later)
{
	assert_false(rotate_due(now));
	assert_false(rotate_due(now + later - 1));
	assert_true(rotate_due(now + later));
}

/* Threads that do not stand, or one between a count and its event. */
static void test_moment_does_not_suit(void **state)
{
	s_files.size = BOUND;
	assert_false(rotate_begin(false, NOW));
	expect_another_time(NOW, 20 * MS);
	g_stub_threads[3].counting = 1;
	assert_false(rotate_begin(true, NOW));
	expect_another_time(NOW, 20 * MS);
	assert_int_equal(s_files.begun, 0);
	rotate_end(true, NOW); /* the snapshot is taken all the same */
	assert_int_equal(s_files.finished, 0);
	g_stub_threads[3].counting = 0;
	rotate_at(NOW + 20 * MS, MIB);
	assert_int_equal(rotated(), 1);
	assert_int_equal(not_rotated(), 0);
}

/* It is said once, and tried less often. */
static void test_no_moment_suits(void **state)
{
	s_files.size = BOUND;
	for (unsigned i = 0; i < 99; i++)
		assert_false(rotate_begin(false, NOW));
	assert_int_equal(not_rotated(), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_false(rotate_begin(false, NOW));
		expect_another_time(NOW, 1000 * MS);
	}
	assert_int_equal(not_rotated(), 1);
	s_files.size = BOUND;
	assert_true(rotate_begin(true, NOW));
	rotate_end(true, NOW);
	assert_int_equal(rotated(), 1);
}

/* The new file stays, and gets another snapshot; whatever its size is. */
static void test_snapshot_fails(void **state)
{
	s_files.size = BOUND;
	assert_true(rotate_begin(true, NOW));
	s_files.size = MIB;
	rotate_end(false, NOW);
	expect_another_time(NOW, 1000 * MS);
	assert_true(rotate_begin(true, NOW));
	assert_int_equal(s_files.begun, 1);
	assert_int_equal(s_files.restarted, 1);
	rotate_end(true, NOW);
	assert_int_equal(s_files.finished, 1);
	assert_int_equal(rotated(), 1);
	assert_false(rotate_due(NOW));
}

static void test_snapshots_fail(void **state)
{
	s_files.size = BOUND;
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(not_rotated(), 0);
		assert_true(rotate_begin(true, NOW));
		rotate_end(false, NOW);
	}
	assert_int_equal(not_rotated(), 1);
	assert_false(rotate_due(UINT64_MAX));
	assert_int_equal(s_files.finished, 0);
}

/* Failures count only when they follow each other. */
static void test_snapshot_fails_now_and_then(void **state)
{
	for (unsigned i = 0; i < 10; i++) {
		s_files.size = BOUND;
		assert_true(rotate_begin(true, NOW));
		rotate_end(false, NOW);
		assert_true(rotate_begin(true, NOW));
		s_files.size = MIB;
		rotate_end(true, NOW);
	}
	assert_int_equal(rotated(), 10);
	assert_int_equal(not_rotated(), 0);
}

static void test_no_next_file(void **state)
{
	s_files.size = BOUND;
	s_files.cannot_begin = true;
	assert_false(rotate_begin(true, NOW));
	assert_int_equal(s_files.restarted, 0);
	assert_int_equal(not_rotated(), 1);
	assert_false(rotate_due(UINT64_MAX));
	rotate_end(true, NOW);
	assert_int_equal(s_files.finished, 0);
}

static void test_no_place(void **state)
{
	s_files.size = BOUND;
	s_files.cannot_finish = true;
	rotate_to(MIB);
	assert_int_equal(rotated(), 0);
	assert_int_equal(not_rotated(), 1);
	s_files.size = BOUND;
	assert_false(rotate_due(UINT64_MAX));
}

/* A fork child begins as its parent did. */
static void test_fork_child(void **state)
{
	s_files.size = BOUND;
	rotate_to(3 * MIB);
	rotate_reset();
	s_files.size = BOUND;
	assert_true(rotate_due(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_no_bound, set_up),
		cmocka_unit_test_setup(test_bound, set_up),
		cmocka_unit_test_setup(test_much_lives, set_up),
		cmocka_unit_test_setup(test_moment_does_not_suit, set_up),
		cmocka_unit_test_setup(test_no_moment_suits, set_up),
		cmocka_unit_test_setup(test_snapshot_fails, set_up),
		cmocka_unit_test_setup(test_snapshots_fail, set_up),
		cmocka_unit_test_setup(test_snapshot_fails_now_and_then, set_up),
		cmocka_unit_test_setup(test_no_next_file, set_up),
		cmocka_unit_test_setup(test_no_place, set_up),
		cmocka_unit_test_setup(test_fork_child, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
