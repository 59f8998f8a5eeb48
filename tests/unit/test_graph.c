/* SPDX-License-Identifier: Apache-2.0
 *
 * From records to rows: the builder by itself, then whole traces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph_builder.h"
#include "hand_graph.h"
#include "trace_builder.h"

static struct graph_builder *new_builder(void)
{
	static const struct trace empty;
	struct graph_builder *b;

	assert_int_equal(graph_builder_new(&empty, &b, NULL), ERROR_NONE);
	return b;
}

static void add_node(struct graph_builder *b, uint64_t address, uint64_t size, uint64_t edges)
{
	const struct graph_node node = {.address = address, .size = size};

	assert_int_equal(graph_builder_node(b, &node, edges, NULL), ERROR_NONE);
}

static struct graph *finish(struct graph_builder *b)
{
	struct graph *graph;

	assert_int_equal(graph_builder_finish(b, &graph, NULL), ERROR_NONE);
	graph_builder_free(b);
	return graph;
}

static void test_empty(void **state)
{
	struct graph_builder *b = new_builder();
	struct graph *graph;

	assert_int_equal(graph_builder_sort(b, NULL), ERROR_NONE);
	assert_int_equal(graph_builder_find(b, 0x1000), GRAPH_NONE);
	graph = finish(b);
	assert_int_equal(graph->node_count, 0);
	assert_int_equal(graph->first[0], 0);
	assert_int_equal(graph_find(graph, 0x1000), GRAPH_NONE);
	graph_free(graph);
}

static void test_unfinished(void **state)
{
	struct graph_builder *b = new_builder();
	struct graph *graph = NULL;

	add_node(b, 0x1000, 8, 1);
	assert_int_equal(graph_builder_finish(b, &graph, NULL), ERROR_INPUT);
	assert_null(graph);
	graph_builder_free(b);
}

static void test_too_many_edges(void **state)
{
	struct graph_builder *b = new_builder();
	const struct graph_node node = {.address = 0x1000};

	assert_int_equal(graph_builder_node(b, &node, INT32_MAX, NULL), ERROR_NONE);
	assert_int_equal(graph_builder_node(b, &node, 1, NULL), ERROR_MEMORY);
	assert_int_equal(graph_builder_node(b, &node, UINT64_MAX, NULL), ERROR_MEMORY);
	graph_builder_free(b);
}

/* Three objects out of order; 0x2000 is described twice, and the first record
 * holds; targets 0x9000 and 0x2008 are no objects. */
static struct graph *three_rows(void)
{
	struct graph_builder *b = new_builder();

	add_node(b, 0x3000, 30, 3);
	add_node(b, 0x2000, 20, 1);
	add_node(b, 0x2000, 21, 2);
	add_node(b, 0x1000, 10, 0);
	assert_int_equal(graph_builder_sort(b, NULL), ERROR_NONE);
	assert_true(graph_builder_row(b, 0x3000));
	graph_builder_edge(b, 0x9000, 0, 0, 0);
	graph_builder_edge(b, 0x1000, 7, CASTAWAY_EDGE_FIELD | CASTAWAY_EDGE_OFFSET, 16);
	graph_builder_edge(b, 0x1000, 7, CASTAWAY_EDGE_FIELD | CASTAWAY_WEAK, 0);
	graph_builder_edge(b, 0x3000, 1u << 24, CASTAWAY_EDGE_FIELD, 0);
	graph_builder_edge(b, 0x2000, 0, 0, 0); /* one more than announced */
	assert_true(graph_builder_row(b, 0x2000));
	graph_builder_edge(b, 0x2008, 0, 0, 0);
	assert_false(graph_builder_row(b, 0x2000));
	assert_true(graph_builder_row(b, 0x1000));
	assert_false(graph_builder_row(b, 0x4000));
	return finish(b);
}

