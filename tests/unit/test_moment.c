/* SPDX-License-Identifier: Apache-2.0
 *
 * Which moment of a trace is looked at, and how a run is cancelled.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "judged.h"

/* Pairs of a runtime with snapshots; each pair is dead in the one it is in. */
static void put_pair(struct builder *b, uint32_t snapshot, uint64_t address, uint8_t runtime,
		     uint32_t generation)
{
	for (uint64_t i = 0; i < 2; i++) {
		const struct snapshot_object_record record = {
			.address = address + 64 * i,
			.size = 48,
			.block_offset = 16,
			.refcount = 1,
			.type = builder_string(b, "dict"),
			.generation = generation,
			.flags = CASTAWAY_OBJECT_TRACKED,
			.runtime = runtime,
			.edge_count = 1,
		};
		const struct snapshot_edge_record edge = {.target = address + 64 * (1 - i), .offset = -1};

		builder_object(b, snapshot, &record, &edge);
	}
}

/* Snapshot 0: one pair; 1: two; 2: not finished.  An annotated loop is born
 * between 0 and 1, another after the last one. */
static struct builder *snapshots(void)
{
	struct snapshot_runtime_record runtime = {
		.version = "3.11.2",
		.note = "",
		.runtime = CASTAWAY_RUNTIME_CPYTHON,
		.enabled = true,
		.frozen = 7,
		.generation_count = 3,
		.generations = {{12, 700, 5, 0, 0}, {3, 10, 2, 0, 0}, {1, 10, 1, 0, 0}},
	};
	struct builder *b = builder_new();
	uint32_t at;

	at = builder_snapshot(b, CASTAWAY_REASON_API, 100, "first");
	put_pair(b, at, 0x50000, CASTAWAY_RUNTIME_CPYTHON, 0);
	builder_runtime(b, at, &runtime);
	builder_snapshot_end(b, at, 110);
	judged_loop(b, 150, 0x1000, "Loop", 0);
	at = builder_snapshot(b, CASTAWAY_REASON_EXIT, 200, "");
	put_pair(b, at, 0x50000, CASTAWAY_RUNTIME_CPYTHON, 2);
	put_pair(b, at, 0x60000, CASTAWAY_RUNTIME_CPYTHON, 0);
	put_pair(b, at, 0x70000, CASTAWAY_RUNTIME_CPYTHON, 3);
	builder_runtime(b, at, &runtime);
	builder_snapshot_end(b, at, 210);
	judged_loop(b, 250, 0x2000, "Loop", 0);
	at = builder_snapshot(b, CASTAWAY_REASON_LATE, 300, "");
	put_pair(b, at, 0x50000, CASTAWAY_RUNTIME_CPYTHON, 0);
	return b;
}

static void test_last_snapshot(void **state)
{
	struct analysis_options options = judged_options();
	struct builder *b = snapshots();
	const struct runtime_row *row = NULL;
	struct judged j;

	j = judged_end(b, 400, &options);
	assert_int_equal(j.code, ERROR_NONE);
	assert_int_equal(j.analysis->snapshot->index, 1);
	assert_int_equal(j.analysis->ticks, 200);
	assert_int_equal(j.analysis->summary.objects, 7);
	assert_int_equal(j.analysis->summary.stranded_objects, 5); /* the loop at 150, not the one at 250 */
	assert_int_equal(j.analysis->finding_count, 2);
	assert_int_equal(j.analysis->findings[0].count, 2);
	assert_false(j.analysis->findings[0].stranded_at.present);
	for (size_t i = 0; i < j.analysis->runtime_count; i++) {
		if (j.analysis->runtimes[i].runtime == CASTAWAY_RUNTIME_CPYTHON)
			row = &j.analysis->runtimes[i];
	}
	assert_int_equal(j.analysis->runtime_count, 2);
	assert_non_null(row);
	assert_string_equal(row->version, "3.11.2");
	assert_int_equal(row->objects, 6);
	assert_int_equal(row->frozen, 7);
	assert_int_equal(row->generation[0].count, 12);
	assert_int_equal(row->generation[0].objects, 2);
	assert_int_equal(row->generation[2].objects, 2);
	assert_int_equal(row->generation[2].stranded_objects, 2);
	assert_int_equal(j.analysis->generations[0].collections, 5);
	assert_int_equal(j.analysis->generations[0].objects, 3);
	judged_free(&j);
}

static void test_chosen_snapshot(void **state)
{
	struct analysis_options options = judged_options();
	struct builder *b = snapshots();
	struct judged j;

	options.snapshot = 0;
	j = judged_end(b, 400, &options);
	assert_int_equal(j.code, ERROR_NONE);
	assert_string_equal(j.analysis->snapshot->name, "first");
	assert_int_equal(j.analysis->summary.objects, 2);
	assert_int_equal(j.analysis->summary.stranded_objects, 2);
	judged_free(&j);
}

static void test_no_such_snapshot(void **state)
{
	for (int index = 2; index < 4; index++) {
		struct analysis_options options = judged_options();
		struct builder *b = snapshots();
		struct judged j;

		options.snapshot = index;
		j = judged_end(b, 400, &options);
		assert_int_equal(j.code, ERROR_NOT_FOUND);
		assert_string_equal(j.error.what, index == 2 ? "snapshot 2 was not finished"
							     : "the trace has no snapshot 3");
		assert_null(j.analysis);
		judged_free(&j);
	}
}

/* What a fork child starts with is no moment to look at, but its objects are
 * there at the end. */
static void test_inherited(void **state)
{
	struct analysis_options options = judged_options();
	struct builder *b = builder_new();
	uint32_t at = builder_snapshot(b, CASTAWAY_REASON_INHERIT, 0, "");
	struct judged j;

	put_pair(b, at, 0x50000, CASTAWAY_RUNTIME_NATIVE, 0);
	builder_snapshot_end(b, at, 0);
	j = judged_end(b, 400, &options);
	assert_int_equal(j.code, ERROR_NONE);
	assert_null(j.analysis->snapshot);
	assert_int_equal(j.analysis->summary.stranded_objects, 2);
	assert_false(j.analysis->findings[0].stranded_at.present); /* it may have been in the parent */
	judged_free(&j);
}

struct watched {
	unsigned calls, stop_at;
	double last;
};

static bool watch(void *arg, const char *phase, double fraction)
{
	struct watched *watched = arg;

	assert_non_null(phase);
	assert_true(fraction >= watched->last && fraction <= 1);
	watched->last = fraction;
	return ++watched->calls != watched->stop_at;
}

static void test_progress_and_cancel(void **state)
{
	struct watched watched = {0};
	unsigned calls;

	for (watched.stop_at = 0, calls = 1; watched.stop_at <= calls; watched.stop_at++) {
		struct analysis_options options = judged_options();
		struct builder *b = snapshots();
		struct judged j;

		watched.calls = 0;
		watched.last = 0;
		options.progress = watch;
		options.progress_arg = &watched;
		j = judged_end(b, 400, &options);
		if (watched.stop_at == 0) {
			assert_int_equal(j.code, ERROR_NONE);
			assert_true(watched.last == 1);
			calls = watched.calls;
		} else {
			assert_int_equal(j.code, ERROR_CANCELLED);
			assert_int_equal(watched.calls, watched.stop_at);
		}
		judged_free(&j);
	}
	assert_true(calls >= 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_snapshot),       cmocka_unit_test(test_chosen_snapshot),
		cmocka_unit_test(test_no_such_snapshot),    cmocka_unit_test(test_inherited),
		cmocka_unit_test(test_progress_and_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
