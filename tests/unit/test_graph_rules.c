/* SPDX-License-Identifier: Apache-2.0
 *
 * What adapters know of scanned pointers: read by itself, and in the graph.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "castaway/codec.h"
#include "graph.h"
#include "graph_rules.h"
#include "trace_builder.h"

struct rule {
	enum castaway_edge_rule kind;
	uint64_t address, more;
};

static void put_rules(struct builder *b, uint32_t snapshot, const struct rule *rules, size_t count,
		      size_t cut)
{
	uint8_t payload[256], *out = codec_put_varint(payload, snapshot);
	uint64_t last = 0;

	for (size_t i = 0; i < count; i++) {
		*out++ = (uint8_t)rules[i].kind;
		out = codec_put_svarint(out, (int64_t)(rules[i].address - last));
		last = rules[i].address;
		if (rules[i].kind == CASTAWAY_RULE_POINTER)
			*out++ = (uint8_t)rules[i].more;
		else
			out = codec_put_svarint(out, (int64_t)(rules[i].more - last));
	}
	builder_chunk(b, CASTAWAY_CHUNK_EDGE_RULES, 0, payload, (size_t)(out - payload) - cut);
}

static const uint64_t blocks[] = {0x1000, 0x2000, 0x3000};

/* Three blocks of 64 bytes: the first points to the others, and a root to it. */
static uint32_t put_heap(struct builder *b)
{
	uint32_t snapshot = builder_snapshot(b, CASTAWAY_REASON_EXIT, 100, "");
	const struct snapshot_pointer_record pointers[] = {{.offset = 8, .to = 1}, {.offset = 16, .to = 2}};
	const struct snapshot_root_record roots[] = {{.address = 0x9000, .kind = CASTAWAY_ROOT_MODULE},
						     {.address = 0x9008, .kind = CASTAWAY_ROOT_MODULE}};

	for (size_t i = 0; i < 3; i++)
		builder_block(b, snapshot, &(struct snapshot_block_record){.address = blocks[i], .size = 64});
	builder_pointers(b, snapshot, 0, pointers, 2);
	builder_root(b, snapshot, &roots[0]);
	builder_root(b, snapshot, &roots[1]);
	builder_snapshot_end(b, snapshot, 101);
	return snapshot;
}

static struct graph_rules read_rules(struct trace *trace)
{
	struct graph_rules rules;

	assert_int_equal(graph_rules_read(trace, &trace->snapshots[0], blocks, 3, &rules, NULL), ERROR_NONE);
	return rules;
}

static void test_read(void **state)
{
	static const struct rule own[] = {
		{CASTAWAY_RULE_POINTER, 0x2010, CASTAWAY_WEAK},
		{CASTAWAY_RULE_POINTER, 0x1008, CASTAWAY_BORROWED},
		{CASTAWAY_RULE_KEPT_BY, 0x3000, 0x1000},
		{CASTAWAY_RULE_KEPT_BY, 0x3008, 0x1000}, /* no block */
		{CASTAWAY_RULE_KEPT_BY, 0x2000, 0x4000}, /* by none */
	};
	static const struct rule others[] = {{CASTAWAY_RULE_POINTER, 0x1018, CASTAWAY_WEAK}};
	struct builder *b = builder_new();
	uint32_t snapshot = put_heap(b);
	struct trace *trace;
	struct graph_rules rules;

	put_rules(b, snapshot, own, 5, 0);
	put_rules(b, snapshot + 1, others, 1, 0);
	builder_end(b, CASTAWAY_END_EXIT, 200);
	trace = builder_open(b);
	rules = read_rules(trace);
	assert_int_equal(graph_rules_strength(&rules, 0x2010, 0x1000), CASTAWAY_WEAK);
	assert_int_equal(graph_rules_strength(&rules, 0x1008, 0x1000), CASTAWAY_BORROWED);
	assert_int_equal(graph_rules_strength(&rules, 0x1018, 0x1000), CASTAWAY_UNKNOWN);
	assert_int_equal(graph_rules_strength(&rules, 0x1018, 0x3000), CASTAWAY_BORROWED);
	assert_int_equal(graph_rules_strength(&rules, 0x1018, 0x2000), CASTAWAY_UNKNOWN);
	assert_false(graph_rules_holds(&rules, 0x2010));
	assert_false(graph_rules_holds(&rules, 0x1008));
	assert_true(graph_rules_holds(&rules, 0x2018));
	assert_int_equal(rules.kept_count, 1);
	assert_int_equal(rules.kept[0].block, 2);
	assert_int_equal(rules.kept[0].owner_block, 0);
	graph_rules_done(&rules);
	trace_free(trace);
	builder_free(b);
}