static void test_rows(void **state)
{
	struct graph *graph = three_rows();

	assert_int_equal(graph->node_count, 3);
	assert_int_equal(graph->node[1].size, 20);
	assert_int_equal(graph->repeated, 1);
	assert_int_equal(graph->leaf_edges, 2);
	assert_int_equal(graph->edge_count, 3);
	assert_int_equal(graph->first[2], 0);
	assert_int_equal(graph->first[3], 3);
	assert_int_equal(graph->edge[0].to, 0);
	assert_int_equal(graph->edge[0].detail, 16);
	assert_int_equal(graph_field(&graph->edge[0]), 7);
	assert_true(graph_owns(&graph->edge[0]));
	assert_int_equal(graph_strength(&graph->edge[1]), CASTAWAY_WEAK);
	assert_false(graph_owns(&graph->edge[1]));
	assert_int_equal(graph->edge[2].to, 2);
	assert_int_equal(graph_field(&graph->edge[2]), 0); /* a field number that does not fit */
	assert_int_equal(graph_find(graph, 0x2000), 1);
	assert_int_equal(graph_find(graph, 0x2008), GRAPH_NONE);
	assert_int_equal(graph_find(graph, 0xffff), GRAPH_NONE);
	graph_free(graph);
}

enum { NODES = 3000, EDGES = 3 };
#define NO_NODE 8 /* an address that no record has */

static struct graph *random_records(uint64_t address[NODES], uint64_t target[NODES][EDGES])
{
	struct graph_builder *b = new_builder();
	uint64_t seed = 6;

	for (unsigned i = 0; i < NODES; i++) {
		address[i] = 0x550000000000 + (hand_random(&seed) % 4096) * 16;
		if (hand_random(&seed) % 2)
			address[i] += 0x2a0000000000;
		add_node(b, address[i], i, EDGES);
	}
	assert_int_equal(graph_builder_sort(b, NULL), ERROR_NONE);
	for (unsigned i = 0; i < NODES; i++) {
		bool open = graph_builder_row(b, address[i]);

		for (unsigned e = 0; e < EDGES; e++) {
			target[i][e] = hand_random(&seed) % 4 ? address[hand_random(&seed) % NODES] : NO_NODE;
			if (open)
				graph_builder_edge(b, target[i][e], 0, 0, 0);
		}
	}
	return finish(b);
}

/* Random records against a search through all of them. */
static void test_random(void **state)
{
	static uint64_t address[NODES], target[NODES][EDGES];
	struct graph *graph = random_records(address, target);
	uint64_t kept = 0;

	assert_int_equal(graph->node_count + graph->repeated, NODES);
	for (unsigned i = 0; i < NODES; i++) {
		uint32_t node = graph_find(graph, address[i]), at;

		assert_true(node != GRAPH_NONE);
		if (graph->node[node].size != i)
			continue; /* a record that came second */
		at = graph->first[node];
		for (unsigned e = 0; e < EDGES; e++) {
			if (target[i][e] != NO_NODE)
				assert_int_equal(graph->node[graph->edge[at++].to].address, target[i][e]);
		}
		assert_int_equal(graph->first[node + 1], at);
		kept++;
	}
	assert_int_equal(kept, graph->node_count);
	for (uint32_t i = 1; i < graph->node_count; i++)
		assert_true(graph->node[i - 1].address < graph->node[i].address);
	graph_free(graph);
}

/* ---- traces ------------------------------------------------------------------- */

struct loaded {
	struct builder *builder;
	struct trace *trace;
	struct replay *replay;
	struct graph *graph;
};

/* With the trace's only snapshot, if it has one. */
static void load(struct builder *b, struct loaded *l)
{
	const struct trace_snapshot *snapshot;

	*l = (struct loaded){.builder = b};
	builder_end(b, CASTAWAY_END_EXIT, 1000);
	l->trace = builder_open(b);
	snapshot = l->trace->snapshot_count ? &l->trace->snapshots[0] : NULL;
	assert_int_equal(replay_new(l->trace, &l->replay, NULL), ERROR_NONE);
	assert_int_equal(replay_run(l->replay, snapshot ? snapshot->ticks : UINT64_MAX, NULL), ERROR_NONE);
	assert_int_equal(graph_build(l->trace, l->replay, snapshot, &l->graph, NULL), ERROR_NONE);
}

