/* SPDX-License-Identifier: Apache-2.0
 *
 * Two scans: what is dead in both, told from what only one of them misses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "judged.h"
#include "moment.h"

enum { ALWAYS, FOUND, REBORN, BEHIND, HELD, BLOCKS };

static uint64_t address_of(uint32_t block)
{
	return 0x5000 + 0x100 * (uint64_t)block;
}

/* HELD is, at both moments, and FOUND in the first one; ALWAYS leads to BEHIND. */
static void put_scan(struct builder *b, enum castaway_snapshot_reason reason, uint64_t ticks, bool fine,
		     bool found)
{
	uint32_t snapshot = builder_snapshot(b, reason, ticks, "");
	struct snapshot_root_record root = {.to = HELD, .kind = CASTAWAY_ROOT_MEMORY, .address = 0x9000};
	const struct snapshot_pointer_record behind = {.offset = fine ? 12 : 16, .to = BEHIND};

	if (fine)
		builder_fine(b, snapshot);
	for (uint32_t i = 0; i < BLOCKS; i++)
		builder_block(b, snapshot,
			      &(struct snapshot_block_record){.address = address_of(i), .size = 100 + i});
	builder_pointers(b, snapshot, ALWAYS, &behind, 1);
	builder_root(b, snapshot, &root);
	if (found) {
		root.to = FOUND;
		root.address += 8;
		builder_root(b, snapshot, &root);
	}
	builder_snapshot_end(b, snapshot, ticks + 1);
}

static struct builder *two_scans(bool fine)
{
	struct builder *b = builder_new();

	for (uint32_t i = 0; i < BLOCKS; i++)
		builder_event(b, 1, 10, ALLOC, address_of(i), 100 + i, 0);
	put_scan(b, CASTAWAY_REASON_CONFIRM, 50, fine, true);
	builder_event(b, 1, 60, FREE, address_of(REBORN), 0);
	builder_event(b, 1, 61, ALLOC, address_of(REBORN), 100 + REBORN, 0);
	put_scan(b, CASTAWAY_REASON_EXIT, 100, fine, false);
	return b;
}

static struct judged judge(bool fine, bool confirm, int snapshot)
{
	struct analysis_options options = judged_options();

	options.leaks = true;
	options.confirm = confirm;
	options.snapshot = snapshot;
	return judged_end(two_scans(fine), 200, &options);
}

static void test_both(void **state)
{
	for (unsigned fine = 0; fine < 2; fine++) {
		struct judged j = judge(fine, false, ANALYSIS_SNAPSHOT_LAST);

		assert_int_equal(j.code, ERROR_NONE);
		assert_null(j.analysis->earlier);
		assert_int_equal(j.analysis->summary.leaked_blocks, 4); /* all but HELD */
		judged_free(&j);
		j = judge(fine, true, ANALYSIS_SNAPSHOT_LAST);
		assert_int_equal(j.code, ERROR_NONE);
		assert_int_equal(j.analysis->snapshot->index, 1);
		assert_int_equal(j.analysis->earlier->index, 0);
		assert_int_equal(j.analysis->summary.leaked_blocks, 2);
		assert_int_equal(j.analysis->summary.leaked_bytes, 100 + ALWAYS + 100 + BEHIND);
		assert_int_equal(j.analysis->leaks[0].count, 1);
		judged_free(&j);
	}
}

static void test_first(void **state)
{
	struct judged j = judge(false, true, 0);

	assert_int_equal(j.code, ERROR_NOT_FOUND);
	judged_free(&j);
}

/* Counts are a proof at one moment. */
static void test_counts(void **state)
{
	struct analysis_options options = judged_options();
	struct builder *b = builder_new();
	struct judged j;

	put_scan(b, CASTAWAY_REASON_API, 50, false, true);
	judged_loop(b, 60, 0x1000, "Loop", 0);
	put_scan(b, CASTAWAY_REASON_EXIT, 100, false, true);
	options.confirm = true;
	j = judged_end(b, 200, &options);
	assert_int_equal(j.code, ERROR_NONE);
	assert_int_equal(j.analysis->summary.stranded_structures, 1);
	judged_free(&j);
}

static void test_late(void **state)
{
	struct analysis_options options = judged_options();
	struct builder *b = two_scans(false);
	struct judged j;

	put_scan(b, CASTAWAY_REASON_LATE, 150, false, false);
	j = judged_end(b, 200, &options);
	assert_int_equal(j.analysis->snapshot->reason, CASTAWAY_REASON_EXIT);
	assert_int_equal(moment_before(j.trace, &j.trace->snapshots[2])->index, 1);
	assert_null(moment_before(j.trace, &j.trace->snapshots[0]));
	judged_free(&j);
}

struct watched {
	double last;
	unsigned calls;
};

static bool watch(void *arg, const char *phase, double fraction)
{
	struct watched *watched = arg;

	assert_true(fraction >= watched->last && fraction <= 1);
	watched->last = fraction;
	watched->calls++;
	return true;
}

static void test_progress(void **state)
{
	struct analysis_options options = judged_options();
	struct watched watched = {0};
	struct judged j;

	options.confirm = true;
	options.progress = watch;
	options.progress_arg = &watched;
	j = judged_end(two_scans(false), 200, &options);
	assert_int_equal(j.code, ERROR_NONE);
	assert_true(watched.last == 1);
	judged_free(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both), cmocka_unit_test(test_first),    cmocka_unit_test(test_counts),
		cmocka_unit_test(test_late), cmocka_unit_test(test_progress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