/* What comes before the damage holds. */
static void test_damage(void **state)
{
	static const struct rule cut[] = {{CASTAWAY_RULE_POINTER, 0x1008, CASTAWAY_WEAK},
					  {CASTAWAY_RULE_POINTER, 0x2008, CASTAWAY_WEAK}};
	static const struct rule strange[] = {{CASTAWAY_RULE_POINTER, 0x1010, CASTAWAY_WEAK},
					      {CASTAWAY_RULE_POINTER, 0x2010, 9},
					      {CASTAWAY_RULE_POINTER, 0x3010, CASTAWAY_WEAK}};
	struct builder *b = builder_new();
	uint32_t snapshot = put_heap(b);
	struct trace *trace;
	struct graph_rules rules;

	put_rules(b, snapshot, cut, 2, 1);
	put_rules(b, snapshot, strange, 3, 0);
	builder_end(b, CASTAWAY_END_EXIT, 200);
	trace = builder_open(b);
	rules = read_rules(trace);
	assert_int_equal(rules.pointer_count, 2);
	assert_false(graph_rules_holds(&rules, 0x1008));
	assert_false(graph_rules_holds(&rules, 0x1010));
	assert_int_equal(trace->limit_count, 1);
	assert_int_equal(trace->limits[0].limit, CASTAWAY_LIMIT_DAMAGED);
	assert_int_equal(trace->limits[0].count, 2);
	graph_rules_done(&rules);
	trace_free(trace);
	builder_free(b);
}

/* Of a rule of a later format nobody knows the length: the rest is left out,
 * which is no damage. */
static void test_unknown(void **state)
{
	static const struct rule later[] = {{CASTAWAY_RULE_POINTER, 0x1008, CASTAWAY_WEAK},
					    {(enum castaway_edge_rule)7, 0x2008, 1},
					    {CASTAWAY_RULE_POINTER, 0x3008, CASTAWAY_WEAK}};
	struct builder *b = builder_new();
	uint32_t snapshot = put_heap(b);
	struct trace *trace;
	struct graph_rules rules;

	put_rules(b, snapshot, later, 3, 0);
	builder_end(b, CASTAWAY_END_EXIT, 200);
	trace = builder_open(b);
	rules = read_rules(trace);
	assert_int_equal(rules.pointer_count, 1);
	assert_int_equal(trace->limit_count, 0);
	graph_rules_done(&rules);
	trace_free(trace);
	builder_free(b);
}

static enum castaway_strength strength(const struct graph *graph, uint32_t from, uint32_t to)
{
	for (uint32_t e = graph->first[from]; e < graph->first[from + 1]; e++) {
		if (graph->edge[e].to == to)
			return graph_strength(&graph->edge[e]);
	}
	fail_msg("no edge from %u to %u", from, to);
	return CASTAWAY_STRONG;
}

struct built {
	struct builder *builder;
	struct trace *trace;
	struct replay *replay;
	struct graph *graph;
};

static struct built build(struct builder *b)
{
	struct built built = {.builder = b};

	builder_end(b, CASTAWAY_END_EXIT, 200);
	built.trace = builder_open(b);
	assert_int_equal(replay_new(built.trace, &built.replay, NULL), ERROR_NONE);
	assert_int_equal(replay_run(built.replay, UINT64_MAX, NULL), ERROR_NONE);
	assert_int_equal(
		graph_build(built.trace, built.replay, &built.trace->snapshots[0], &built.graph, NULL),
		ERROR_NONE);
	return built;
}

