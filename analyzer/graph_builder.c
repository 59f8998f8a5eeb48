/* SPDX-License-Identifier: Apache-2.0
 *
 * Records to sorted nodes and rows.  Sorting is a radix sort of (address,
 * record) pairs; targets are looked up in a hash of node numbers, because a
 * binary search per edge would be most of the whole pass on a large heap.
 * A row first gets room for all its edges; targets that are no node leave
 * holes, which the last step closes.
 */
#include "graph_builder.h"

#include <stdlib.h>
#include <string.h>

#include "graph_merge.h"

#define MAX_NODES (1u << 30)
#define MAX_EDGES INT32_MAX

struct graph_builder {
	struct graph *graph;
	uint32_t *count; /* edges of each record; later graph->first */
	size_t capacity;
	uint32_t *index; /* hash: node number, or GRAPH_NONE */
	unsigned index_bits;
	uint64_t *filled; /* bit per node: its row was opened */
	uint32_t cursor, row_end;
	bool blocks; /* there are plain ones */
};

enum error_code graph_builder_new(const struct trace *trace, struct graph_builder **ret, struct error *error)
{
	struct graph_builder *builder = calloc(1, sizeof(*builder));
	struct graph *graph = calloc(1, sizeof(*graph));

	if (!builder || !graph) {
		free(builder);
		free(graph);
		return error_set(error, ERROR_MEMORY, "out of memory for the object graph");
	}
	graph->trace = trace;
	builder->graph = graph;
	*ret = builder;
	return ERROR_NONE;
}

static enum error_code out_of_memory(const struct graph_builder *builder, struct error *error)
{
	return error_set(error, ERROR_MEMORY, "out of memory for a graph of %u objects",
			 builder->graph->node_count);
}

static bool grow(struct graph_builder *builder)
{
	size_t capacity = builder->capacity ? builder->capacity + builder->capacity / 2 : 1024;
	struct graph_node *node = realloc(builder->graph->node, capacity * sizeof(*node));
	uint32_t *count;

	if (!node)
		return false;
	builder->graph->node = node;
	count = realloc(builder->count, (capacity + 1) * sizeof(*count));
	if (!count)
		return false;
	builder->count = count;
	builder->capacity = capacity;
	return true;
}

enum error_code graph_builder_node(struct graph_builder *builder, const struct graph_node *node,
				   uint64_t edges, struct error *error)
{
	struct graph *graph = builder->graph;

	if (graph->node_count >= MAX_NODES || edges > (uint64_t)MAX_EDGES - graph->edge_count)
		return error_set(error, ERROR_MEMORY, "more objects or edges than this analyzer takes");
	if (graph->node_count == builder->capacity && !grow(builder))
		return out_of_memory(builder, error);
	builder->blocks |= (node->flags & GRAPH_NODE_BLOCK) != 0;
	graph->node[graph->node_count] = *node;
	builder->count[graph->node_count++] = (uint32_t)edges;
	graph->edge_count += (uint32_t)edges;
	return ERROR_NONE;
}

/* ---- sort ------------------------------------------------------------------ */

struct pair {
	uint64_t address;
	uint32_t record;
};

/* One stable counting pass by the byte at `shift`. */
static void radix_pass(const struct pair *from, struct pair *to, size_t count, unsigned shift)
{
	size_t start[256] = {0}, sum = 0;

	for (size_t i = 0; i < count; i++)
		start[from[i].address >> shift & 255]++;
	for (unsigned b = 0; b < 256; b++) {
		size_t n = start[b];

		start[b] = sum;
		sum += n;
	}
	for (size_t i = 0; i < count; i++)
		to[start[from[i].address >> shift & 255]++] = from[i];
}

/* Sorts pairs[0 .. count-1] with pairs[count ..] as the other half; returns
 * where the result is.  Bytes in which all addresses agree cost nothing. */
static struct pair *radix_sort(struct pair *pairs, size_t count)
{
	struct pair *from = pairs, *to = pairs + count;
	uint64_t differ = 0;

