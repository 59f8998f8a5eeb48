/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole traces through the whole pass: the moment, the filters, the grouping
 * and the totals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis.h"
#include "trace_builder.h"

struct judged {
	struct analysis_options options;
	struct trace *trace;
	struct analysis *analysis;
	struct error error;
	enum error_code code;
};

static struct analysis_options defaults(void)
{
	struct analysis_options options;

	analysis_options_default(&options);
	options.symbols.off = true;
	return options;
}

/* Frees the builder at release(). */
static void judge(struct builder *b, const struct analysis_options *options, struct judged *j)
{
	*j = (struct judged){.options = *options};
	j->trace = builder_open(b);
	j->code = analysis_run(j->trace, options, &j->analysis, &j->error);
}

static void release(struct builder *b, struct judged *j)
{
	analysis_free(j->analysis);
	trace_free(j->trace);
	builder_free(b);
}

static void object(struct builder *b, uint64_t ticks, uint64_t address, const char *type, uint32_t stack)
{
	builder_event(b, 1, ticks, OBJECT, address, 64, builder_string(b, type), stack);
}

/* An object that owns its one count itself. */
static void loop(struct builder *b, uint64_t ticks, uint64_t address, const char *type, uint32_t stack)
{
	object(b, ticks, address, type, stack);
	builder_event(b, 1, ticks, LINK, address, address, builder_string(b, "self"), stack);
}

/* ---- totals ------------------------------------------------------------------------- */

static void test_empty_trace(void **state)
{
	struct builder *b = builder_new();
	struct analysis_options options = defaults();
	struct judged j;

	builder_event(b, 1, 10, ALLOC, 0x1000, 64, 0);
	builder_end(b, CASTAWAY_END_EXIT, 100);
	judge(b, &options, &j);
	assert_int_equal(j.code, ERROR_NONE);
	assert_int_equal(j.analysis->finding_count, 0);
	assert_int_equal(j.analysis->structure_count, 0);
	assert_int_equal(j.analysis->summary.blocks, 1);
	assert_int_equal(j.analysis->summary.bytes, 64);
	assert_int_equal(j.analysis->summary.objects, 0);
	assert_int_equal(j.analysis->runtime_count, 0);
	assert_null(j.analysis->snapshot);
	assert_int_equal(j.analysis->ticks, 10);
	assert_null(j.analysis->retained);
	release(b, &j);
}

/* Two loops alike, one with a tail of another type, and a living object. */
static void test_groups_and_totals(void **state)
{
	struct builder *b = builder_new();
	struct analysis_options options = defaults();
	uint32_t here = builder_stack(b, "main", "make", NULL);
	const struct finding *first;
	struct judged j;

	loop(b, 10, 0x3000, "Loop", here);
	loop(b, 20, 0x1000, "Loop", here);
	loop(b, 30, 0x2000, "Ring", here);
	object(b, 40, 0x4000, "Tail", here);
	builder_event(b, 1, 41, LINK, 0x2000, 0x4000, 0, 0);
	object(b, 50, 0x5000, "Loop", here);
	builder_event(b, 1, 60, PASS, CASTAWAY_DOMAIN_OBJECTS, 0, 0, 5, 5);
	loop(b, 70, 0x6000, "Late", here);
	builder_end(b, CASTAWAY_END_EXIT, 100);
	judge(b, &options, &j);
	assert_int_equal(j.code, ERROR_NONE);
	assert_int_equal(j.analysis->finding_count, 3);
	assert_int_equal(j.analysis->structure_count, 4);
	first = &j.analysis->findings[0];
	assert_int_equal(first->bytes + j.analysis->findings[1].bytes, 256);
	for (size_t f = 0; f < 3; f++) {
		const struct finding *finding = &j.analysis->findings[f];
		const struct structure *s = &j.analysis->structures[finding->representative];
		const char *type = trace_text(j.trace, j.analysis->graph->node[s->members[0]].type);

		assert_int_equal(finding->verdict, VERDICT_STRANDED);
		assert_int_equal(finding->fingerprint, s->fingerprint);
		if (strcmp(type, "Loop") == 0) {
			assert_int_equal(finding->count, 2);
			assert_int_equal(finding->objects, 2);
			assert_int_equal(finding->entrained_objects, 0);
			assert_int_equal(j.analysis->graph->node[s->members[0]].address, 0x1000);
			assert_int_equal(s->survived, 1);
		} else if (strcmp(type, "Ring") == 0) {
			assert_int_equal(finding->count, 1);
			assert_int_equal(finding->objects, 2);
			assert_int_equal(finding->bytes, 128);
			assert_int_equal(finding->entrained_objects, 1);
			assert_int_equal(finding->entrained_bytes, 64);
		} else {
			assert_string_equal(type, "Late");
			assert_int_equal(f, 2); /* the smallest comes last */
			assert_int_equal(s->survived, 0);
		}
	}
	assert_int_equal(j.analysis->summary.objects, 6);
	assert_int_equal(j.analysis->summary.edges, 5);
	assert_int_equal(j.analysis->summary.structures, 4);
	assert_int_equal(j.analysis->summary.stranded_structures, 4);
	assert_int_equal(j.analysis->summary.stranded_objects, 5);
	assert_int_equal(j.analysis->summary.stranded_bytes, 5 * 64);
	assert_int_equal(j.analysis->generations[0].objects, 1);
	assert_int_equal(j.analysis->generations[0].collections, 1);
	assert_int_equal(j.analysis->generations[0].promoted, 5);
	assert_int_equal(j.analysis->generations[0].threshold, 700);
	assert_int_equal(j.analysis->generations[0].stranded_objects, 1);
	assert_int_equal(j.analysis->generations[1].objects, 5);
	assert_int_equal(j.analysis->generations[1].stranded_objects, 4);
	assert_int_equal(j.analysis->runtime_count, 1);
	assert_int_equal(j.analysis->runtimes[0].runtime, CASTAWAY_RUNTIME_NATIVE);
	assert_int_equal(j.analysis->runtimes[0].objects, 6);
	assert_true(j.analysis->runtimes[0].enabled);
	release(b, &j);
}

