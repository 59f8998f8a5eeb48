/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole traces through the whole pass: totals, grouping and filters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "judged.h"

/* ---- totals ------------------------------------------------------------------------- */

static void test_empty_trace(void **state)
{
	struct builder *b = builder_new();
	struct analysis_options options = judged_options();
	struct judged j;

	builder_event(b, 1, 10, ALLOC, 0x1000, 64, 0);
	j = judged_end(b, 400, &options);
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
	judged_free(&j);
}

/* Two loops alike, one of another type with a tail, and a living object; then
 * a pass, and one more loop. */
static struct judged crowd(void)
{
	struct builder *b = builder_new();
	uint32_t here = builder_stack(b, "main", "make", NULL);

	judged_loop(b, 10, 0x3000, "Loop", here);
	judged_loop(b, 20, 0x1000, "Loop", here);
	judged_loop(b, 30, 0x2000, "Ring", here);
	judged_object(b, 40, 0x4000, "Tail", here);
	builder_event(b, 1, 41, LINK, 0x2000, 0x4000, 0, 0);
	judged_object(b, 50, 0x5000, "Loop", here);
	builder_event(b, 1, 60, PASS, CASTAWAY_DOMAIN_OBJECTS, 0, 0, 5, 5);
	judged_loop(b, 70, 0x6000, "Late", here);
	return judged_end(b, 100, NULL);
}

/* The finding whose representative is of this type, and its place. */
static const struct finding *finding_of(const struct judged *j, const char *type, size_t *place)
{
	for (*place = 0; *place < j->analysis->finding_count; ++*place) {
		const struct finding *finding = &j->analysis->findings[*place];
		const struct structure *s = &j->analysis->structures[finding->representative];

		if (strcmp(trace_text(j->trace, j->analysis->graph->node[s->members[0]].type), type) == 0)
			return finding;
	}
	fail_msg("no finding of type %s", type);
	return NULL;
}

static void expect_finding(const struct judged *j, const char *type, uint32_t count, uint64_t objects,
			   uint64_t entrained, uint32_t survived)
{
	size_t place;
	const struct finding *finding = finding_of(j, type, &place);
	const struct structure *s = &j->analysis->structures[finding->representative];

	assert_int_equal(finding->verdict, VERDICT_STRANDED);
	assert_int_equal(finding->fingerprint, s->fingerprint);
	assert_int_equal(finding->count, count);
	assert_int_equal(finding->objects, objects);
	assert_int_equal(finding->bytes, 64 * objects);
	assert_int_equal(finding->entrained_objects, entrained);
	assert_int_equal(finding->entrained_bytes, 64 * entrained);
	assert_int_equal(s->survived, survived);
}

static void test_groups(void **state)
{
	struct judged j = crowd();
	const struct finding *loop;
	size_t place;

	assert_int_equal(j.code, ERROR_NONE);
	assert_int_equal(j.analysis->finding_count, 3);
	assert_int_equal(j.analysis->structure_count, 4);
	expect_finding(&j, "Loop", 2, 2, 0, 1);
	expect_finding(&j, "Ring", 1, 2, 1, 1);
	expect_finding(&j, "Late", 1, 1, 0, 0);
	finding_of(&j, "Late", &place);
	assert_int_equal(place, 2); /* the smallest comes last */
	loop = finding_of(&j, "Loop", &place);
	assert_int_equal(
		j.analysis->graph->node[j.analysis->structures[loop->representative].members[0]].address,
		0x1000);
	judged_free(&j);
}

static void test_totals(void **state)
{
	struct judged j = crowd();
	const struct analysis_summary *summary = &j.analysis->summary;
	const struct generation_row *row = j.analysis->generations;

	assert_int_equal(summary->objects, 6);
	assert_int_equal(summary->edges, 5);
	assert_int_equal(summary->structures, 4);
	assert_int_equal(summary->stranded_structures, 4);
	assert_int_equal(summary->stranded_objects, 5);
	assert_int_equal(summary->stranded_bytes, 5 * 64);
	assert_int_equal(row[0].objects, 1);
	assert_int_equal(row[0].collections, 1);
	assert_int_equal(row[0].promoted, 5);
	assert_int_equal(row[0].threshold, 700);
	assert_int_equal(row[0].stranded_objects, 1);
	assert_int_equal(row[1].objects, 5);
	assert_int_equal(row[1].stranded_objects, 4);
	assert_int_equal(j.analysis->runtime_count, 1);
	assert_int_equal(j.analysis->runtimes[0].runtime, CASTAWAY_RUNTIME_NATIVE);
	assert_int_equal(j.analysis->runtimes[0].objects, 6);
	assert_true(j.analysis->runtimes[0].enabled);
	judged_free(&j);
}

/* ---- options ------------------------------------------------------------------------- */

/* Three loops of different types, passes survived, and modules. */
static struct builder *three_loops(void)
{
	struct builder *b = builder_new();
	uint32_t app = builder_module(b, "/usr/bin/app", 0x1000, 0x1000, 0x9000);
	uint32_t lib = builder_module(b, "/usr/lib/libtree.so", 0x10000, 0x10000, 0x20000);