	for (size_t i = 1; i < count; i++)
		differ |= pairs[i].address ^ pairs[0].address;
	for (unsigned shift = 0; shift < 64; shift += 8) {
		struct pair *swap = from;

		if (!(differ >> shift & 255))
			continue;
		radix_pass(from, to, count, shift);
		from = to;
		to = swap;
	}
	return from;
}

/* Moves record order[i].record to place i, in place, cycle by cycle. */
static void permute(struct graph_builder *builder, struct pair *order)
{
	struct graph_node *node = builder->graph->node;

	for (uint32_t i = 0; i < builder->graph->node_count; i++) {
		struct graph_node saved_node = node[i];
		uint32_t saved_count = builder->count[i], at = i;

		while (order[at].record != i) {
			uint32_t source = order[at].record;

			node[at] = node[source];
			builder->count[at] = builder->count[source];
			order[at].record = at;
			at = source;
		}
		node[at] = saved_node;
		builder->count[at] = saved_count;
		order[at].record = at;
	}
}

static bool is_sorted(const struct graph *graph)
{
	for (uint32_t i = 1; i < graph->node_count; i++) {
		if (graph->node[i - 1].address >= graph->node[i].address)
			return false;
	}
	return true;
}

static enum error_code sort_nodes(struct graph_builder *builder, struct error *error)
{
	size_t count = builder->graph->node_count;
	struct pair *pairs;

	if (is_sorted(builder->graph)) {
		if (builder->blocks)
			graph_merge(builder->graph, builder->count);
		return ERROR_NONE;
	}
	pairs = malloc(2 * count * sizeof(*pairs));
	if (!pairs)
		return out_of_memory(builder, error);
	for (size_t i = 0; i < count; i++)
		pairs[i] = (struct pair){builder->graph->node[i].address, (uint32_t)i};
	permute(builder, radix_sort(pairs, count));
	free(pairs);
	graph_merge(builder->graph, builder->count);
	return ERROR_NONE;
}

/* ---- index and rows -------------------------------------------------------- */

static size_t slot_of(const struct graph_builder *builder, uint64_t address)
{
	return (size_t)((address >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - builder->index_bits));
}

static bool make_index(struct graph_builder *builder)
{
	size_t mask;

	builder->index_bits = 4;
	while (UINT64_C(1) << builder->index_bits < 2 * (uint64_t)builder->graph->node_count)
		builder->index_bits++;
	mask = ((size_t)1 << builder->index_bits) - 1;
	builder->index = malloc((mask + 1) * sizeof(*builder->index));
	if (!builder->index)
		return false;
	memset(builder->index, 0xff, (mask + 1) * sizeof(*builder->index));
	for (uint32_t i = 0; i < builder->graph->node_count; i++) {
		size_t slot = slot_of(builder, builder->graph->node[i].address);

		while (builder->index[slot] != GRAPH_NONE)
			slot = (slot + 1) & mask;
		builder->index[slot] = i;
	}
	return true;
}

/* Counts per node become the starts of the rows. */
static void make_rows(struct graph_builder *builder)
{
	struct graph *graph = builder->graph;
	uint32_t sum = 0;

	for (uint32_t i = 0; i < graph->node_count; i++) {
		uint32_t count = builder->count[i];

		builder->count[i] = sum;
		sum += count;
	}
	builder->count[graph->node_count] = sum;
	graph->first = builder->count;
	builder->count = NULL;
	graph->edge_count = sum;
}

enum error_code graph_builder_sort(struct graph_builder *builder, struct error *error)
{
	struct graph *graph = builder->graph;
	enum error_code code;

	if (!builder->count && !grow(builder))
		return out_of_memory(builder, error);
	code = sort_nodes(builder, error);
	if (code)
		return code;
	make_rows(builder);
	graph->edge = malloc(((size_t)graph->edge_count + 1) * sizeof(*graph->edge));
	builder->filled = calloc((size_t)graph->node_count / 64 + 1, sizeof(*builder->filled));
	if (!graph->edge || !builder->filled || !make_index(builder))
		return out_of_memory(builder, error);
	memset(graph->edge, 0xff, (size_t)graph->edge_count * sizeof(*graph->edge));
	return ERROR_NONE;
}