/* ---- options ------------------------------------------------------------------------- */

/* Three loops of different types, passes survived, and modules. */
static struct builder *three_loops(void)
{
	struct builder *b = builder_new();
	uint32_t app = builder_module(b, "/usr/bin/app", 0x1000, 0x1000, 0x9000);
	uint32_t lib = builder_module(b, "/usr/lib/libtree.so", 0x10000, 0x10000, 0x20000);

	loop(b, 10, 0x1000, "Old", builder_frame(b, 0, lib, 0x42));
	builder_event(b, 1, 20, PASS, CASTAWAY_DOMAIN_OBJECTS, 0, 0, 1, 1);
	builder_event(b, 1, 21, PASS, CASTAWAY_DOMAIN_OBJECTS, 1, 1, 1, 1);
	loop(b, 30, 0x2000, "Middle", builder_frame(b, 0, app, 0x42));
	builder_event(b, 1, 40, PASS, CASTAWAY_DOMAIN_OBJECTS, 2, 0, 1, 1);
	loop(b, 50, 0x3000, "New", builder_frame(b, 0, app, 0x42));
	builder_end(b, CASTAWAY_END_EXIT, 100);
	return b;
}

/* `expected`: the first letters of the types found. */
static void expect_types(const struct analysis_options *options, const char *expected)
{
	struct builder *b = three_loops();
	struct judged j;

	judge(b, options, &j);
	assert_int_equal(j.code, ERROR_NONE);
	assert_int_equal(j.analysis->structure_count, strlen(expected));
	for (size_t i = 0; i < j.analysis->structure_count; i++) {
		const struct structure *s = &j.analysis->structures[i];
		uint32_t type = j.analysis->graph->node[s->members[0]].type;

		assert_non_null(strchr(expected, trace_text(j.trace, type)[0]));
	}
	assert_int_equal(j.analysis->summary.stranded_structures, strlen(expected));
	release(b, &j);
}

static void test_generation_limit(void **state)
{
	static const char *const expected[] = {"N", "NM", "NMO"};

	for (int g = 0; g < 3; g++) {
		struct analysis_options options = defaults();

		options.generation = g;
		expect_types(&options, expected[g]);
	}
}

static void test_min_survived(void **state)
{
	static const char *const expected[] = {"OMN", "OM", "O", ""};

	for (uint32_t n = 0; n < 4; n++) {
		struct analysis_options options = defaults();

		options.min_survived = n;
		expect_types(&options, expected[n]);
	}
}