static void unload(struct loaded *l)
{
	graph_free(l->graph);
	replay_free(l->replay);
	trace_free(l->trace);
	builder_free(l->builder);
}

static void test_annotated_objects(void **state)
{
	struct builder *b = builder_new();
	uint32_t type = builder_string(b, "Node"), next = builder_string(b, "next");
	uint32_t born = builder_stack(b, "main", "make", NULL), set = builder_stack(b, "main", "set", NULL);
	const struct graph_edge *edge;
	struct loaded l;

	builder_event(b, 1, 10, OBJECT, 0x2000, 48, type, born);
	builder_event(b, 2, 20, OBJECT, 0x1000, 32, type, born);
	builder_event(b, 1, 30, REF, 0x1000, set);
	builder_event(b, 1, 31, LINK, 0x2000, 0x1000, next, set);
	builder_event(b, 1, 32, LINK, 0x2000, 0x1000, next, 0);
	builder_event(b, 1, 33, WEAK, 0x1000, 0x2000, 0, set);
	load(b, &l);
	assert_int_equal(l.graph->node_count, 2);
	assert_int_equal(l.graph->node[0].address, 0x1000);
	assert_int_equal(l.graph->node[0].size, 32);
	assert_int_equal(l.graph->node[0].refcount, 2);
	assert_int_equal(l.graph->node[0].thread, 2);
	assert_int_equal(l.graph->node[0].stack, born);
	assert_int_equal(l.graph->node[0].runtime, CASTAWAY_RUNTIME_NATIVE);
	assert_int_equal(l.graph->node[0].flags, GRAPH_NODE_BIRTH_KNOWN | GRAPH_NODE_COUNTED);
	assert_int_equal(l.graph->edge_count, 3);
	edge = &l.graph->edge[l.graph->first[1]];
	assert_int_equal(graph_field(edge), next);
	assert_int_equal(edge->detail, set);
	assert_true(edge->field_flags & CASTAWAY_EDGE_STACK);
	assert_true(graph_owns(edge));
	assert_false(edge[1].field_flags & CASTAWAY_EDGE_STACK);
	assert_int_equal(graph_strength(&l.graph->edge[0]), CASTAWAY_WEAK);
	unload(&l);
}

/* The target ended with a link to it in place, and another object was born at
 * its address: the link does not lead to that one. */
static void test_stale_link(void **state)
{
	struct builder *b = builder_new();
	uint32_t type = builder_string(b, "Node");
	struct loaded l;

	builder_event(b, 1, 10, OBJECT, 0x1000, 32, type, 0);
	builder_event(b, 1, 20, OBJECT, 0x2000, 32, type, 0);
	builder_event(b, 1, 30, LINK, 0x1000, 0x2000, 0, 0);
	builder_event(b, 1, 40, OBJECT_END, 0x2000, 0);
	builder_event(b, 1, 50, OBJECT, 0x2000, 32, type, 0);
	load(b, &l);
	assert_int_equal(l.graph->node_count, 2);
	assert_int_equal(l.graph->edge_count, 0);
	unload(&l);
}

static void test_generations(void **state)
{
	struct builder *b = builder_new();
	uint32_t type = builder_string(b, "Node");
	struct loaded l;

	builder_event(b, 1, 10, OBJECT, 0x1000, 32, type, 0);
	builder_event(b, 1, 11, GC_CONTROL, CASTAWAY_GC_FREEZE, 0, 0, 0);
	builder_event(b, 1, 12, OBJECT, 0x2000, 32, type, 0);
	builder_event(b, 1, 20, PASS, CASTAWAY_DOMAIN_OBJECTS, 0, 0, 1, 1);
	builder_event(b, 1, 21, PASS, CASTAWAY_DOMAIN_OBJECTS, 1, 1, 1, 1);
	builder_event(b, 1, 30, OBJECT, 0x3000, 32, type, 0);
	builder_event(b, 1, 40, PASS, CASTAWAY_DOMAIN_OBJECTS, 2, 0, 1, 1);
	builder_event(b, 1, 50, OBJECT, 0x4000, 32, type, 0);
	load(b, &l);
	assert_int_equal(l.graph->node_count, 4);
	for (uint32_t i = 0; i < 4; i++) /* 3 = frozen, then 2, 1, 0 */
		assert_int_equal(l.graph->node[i].flags & GRAPH_NODE_GENERATION, 3 - i);
	unload(&l);
}

