/* SPDX-License-Identifier: Apache-2.0
 *
 * The gc module's questions to a trace made by hand, with annotated objects
 * and those of a runtime.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis.h"
#include "query.h"
#include "trace_builder.h"

#define PYTHON (1u << CASTAWAY_RUNTIME_CPYTHON)
#define NATIVE (1u << CASTAWAY_RUNTIME_NATIVE)
#define LEAF   0x90000u

struct asked {
	struct builder *builder;
	struct trace *trace;
	struct query query;
	struct error error;
};

static void put(struct builder *b, uint32_t snapshot, uint64_t address, uint32_t generation, int64_t refcount,
		uint32_t edge_count, const struct snapshot_edge_record *edges)
{
	const struct snapshot_object_record record = {
		.address = address,
		.size = 48,
		.refcount = refcount,
		.type = builder_string(b, "list"),
		.generation = generation,
		.flags = CASTAWAY_OBJECT_TRACKED,
		.runtime = CASTAWAY_RUNTIME_CPYTHON,
		.edge_count = edge_count,
	};

	builder_object(b, snapshot, &record, edges);
}

/* Of generation 0: A, which refers to itself, twice to B and to a leaf; of
 * generation 1: C, a dead loop; permanent: P, which refers to A.  Annotated:
 * a dead loop at 0x1000, and one that is held and refers weakly to it. */
static struct builder *world(void)
{
	const struct snapshot_runtime_record runtime = {
		.version = "3.11.2",
		.note = "",
		.runtime = CASTAWAY_RUNTIME_CPYTHON,
		.frozen = 1,
		.generation_count = 3,
		.generations = {{12, 700, 5, 40, 2}, {3, 10, 2, 7, 0}, {1, 10, 1, 0, 0}},
	};
	struct builder *b = builder_new();
	uint32_t at, type = builder_string(b, "Loop"), field = builder_string(b, "items");
	const struct snapshot_edge_record of_a[] = {
		{.target = 0x50000, .offset = -1},
		{.target = 0x60000, .offset = -1, .field = field},
		{.target = LEAF, .offset = -1},
		{.target = 0x60000, .offset = -1},
	};
	const struct snapshot_edge_record of_c = {.target = 0x70000, .offset = -1};
	const struct snapshot_edge_record of_p = {.target = 0x50000, .offset = -1};

	builder_event(b, 1, 10, OBJECT, 0x1000, 64, type, 0);
	builder_event(b, 1, 20, LINK, 0x1000, 0x1000, field, 0);
	builder_event(b, 1, 30, OBJECT, 0x2000, 64, type, 0);
	builder_event(b, 1, 40, WEAK, 0x2000, 0x1000, field, 0);
	at = builder_snapshot(b, CASTAWAY_REASON_EXIT, 100, "");
	put(b, at, 0x50000, 0, 3, 4, of_a); /* itself, P, and one from outside */
	put(b, at, 0x60000, 0, 2, 0, NULL);
	put(b, at, 0x70000, 1, 1, 1, &of_c);
	put(b, at, 0x80000, 3, 1, 1, &of_p);
	builder_runtime(b, at, &runtime);
	builder_snapshot_end(b, at, 110);
	return b;
}

static struct asked ask(struct builder *b, int snapshot)
{
	struct asked a = {.builder = b};

	builder_end(b, CASTAWAY_END_EXIT, 1000);
	a.trace = builder_open(b);
	query_open(a.trace, snapshot, &a.query, &a.error);
	return a;
}

static void done(struct asked *a)
{
	query_done(&a->query);
	trace_free(a->trace);
	builder_free(a->builder);
}

static uint32_t dead(struct asked *a, int generation, uint32_t runtimes, uint64_t address)
{
	struct trial trial;
	uint32_t node = graph_find(a->query.graph, address), count;

	assert_int_equal(query_collect(&a->query, generation, runtimes, &trial, &a->error), ERROR_NONE);
	count = trial.dead;
	if (node != GRAPH_NONE && trial.state[node] != TRIAL_DEAD)
		count |= 0x1000; /* not among them */
	trial_done(&trial);
	return count;
}