static void test_globs(void **state)
{
	static const struct {
		const char *only, *ignore, *expected;
	} cases[] = {
		{"M*", NULL, "M"},          {NULL, "M*", "ON"},
		{"native:*", NULL, "OMN"},  {"native:[ON]*", "New", "O"},
		{"cpython:*", NULL, ""},    {"libtree.so", NULL, "O"},
		{"/usr/bin/*", NULL, "MN"}, {NULL, "/usr/lib/*", "MN"},
		{"app", "Middle", "N"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const only[] = {cases[i].only, NULL}, *const ignore[] = {cases[i].ignore, NULL};
		struct analysis_options options = defaults();

		options.only = only;
		options.ignore = ignore;
		expect_types(&options, cases[i].expected);
	}
}

static void test_runtimes(void **state)
{
	struct analysis_options options = defaults();

	options.runtimes = 1u << CASTAWAY_RUNTIME_NATIVE;
	expect_types(&options, "OMN");
	options.runtimes = 1u << CASTAWAY_RUNTIME_CPYTHON;
	expect_types(&options, "");
}

static void test_latent(void **state)
{
	struct analysis_options options = defaults();
	struct builder *b = builder_new();
	struct judged j;

	loop(b, 10, 0x1000, "Dead", 0);
	loop(b, 20, 0x2000, "Held", 0);
	builder_event(b, 1, 21, REF, 0x2000, 0);
	object(b, 30, 0x3000, "Plain", 0);
	builder_end(b, CASTAWAY_END_EXIT, 100);
	options.latent = true;
	judge(b, &options, &j);
	assert_int_equal(j.analysis->finding_count, 2);
	assert_int_equal(j.analysis->findings[0].verdict, VERDICT_STRANDED);
	assert_int_equal(j.analysis->findings[1].verdict, VERDICT_LATENT);
	assert_int_equal(j.analysis->findings[1].evidence.refcounts, 2);
	assert_int_equal(j.analysis->findings[1].evidence.explained_inside, 1);
	assert_int_equal(j.analysis->findings[1].evidence.unexplained, 1);
	assert_true(j.analysis->findings[0].stranded_at.present);
	assert_false(j.analysis->findings[1].stranded_at.present);
	assert_int_equal(j.analysis->summary.structures, 2);
	assert_int_equal(j.analysis->summary.stranded_structures, 1);
	assert_int_equal(j.analysis->summary.stranded_objects, 1);
	assert_int_equal(j.analysis->generations[0].stranded_objects, 1);
	release(b, &j);
}

/* Count zero without an end: no finding, but a leak when leaks are asked for. */
static void test_released_objects(void **state)
{
	for (int leaks = 0; leaks < 2; leaks++) {
		struct analysis_options options = defaults();
		struct builder *b = builder_new();
		struct judged j;

		for (uint64_t i = 0; i < 3; i++) {
			object(b, 10 + 2 * i, 0x1000 + 0x100 * i, i < 2 ? "A" : "B", 0);
			builder_event(b, 1, 11 + 2 * i, UNREF, 0x1000 + 0x100 * i, 0);
		}
		builder_end(b, CASTAWAY_END_EXIT, 100);
		options.leaks = leaks;
		judge(b, &options, &j);
		assert_int_equal(j.analysis->finding_count, 0);
		assert_int_equal(j.analysis->leak_count, leaks ? 2 : 0);
		if (leaks) {
			assert_int_equal(j.analysis->leaks[0].verdict, VERDICT_LEAKED);
			assert_int_equal(j.analysis->leaks[0].count, 2);
			assert_int_equal(j.analysis->leaks[0].bytes, 128);
			assert_int_equal(j.analysis->leaks[0].refcount, 0);
			assert_string_equal(trace_text(j.trace, j.analysis->leaks[1].type), "B");
			assert_int_equal(j.analysis->summary.leaked_blocks, 3);
			assert_int_equal(j.analysis->summary.leaked_bytes, 192);
		}
		release(b, &j);
	}
}

static void test_retained(void **state)
{
	struct analysis_options options = defaults();
	struct builder *b = builder_new();
	struct judged j;

	loop(b, 10, 0x1000, "Loop", 0);
	object(b, 20, 0x2000, "Tail", 0);
	builder_event(b, 1, 21, LINK, 0x1000, 0x2000, 0, 0);
	object(b, 30, 0x3000, "Plain", 0);
	builder_end(b, CASTAWAY_END_EXIT, 100);
	options.retained = true;
	judge(b, &options, &j);
	assert_int_equal(j.analysis->retained[0], 128);
	assert_int_equal(j.analysis->retained[1], 64);
	assert_int_equal(j.analysis->retained[2], 0);
	release(b, &j);
}

/* More links than counts: held, and the report says so. */
static void test_inexact(void **state)
{
	struct analysis_options options = defaults();
	struct builder *b = builder_new();
	bool reported = false;
	struct judged j;

	loop(b, 10, 0x1000, "Loop", 0);
	builder_event(b, 1, 20, LINK, 0x1000, 0x1000, 0, 0);
	builder_end(b, CASTAWAY_END_EXIT, 100);
	judge(b, &options, &j);
	assert_int_equal(j.analysis->finding_count, 0);
	assert_int_equal(j.analysis->inexact, 1);
	for (size_t i = 0; i < j.trace->limit_count; i++)
		reported |=
			j.trace->limits[i].limit == CASTAWAY_LIMIT_INEXACT && j.trace->limits[i].count == 1;
	assert_true(reported);
	release(b, &j);
}

/* ---- the moment ------------------------------------------------------------------------ */

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
	loop(b, 150, 0x1000, "Loop", 0);
	at = builder_snapshot(b, CASTAWAY_REASON_EXIT, 200, "");
	put_pair(b, at, 0x50000, CASTAWAY_RUNTIME_CPYTHON, 2);
	put_pair(b, at, 0x60000, CASTAWAY_RUNTIME_CPYTHON, 0);
	put_pair(b, at, 0x70000, CASTAWAY_RUNTIME_CPYTHON, 3);
	builder_runtime(b, at, &runtime);
	builder_snapshot_end(b, at, 210);
	loop(b, 250, 0x2000, "Loop", 0);
	at = builder_snapshot(b, CASTAWAY_REASON_LATE, 300, "");
	put_pair(b, at, 0x50000, CASTAWAY_RUNTIME_CPYTHON, 0);
	builder_end(b, CASTAWAY_END_EXIT, 400);
	return b;
}