/* A dict of which the block is known, with edges of all kinds, and one whose
 * block came after the snapshot. */
static struct builder *two_dicts(uint32_t site, uint32_t other, uint32_t key, struct builder *b)
{
	uint32_t snapshot = builder_snapshot(b, CASTAWAY_REASON_EXIT, 100, "");
	struct snapshot_object_record record = {
		.address = 0x5010,
		.size = 64,
		.block_offset = 16,
		.refcount = 3,
		.type = builder_string(b, "dict"),
		.generation = 1,
		.flags = CASTAWAY_OBJECT_TRACKED,
		.birth_pass = 9,
		.stack = other,
		.edge_count = 4,
		.runtime = CASTAWAY_RUNTIME_CPYTHON,
	};
	const struct snapshot_edge_record edges[] = {
		{.target = 0x5010, .offset = 24, .field = key},
		{.target = 0x7010, .offset = 24, .stack = other},
		{.target = 0x7010, .offset = -1},
		{.target = 0x6666, .offset = -1},
	};

	builder_event(b, 3, 50, ALLOC, 0x5000, 80, site);
	builder_event(b, 3, 150, ALLOC, 0x7000, 80, site);
	builder_object(b, snapshot, &record, edges);
	record.edge_count = 0;
	record.address = 0x7010;
	record.generation = 3;
	record.flags |= CASTAWAY_OBJECT_RECYCLED;
	builder_object(b, snapshot, &record, NULL);
	builder_snapshot_end(b, snapshot, 120);
	return b;
}

static void test_snapshot_objects(void **state)
{
	struct builder *b = builder_new();
	uint32_t site = builder_stack(b, "main", "new", NULL),
		 other = builder_stack(b, "main", "other", NULL);
	uint32_t key = builder_string(b, "['parent']");
	const struct graph_node *node;
	const struct graph_edge *edge;
	struct loaded l;

	load(two_dicts(site, other, key, b), &l);
	assert_int_equal(l.graph->node_count, 2);
	node = l.graph->node;
	assert_int_equal(node[0].stack, site);
	assert_int_equal(node[0].thread, 3);
	assert_int_equal(node[0].refcount, 3);
	assert_int_equal(node[0].flags, 1 | GRAPH_NODE_COUNTED | GRAPH_NODE_BIRTH_KNOWN);
	assert_int_equal(node[1].stack, other);
	assert_int_equal(node[1].birth_pass, 9);
	assert_int_equal(node[1].flags & GRAPH_NODE_GENERATION, 3);
	assert_true(node[1].flags & GRAPH_NODE_RECYCLED);
	assert_int_equal(l.graph->edge_count, 3);
	assert_int_equal(l.graph->leaf_edges, 1);
	edge = l.graph->edge;
	assert_int_equal(graph_field(&edge[0]), key);
	assert_int_equal(edge[0].detail, 24);
	assert_true(edge[0].field_flags & CASTAWAY_EDGE_OFFSET);
	assert_int_equal(edge[1].detail, other);
	assert_true(edge[1].field_flags & CASTAWAY_EDGE_STACK);
	assert_false(edge[1].field_flags & CASTAWAY_EDGE_OFFSET);
	assert_int_equal(edge[2].to, 1);
	unload(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_unfinished),
		cmocka_unit_test(test_too_many_edges),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_annotated_objects),
		cmocka_unit_test(test_stale_link),
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_snapshot_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