	judged_loop(b, 10, 0x1000, "Old", builder_frame(b, 0, lib, 0x42));
	builder_event(b, 1, 20, PASS, CASTAWAY_DOMAIN_OBJECTS, 0, 0, 1, 1);
	builder_event(b, 1, 21, PASS, CASTAWAY_DOMAIN_OBJECTS, 1, 1, 1, 1);
	judged_loop(b, 30, 0x2000, "Middle", builder_frame(b, 0, app, 0x42));
	builder_event(b, 1, 40, PASS, CASTAWAY_DOMAIN_OBJECTS, 2, 0, 1, 1);
	judged_loop(b, 50, 0x3000, "New", builder_frame(b, 0, app, 0x42));
	return b;
}

/* `expected`: the first letters of the types found. */
static void expect_types(const struct analysis_options *options, const char *expected)
{
	struct builder *b = three_loops();
	struct judged j;

	j = judged_end(b, 400, options);
	assert_int_equal(j.code, ERROR_NONE);
	assert_int_equal(j.analysis->structure_count, strlen(expected));
	for (size_t i = 0; i < j.analysis->structure_count; i++) {
		const struct structure *s = &j.analysis->structures[i];
		uint32_t type = j.analysis->graph->node[s->members[0]].type;

		assert_non_null(strchr(expected, trace_text(j.trace, type)[0]));
	}
	assert_int_equal(j.analysis->summary.stranded_structures, strlen(expected));
	judged_free(&j);
}

static void test_generation_limit(void **state)
{
	static const char *const expected[] = {"N", "NM", "NMO"};

	for (int g = 0; g < 3; g++) {
		struct analysis_options options = judged_options();

		options.generation = g;
		expect_types(&options, expected[g]);
	}
}

static void test_min_survived(void **state)
{
	static const char *const expected[] = {"OMN", "OM", "O", ""};

	for (uint32_t n = 0; n < 4; n++) {
		struct analysis_options options = judged_options();

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
		struct analysis_options options = judged_options();

		options.only = only;
		options.ignore = ignore;
		expect_types(&options, cases[i].expected);
	}
}

static void test_runtimes(void **state)
{
	struct analysis_options options = judged_options();

	options.runtimes = 1u << CASTAWAY_RUNTIME_NATIVE;
	expect_types(&options, "OMN");
	options.runtimes = 1u << CASTAWAY_RUNTIME_CPYTHON;
	expect_types(&options, "");
}

static void test_latent(void **state)
{
	struct analysis_options options = judged_options();
	struct builder *b = builder_new();
	struct judged j;

	judged_loop(b, 10, 0x1000, "Dead", 0);
	judged_loop(b, 20, 0x2000, "Held", 0);
	builder_event(b, 1, 21, REF, 0x2000, 0);
	judged_object(b, 30, 0x3000, "Plain", 0);
	options.latent = true;
	j = judged_end(b, 400, &options);
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
	judged_free(&j);
}

/* Count zero without an end: no finding, but a leak when leaks are asked for. */
static void test_released_objects(void **state)
{
	for (int leaks = 0; leaks < 2; leaks++) {
		struct analysis_options options = judged_options();
		struct builder *b = builder_new();
		struct judged j;

		for (uint64_t i = 0; i < 3; i++) {
			judged_object(b, 10 + 2 * i, 0x1000 + 0x100 * i, i < 2 ? "A" : "B", 0);
			builder_event(b, 1, 11 + 2 * i, UNREF, 0x1000 + 0x100 * i, 0);
		}
		options.leaks = leaks;
		j = judged_end(b, 400, &options);
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
		judged_free(&j);
	}
}

static void test_retained(void **state)
{
	struct analysis_options options = judged_options();
	struct builder *b = builder_new();
	struct judged j;

	judged_loop(b, 10, 0x1000, "Loop", 0);
	judged_object(b, 20, 0x2000, "Tail", 0);
	builder_event(b, 1, 21, LINK, 0x1000, 0x2000, 0, 0);
	judged_object(b, 30, 0x3000, "Plain", 0);
	options.retained = true;
	j = judged_end(b, 400, &options);
	assert_int_equal(j.analysis->retained[0], 128);
	assert_int_equal(j.analysis->retained[1], 64);
	assert_int_equal(j.analysis->retained[2], 0);
	judged_free(&j);
}

/* More links than counts: held, and the report says so. */
static void test_inexact(void **state)
{
	struct analysis_options options = judged_options();
	struct builder *b = builder_new();
	bool reported = false;
	struct judged j;

	judged_loop(b, 10, 0x1000, "Loop", 0);
	builder_event(b, 1, 20, LINK, 0x1000, 0x1000, 0, 0);
	j = judged_end(b, 400, &options);
	assert_int_equal(j.analysis->finding_count, 0);
	assert_int_equal(j.analysis->inexact, 1);
	for (size_t i = 0; i < j.trace->limit_count; i++)
		reported |=
			j.trace->limits[i].limit == CASTAWAY_LIMIT_INEXACT && j.trace->limits[i].count == 1;
	assert_true(reported);
	judged_free(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_trace),      cmocka_unit_test(test_groups),
		cmocka_unit_test(test_totals),           cmocka_unit_test(test_generation_limit),
		cmocka_unit_test(test_min_survived),     cmocka_unit_test(test_globs),
		cmocka_unit_test(test_runtimes),         cmocka_unit_test(test_latent),
		cmocka_unit_test(test_released_objects), cmocka_unit_test(test_retained),
		cmocka_unit_test(test_inexact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