static void test_last_snapshot(void **state)
{
	struct analysis_options options = defaults();
	struct builder *b = snapshots();
	const struct runtime_row *row = NULL;
	struct judged j;

	judge(b, &options, &j);
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
	release(b, &j);
}

static void test_chosen_snapshot(void **state)
{
	struct analysis_options options = defaults();
	struct builder *b = snapshots();
	struct judged j;

	options.snapshot = 0;
	judge(b, &options, &j);
	assert_int_equal(j.code, ERROR_NONE);
	assert_string_equal(j.analysis->snapshot->name, "first");
	assert_int_equal(j.analysis->summary.objects, 2);
	assert_int_equal(j.analysis->summary.stranded_objects, 2);
	release(b, &j);
}

static void test_no_such_snapshot(void **state)
{
	for (int index = 2; index < 4; index++) {
		struct analysis_options options = defaults();
		struct builder *b = snapshots();
		struct judged j;

		options.snapshot = index;
		judge(b, &options, &j);
		assert_int_equal(j.code, ERROR_NOT_FOUND);
		assert_string_equal(j.error.what, index == 2 ? "snapshot 2 was not finished"
							     : "the trace has no snapshot 3");
		assert_null(j.analysis);
		release(b, &j);
	}
}

/* What a fork child starts with is no moment to look at, but its objects are
 * there at the end. */
static void test_inherited(void **state)
{
	struct analysis_options options = defaults();
	struct builder *b = builder_new();
	uint32_t at = builder_snapshot(b, CASTAWAY_REASON_INHERIT, 0, "");
	struct judged j;

	put_pair(b, at, 0x50000, CASTAWAY_RUNTIME_NATIVE, 0);
	builder_snapshot_end(b, at, 0);
	builder_end(b, CASTAWAY_END_EXIT, 400);
	judge(b, &options, &j);
	assert_int_equal(j.code, ERROR_NONE);
	assert_null(j.analysis->snapshot);
	assert_int_equal(j.analysis->summary.stranded_objects, 2);
	assert_false(j.analysis->findings[0].stranded_at.present); /* it may have been in the parent */
	release(b, &j);
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
		struct analysis_options options = defaults();
		struct builder *b = snapshots();
		struct judged j;

		watched.calls = 0;
		watched.last = 0;
		options.progress = watch;
		options.progress_arg = &watched;
		judge(b, &options, &j);
		if (watched.stop_at == 0) {
			assert_int_equal(j.code, ERROR_NONE);
			assert_true(watched.last == 1);
			calls = watched.calls;
		} else {
			assert_int_equal(j.code, ERROR_CANCELLED);
			assert_int_equal(watched.calls, watched.stop_at);
		}
		release(b, &j);
	}
	assert_true(calls >= 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_trace),
		cmocka_unit_test(test_groups_and_totals),
		cmocka_unit_test(test_generation_limit),
		cmocka_unit_test(test_min_survived),
		cmocka_unit_test(test_globs),
		cmocka_unit_test(test_runtimes),
		cmocka_unit_test(test_latent),
		cmocka_unit_test(test_released_objects),
		cmocka_unit_test(test_retained),
		cmocka_unit_test(test_inexact),
		cmocka_unit_test(test_last_snapshot),
		cmocka_unit_test(test_chosen_snapshot),
		cmocka_unit_test(test_no_such_snapshot),
		cmocka_unit_test(test_inherited),
		cmocka_unit_test(test_progress_and_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