static void built_done(struct built *built)
{
	graph_free(built->graph);
	replay_free(built->replay);
	trace_free(built->trace);
	builder_free(built->builder);
}

static void test_graph(void **state)
{
	static const struct rule own[] = {
		{CASTAWAY_RULE_POINTER, 0x1008, CASTAWAY_WEAK},
		{CASTAWAY_RULE_KEPT_BY, 0x3000, 0x2000},
		{CASTAWAY_RULE_POINTER, 0x9008, CASTAWAY_WEAK},
	};
	struct builder *b = builder_new();
	uint32_t snapshot = put_heap(b);
	struct built built;
	struct graph *graph;

	put_rules(b, snapshot, own, 3, 0);
	built = build(b);
	graph = built.graph;
	assert_int_equal(graph->node_count, 3);
	assert_int_equal(graph->edge_count, 3);
	assert_int_equal(strength(graph, 0, 1), CASTAWAY_WEAK);
	assert_int_equal(strength(graph, 0, 2), CASTAWAY_BORROWED);
	assert_int_equal(strength(graph, 1, 2), CASTAWAY_UNKNOWN);
	assert_int_equal(graph->root_count, 1);
	assert_int_equal(graph->root[0].address, 0x9000);
	built_done(&built);
}

/* A pointer that is no word: an edge like those of the scan, unless somebody else
 * keeps its target. */
static void test_holds(void **state)
{
	static const struct rule own[] = {
		{CASTAWAY_RULE_HOLDS, 0x2000, 0x1000},
		{CASTAWAY_RULE_HOLDS, 0x2000, 0x3000},
		{CASTAWAY_RULE_HOLDS, 0x2000, 0x4000}, /* no block */
		{CASTAWAY_RULE_KEPT_BY, 0x3000, 0x1000},
	};
	struct builder *b = builder_new();
	uint32_t snapshot = put_heap(b);
	struct built built;

	put_rules(b, snapshot, own, 4, 0);
	built = build(b);
	assert_int_equal(built.graph->edge_count, 4);
	assert_int_equal(built.graph->first[2] - built.graph->first[1], 1);
	assert_int_equal(strength(built.graph, 1, 0), CASTAWAY_UNKNOWN);
	built_done(&built);
}

/* An object whose one count a known reference explains: whatever else points to
 * it holds nothing. */
static void test_accounted_for(void **state)
{
	static const struct rule own[] = {{CASTAWAY_RULE_POINTER, 0x1008, CASTAWAY_STRONG}};
	struct builder *b = builder_new();
	uint32_t snapshot = builder_snapshot(b, CASTAWAY_REASON_EXIT, 100, ""), *strong;
	const struct snapshot_pointer_record pointer = {.offset = 8, .to = 1};
	struct built built;

	for (size_t i = 0; i < 2; i++) {
		builder_block(b, snapshot, &(struct snapshot_block_record){.address = blocks[i], .size = 64});
		builder_object(b, snapshot,
			       &(struct snapshot_object_record){.address = blocks[i],
								.size = 64,
								.refcount = 1,
								.runtime = CASTAWAY_RUNTIME_GOBJECT},
			       NULL);
	}
	builder_pointers(b, snapshot, 0, &pointer, 1);
	builder_snapshot_end(b, snapshot, 101);
	put_rules(b, snapshot, own, 1, 0);
	built = build(b);
	strong = graph_count_strong(built.graph);
	assert_non_null(strong);
	assert_true(graph_is_accounted_for(built.graph, strong, 1));
	assert_false(graph_is_accounted_for(built.graph, strong, 0));
	built.graph->node[1].refcount = 2;
	assert_false(graph_is_accounted_for(built.graph, strong, 1));
	free(strong);
	built_done(&built);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),    cmocka_unit_test(test_damage),
		cmocka_unit_test(test_unknown), cmocka_unit_test(test_graph),
		cmocka_unit_test(test_holds),   cmocka_unit_test(test_accounted_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