uint32_t graph_builder_find(const struct graph_builder *builder, uint64_t address)
{
	size_t mask = ((size_t)1 << builder->index_bits) - 1, slot = slot_of(builder, address);

	while (builder->index[slot] != GRAPH_NONE) {
		if (builder->graph->node[builder->index[slot]].address == address)
			return builder->index[slot];
		slot = (slot + 1) & mask;
	}
	return GRAPH_NONE;
}

bool graph_builder_row(struct graph_builder *builder, uint64_t address)
{
	uint32_t node = graph_builder_find(builder, address);
	uint64_t bit = UINT64_C(1) << (node & 63);

	if (node == GRAPH_NONE || builder->filled[node / 64] & bit)
		return false;
	builder->filled[node / 64] |= bit;
	builder->cursor = builder->graph->first[node];
	builder->row_end = builder->graph->first[node + 1];
	return true;
}

void graph_builder_expect(const struct graph_builder *builder, uint64_t target)
{
	__builtin_prefetch(&builder->index[slot_of(builder, target)]);
}

void graph_builder_append(struct graph_builder *builder, uint32_t node)
{
	const struct graph *graph = builder->graph;
	uint32_t low = graph->first[node], high = graph->first[node + 1];

	builder->row_end = high;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (graph->edge[middle].to == GRAPH_NONE)
			high = middle;
		else
			low = middle + 1;
	}
	builder->cursor = low;
}

void graph_builder_edge_to(struct graph_builder *builder, uint32_t to, uint32_t field, uint8_t flags,
			   uint32_t detail)
{
	if (builder->cursor == builder->row_end)
		return;
	/* A trace with 2^24 strings loses field names, not edges. */
	if (field >= 1u << 24)
		field = 0;
	builder->graph->edge[builder->cursor++] =
		(struct graph_edge){.to = to, .field_flags = field << 8 | flags, .detail = detail};
}

void graph_builder_edge(struct graph_builder *builder, uint64_t target, uint32_t field, uint8_t flags,
			uint32_t detail)
{
	uint32_t to = graph_builder_find(builder, target);

	if (to == GRAPH_NONE)
		builder->graph->leaf_edges++;
	else
		graph_builder_edge_to(builder, to, field, flags, detail);
}

const struct graph *graph_builder_graph(const struct graph_builder *builder)
{
	return builder->graph;
}

void graph_builder_roots(struct graph_builder *builder, struct graph_root *root, size_t count)
{
	builder->graph->root = root;
	builder->graph->root_count = count;
	builder->graph->scanned = true;
}

/* Closes the holes that leaves left at the ends of rows. */
static void close_holes(struct graph *graph)
{
	uint32_t kept = 0, start = 0;

	for (uint32_t i = 0; i < graph->node_count; i++) {
		uint32_t end = graph->first[i + 1];

		graph->first[i] = kept;
		for (uint32_t e = start; e < end && graph->edge[e].to != GRAPH_NONE; e++)
			graph->edge[kept++] = graph->edge[e];
		start = end;
	}
	graph->first[graph->node_count] = kept;
	graph->edge_count = kept;
}

enum error_code graph_builder_finish(struct graph_builder *builder, struct graph **ret, struct error *error)
{
	struct graph *graph = builder->graph;
	struct graph_edge *edge;

	if (!graph->first)
		return error_set(error, ERROR_INPUT, "a graph was finished before it was sorted");
	close_holes(graph);
	edge = realloc(graph->edge, ((size_t)graph->edge_count + 1) * sizeof(*edge));
	if (edge)
		graph->edge = edge;
	builder->graph = NULL;
	*ret = graph;
	return ERROR_NONE;
}

void graph_builder_free(struct graph_builder *builder)
{
	if (!builder)
		return;
	graph_free(builder->graph);
	free(builder->count);
	free(builder->index);
	free(builder->filled);
	free(builder);
}