static void test_collect(void **state)
{
	struct asked a = ask(world(), ANALYSIS_SNAPSHOT_LAST);

	assert_int_equal(dead(&a, 2, 0, 0x70000), 2); /* C and the annotated loop */
	assert_int_equal(dead(&a, 2, PYTHON, 0x70000), 1);
	assert_int_equal(dead(&a, 2, NATIVE, 0x1000), 1);
	assert_int_equal(dead(&a, 0, PYTHON, 0), 0);
	assert_int_equal(dead(&a, 0, 1u << CASTAWAY_RUNTIME_GOBJECT, 0), 0);
	done(&a);
}

/* One object of each runtime, each with one count, which the other holds:
 * neither collector can know that. */
static void test_each_collector_for_itself(void **state)
{
	const struct snapshot_edge_record edge = {.target = 0x1000, .offset = -1};
	struct builder *b = builder_new();
	struct asked a;
	uint32_t at;

	builder_event(b, 1, 10, OBJECT, 0x1000, 64, builder_string(b, "Loop"), 0);
	builder_event(b, 1, 20, LINK, 0x1000, 0x50000, 0, 0);
	at = builder_snapshot(b, CASTAWAY_REASON_EXIT, 100, "");
	put(b, at, 0x50000, 0, 1, 1, &edge);
	builder_snapshot_end(b, at, 110);
	a = ask(b, ANALYSIS_SNAPSHOT_LAST);
	assert_int_equal(dead(&a, 2, 0, 0), 0);
	done(&a);
}

static size_t references(struct asked *a, uint64_t address, enum query_direction direction,
			 struct query_reference **ret)
{
	size_t count = 0;

	*ret = NULL;
	assert_int_equal(query_references(&a->query, address, direction, ret, &count, &a->error), ERROR_NONE);
	return count;
}

static void test_referents(void **state)
{
	struct asked a = ask(world(), ANALYSIS_SNAPSHOT_LAST);
	struct query_reference *found;

	/* Once per reference, in the order of the record; of a leaf no node is known. */
	assert_int_equal(references(&a, 0x50000, QUERY_REFERENTS, &found), 4);
	assert_int_equal(found[0].address, 0x50000);
	assert_int_equal(found[1].address, 0x60000);
	assert_string_equal(trace_text(a.trace, found[1].field), "items");
	assert_int_equal(found[2].address, LEAF);
	assert_int_equal(found[2].node, GRAPH_NONE);
	assert_int_equal(found[3].address, 0x60000);
	free(found);
	assert_int_equal(references(&a, 0x60000, QUERY_REFERENTS, &found), 0);
	free(found);
	assert_int_equal(references(&a, 0x2000, QUERY_REFERENTS, &found), 0); /* only a weak one */
	free(found);
	done(&a);
}

static void test_referrers(void **state)
{
	struct asked a = ask(world(), ANALYSIS_SNAPSHOT_LAST);
	struct query_reference *found;

	assert_int_equal(references(&a, 0x60000, QUERY_REFERRERS, &found), 2);
	assert_int_equal(found[0].address, 0x50000);
	assert_int_equal(found[1].address, 0x50000);
	free(found);
	/* Itself, but not what is frozen. */
	assert_int_equal(references(&a, 0x50000, QUERY_REFERRERS, &found), 1);
	free(found);
	assert_int_equal(references(&a, LEAF, QUERY_REFERRERS, &found), 1);
	free(found);
	assert_int_equal(references(&a, 0x1000, QUERY_REFERRERS, &found), 1);
	assert_int_equal(found[0].address, 0x1000);
	free(found);
	assert_int_equal(references(&a, 0x2000, QUERY_REFERRERS, &found), 0);
	free(found);
	done(&a);
}

static void test_not_there(void **state)
{
	struct asked a = ask(world(), ANALYSIS_SNAPSHOT_LAST);
	struct query_reference *found;
	size_t count;

	assert_int_equal(query_references(&a.query, 0x50008, QUERY_REFERRERS, &found, &count, &a.error),
			 ERROR_NOT_FOUND);
	assert_string_equal(a.error.what, "no object at 0x50008 at this moment");
	assert_int_equal(query_references(&a.query, LEAF, QUERY_REFERENTS, &found, &count, &a.error),
			 ERROR_NOT_FOUND);
	assert_string_equal(a.error.what, "0x90000 is no tracked object: what it refers to is not recorded");
	done(&a);
}

static void test_runtimes(void **state)
{
	struct asked a = ask(world(), ANALYSIS_SNAPSHOT_LAST);
	struct query_runtime runtimes[QUERY_MAX_RUNTIMES];
	size_t count;

	assert_int_equal(query_runtimes(&a.query, runtimes, &count, &a.error), ERROR_NONE);
	assert_int_equal(count, 2);
	assert_int_equal(runtimes[0].runtime, CASTAWAY_RUNTIME_CPYTHON);
	assert_false(runtimes[0].passes_only);
	assert_int_equal(runtimes[0].frozen, 1);
	assert_int_equal(runtimes[0].generation[0].objects, 2);
	assert_int_equal(runtimes[0].generation[0].collected, 40);
	assert_int_equal(runtimes[0].generation[0].uncollectable, 2);
	assert_int_equal(runtimes[0].generation[1].objects, 1);
	assert_int_equal(runtimes[0].generation[2].count, 1);
	assert_int_equal(runtimes[1].runtime, CASTAWAY_RUNTIME_NATIVE);
	assert_true(runtimes[1].passes_only);
	assert_int_equal(runtimes[1].generation[0].count, 2);
	assert_int_equal(runtimes[1].generation[0].threshold, 700);
	done(&a);
}

/* Thresholds 2, 1, 10.  The third birth starts a pass, which is recorded before
 * it and does not count it; a death takes one away; a full pass clears all. */
static void test_counters(void **state)
{
	struct builder *b = builder_new();
	struct query_runtime runtimes[QUERY_MAX_RUNTIMES];
	uint32_t type = builder_string(b, "T");
	struct asked a;
	size_t count;

	builder_event(b, 1, 5, GC_CONTROL, CASTAWAY_GC_THRESHOLD, 2, 1, 10);
	builder_event(b, 1, 10, OBJECT, 0x1000, 64, type, 0);
	builder_event(b, 1, 20, OBJECT, 0x2000, 64, type, 0);
	builder_event(b, 1, 30, PASS, CASTAWAY_DOMAIN_OBJECTS, 0, 0, 2, 2);
	builder_event(b, 1, 40, OBJECT, 0x3000, 64, type, 0);
	builder_event(b, 1, 50, OBJECT, 0x4000, 64, type, 0);
	builder_event(b, 1, 60, OBJECT, 0x5000, 64, type, 0);
	builder_event(b, 1, 70, OBJECT_END, 0x5000, 0);
	a = ask(b, ANALYSIS_SNAPSHOT_LAST);
	assert_int_equal(query_runtimes(&a.query, runtimes, &count, &a.error), ERROR_NONE);
	assert_int_equal(count, 1);
	assert_int_equal(runtimes[0].generation[0].count, 1);
	assert_int_equal(runtimes[0].generation[1].count, 1);
	assert_int_equal(runtimes[0].generation[0].collections, 1);
	assert_int_equal(runtimes[0].generation[0].promoted, 2);
	assert_int_equal(runtimes[0].generation[0].objects, 2);
	assert_int_equal(runtimes[0].generation[1].objects, 2);
	done(&a);
}

static void test_no_such_snapshot(void **state)
{
	struct asked a = ask(world(), 5);

	assert_int_equal(a.error.code, ERROR_NOT_FOUND);
	assert_string_equal(a.error.what, "the trace has no snapshot 5");
	done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_collect),   cmocka_unit_test(test_each_collector_for_itself),
		cmocka_unit_test(test_referents), cmocka_unit_test(test_referrers),
		cmocka_unit_test(test_not_there), cmocka_unit_test(test_runtimes),
		cmocka_unit_test(test_counters),  cmocka_unit_test(test_no_such_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
