/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks are numbered by their addresses, and so are nodes: one walk over both
 * finds the node of every block.
 *
 * A part of the scan that got lost would make what it pointed to look
 * unreachable, so a scan is used as a whole or not at all.
 */
#include "graph_heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph_rules.h"
#include "moment.h"
#include "snapshot_reader.h"

struct graph_heap {
	struct trace *trace;
	struct replay *replay;
	const struct trace_snapshot *snapshot;
	struct graph_builder *builder;
	uint64_t *address; /* of each block */
	uint32_t *node;    /* of each block: how many pointers; in pass 2 its node */
	uint32_t count, capacity;
	struct snapshot_root_record *root;
	size_t root_count, root_capacity;
	struct graph_rules rules;
	uint64_t pointer_count;
	uint32_t numbered; /* blocks that were announced to the builder */
	bool disordered;
	/* Exact edges of the node at hand that no pointer was found for yet. */
	uint32_t *stamp, *left;
	uint32_t stamped;
	/* Of a visit that failed. */
	enum error_code code;
	struct error *error;
};

static bool out_of_memory(struct graph_heap *heap)
{
	heap->code = error_set(heap->error, ERROR_MEMORY, "out of memory for %u blocks", heap->count);
	return false;
}

/* A failure of a visit goes before the reader's own "cancelled". */
static enum error_code outcome(struct graph_heap *heap, enum error_code code, const struct error *error)
{
	if (heap->code)
		return heap->code;
	if (code && heap->error)
		*heap->error = *error;
	return code;
}

/* ---- reading -------------------------------------------------------------------- */

static bool count_block(void *arg, const struct snapshot_block_record *block)
{
	struct graph_heap *heap = arg;

	if (heap->count == heap->capacity) {
		uint32_t capacity = heap->capacity ? heap->capacity + heap->capacity / 2 : 4096;
		uint64_t *address = realloc(heap->address, capacity * sizeof(*address));

		if (!address)
			return out_of_memory(heap);
		heap->address = address;
		heap->capacity = capacity;
	}
	heap->disordered |= heap->count && heap->address[heap->count - 1] >= block->address;
	heap->address[heap->count++] = block->address;
	return heap->count < GRAPH_NONE / 2;
}

static bool count_pointers(void *arg, uint32_t from, const struct snapshot_pointer_record *pointers,
			   uint32_t count)
{
	struct graph_heap *heap = arg;

	/* More than the builder takes is refused there. */
	heap->pointer_count += count;
	heap->node[from] = heap->node[from] > UINT32_MAX - count ? UINT32_MAX : heap->node[from] + count;
	return true;
}

static bool keep_root(void *arg, const struct snapshot_root_record *root)
{
	struct graph_heap *heap = arg;

	if (heap->root_count == heap->root_capacity) {
		size_t capacity = heap->root_capacity ? heap->root_capacity + heap->root_capacity / 2 : 1024;
		struct snapshot_root_record *roots = realloc(heap->root, capacity * sizeof(*roots));

		if (!roots)
			return out_of_memory(heap);
		heap->root = roots;
		heap->root_capacity = capacity;
	}
	heap->root[heap->root_count++] = *root;
	return true;
}

/* Each block that another keeps is one more edge of that one. */
static void announce(struct graph_heap *heap, const struct graph_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t *edges = &heap->node[rules[i].owner_block];

		*edges += *edges < UINT32_MAX;
	}
}

static enum error_code read_rules(struct graph_heap *heap)
{
	enum error_code code = graph_rules_read(heap->trace, heap->snapshot, heap->address, heap->count,
						&heap->rules, heap->error);

	announce(heap, heap->rules.kept, heap->rules.kept_count);
	announce(heap, heap->rules.held, heap->rules.held_count);
	return code;
}

static bool is_whole(const struct graph_heap *heap)
{
	const struct trace_snapshot *snapshot = heap->snapshot;

	return !heap->disordered && heap->count == snapshot->blocks &&
	       heap->pointer_count == snapshot->scan_edges && heap->root_count == snapshot->roots;
}

static enum error_code read_all(struct graph_heap *heap, bool *whole)
{
	struct error error = {0};
	enum error_code code = snapshot_read_blocks(heap->trace, heap->snapshot, count_block, heap, &error);

	if (!code) {
		heap->node = calloc((size_t)heap->count + 1, sizeof(*heap->node));
		if (!heap->node)
			out_of_memory(heap);
		code = heap->code;
	}
	if (!code)
		code = snapshot_read_pointers(heap->trace, heap->snapshot, heap->count, count_pointers, heap,
					      &error);
	if (!code)
		code = snapshot_read_roots(heap->trace, heap->snapshot, heap->count, keep_root, heap, &error);
	code = outcome(heap, code, &error);
	if (!code && !heap->disordered)
		code = read_rules(heap);
	*whole = !code && is_whole(heap);
	return code;
}

static enum error_code note_loss(struct graph_heap *heap)
{
	char detail[64];

	snprintf(detail, sizeof(detail), "snapshot %u lacks parts of its heap", heap->snapshot->index);
	if (trace_set_limit(heap->trace, CASTAWAY_LIMIT_INCOMPLETE_SNAPSHOT, 1, detail) != ERROR_NONE)
		out_of_memory(heap);
	return heap->code;
}

enum error_code graph_heap_new(struct trace *trace, struct replay *replay,
			       const struct trace_snapshot *snapshot, struct graph_builder *builder,
			       struct graph_heap **ret, struct error *error)
{
	struct graph_heap *heap = calloc(1, sizeof(*heap));
	enum error_code code;
	bool whole = false;

	*ret = NULL;
	if (!moment_is_scanned(snapshot)) {
		free(heap);
		return ERROR_NONE;
	}
	if (!heap)
		return error_set(error, ERROR_MEMORY, "out of memory for the heap of a snapshot");
	heap->trace = trace;
	heap->replay = replay;
	heap->snapshot = snapshot;
	heap->builder = builder;
	heap->error = error;
	code = read_all(heap, &whole);
	if (!code && !whole)
		code = note_loss(heap);
	if (code || !whole)
		graph_heap_free(heap);
	else
		*ret = heap;
	return code;
}

/* ---- nodes ------------------------------------------------------------------------ */

static bool add_block(void *arg, const struct snapshot_block_record *record)
{
	struct graph_heap *heap = arg;
	const struct replay_block *born = replay_find_block(heap->replay, record->address);
	struct graph_node node = {
		.address = record->address,
		.size = record->size,
		.stack = record->stack,
		.birth_pass = record->birth_pass,
		.flags = GRAPH_NODE_BLOCK,
	};

	if (record->runtime == CASTAWAY_RUNTIME_NONE)
		node.flags |= GRAPH_NODE_BIRTH_KNOWN;
	if (born && born->thread <= GRAPH_THREAD_MAX)
		node.thread = born->thread & GRAPH_THREAD_MAX;
	heap->code = graph_builder_node(heap->builder, &node, heap->node[heap->numbered++], heap->error);
	return heap->code == ERROR_NONE;
}

enum error_code graph_heap_nodes(struct graph_heap *heap, struct error *error)
{
	struct error failed = {0};
	enum error_code code;

	heap->error = error;
	code = snapshot_read_blocks(heap->trace, heap->snapshot, add_block, heap, &failed);
	return outcome(heap, code, &failed);
}

/* ---- edges and roots --------------------------------------------------------------- */

/* The first node at the block's address or behind is in the block, or is it. */
static void find_nodes(struct graph_heap *heap)
{
	const struct graph *graph = graph_builder_graph(heap->builder);
	uint32_t node = 0;

	for (uint32_t block = 0; block < heap->count; block++) {
		while (node + 1 < graph->node_count && graph->node[node].address < heap->address[block])
			node++;
		heap->node[block] = node;
	}
}

/* CPython's collector keeps the links of its lists in the two words before an
 * object.  They hold nothing; what may lie before them does. */
#define LINK_BYTES 16u

/* Whether the bytes at this offset of a block are such links. */
static bool is_link(const struct graph_heap *heap, uint32_t block, uint64_t offset)
{
	const struct graph_node *node = &graph_builder_graph(heap->builder)->node[heap->node[block]];
	uint64_t before = node->address - heap->address[block];

	return node->runtime == CASTAWAY_RUNTIME_CPYTHON && before >= LINK_BYTES && offset < before &&
	       offset >= before - LINK_BYTES;
}

static void stamp_exact(struct graph_heap *heap, uint32_t node)
{
	const struct graph *graph = graph_builder_graph(heap->builder);

	for (uint32_t e = graph->first[node]; e < graph->first[node + 1]; e++) {
		uint32_t to = graph->edge[e].to;

		if (to == GRAPH_NONE)
			break;
		if (heap->stamp[to] != node)
			heap->left[to] = 0;
		heap->stamp[to] = node;
		heap->left[to]++;
	}
	heap->stamped = node;
}

/* The pointer of an edge that is known exactly says nothing new. */
static bool is_explained(struct graph_heap *heap, uint32_t node, uint32_t to)
{
	if (heap->stamp[to] != node || !heap->left[to])
		return false;
	heap->left[to]--;
	return true;
}

static void add_pointer(struct graph_heap *heap, uint32_t from, const struct snapshot_pointer_record *pointer)
{
	const struct graph *graph = graph_builder_graph(heap->builder);
	uint32_t node = heap->node[from], to = heap->node[pointer->to];
	uint64_t before = graph->node[node].address - heap->address[from];
	uint32_t offset = graph_offset((int64_t)(pointer->offset - before));
	unsigned strength = graph_rules_strength(&heap->rules, heap->address[from] + pointer->offset,
						 heap->address[pointer->to]);
	uint8_t flags = (uint8_t)(strength | CASTAWAY_EDGE_SCANNED | CASTAWAY_EDGE_OFFSET);

	/* A block that points into itself is no cycle. */
	if (to == node || is_link(heap, from, pointer->offset) ||
	    is_link(heap, pointer->to, pointer->interior) || is_explained(heap, node, to))
		return;
	graph_builder_edge_to(heap->builder, to, 0, flags, offset);
}

static bool add_pointers(void *arg, uint32_t from, const struct snapshot_pointer_record *pointers,
			 uint32_t count)
{
	struct graph_heap *heap = arg;
	uint32_t node = heap->node[from];

	/* A block's pointers may come in several parts. */
	if (heap->stamped != node)
		stamp_exact(heap, node);
	graph_builder_append(heap->builder, node);
	for (uint32_t i = 0; i < count; i++)
		add_pointer(heap, from, &pointers[i]);
	return true;
}

/* From owners to what they keep without a pointer. */
static void add_kept(struct graph_heap *heap, const struct graph_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct graph_rule *rule = &rules[i];

		/* Kept by somebody else. */
		if (rules == heap->rules.held && graph_rules_is_kept(&heap->rules, rule->address))
			continue;
		graph_builder_append(heap->builder, heap->node[rule->owner_block]);
		graph_builder_edge_to(heap->builder, heap->node[rule->block], 0,
				      CASTAWAY_UNKNOWN | CASTAWAY_EDGE_SCANNED, 0);
	}
}

/* A weak pointer outside of the blocks is no root. */
static bool is_root(const struct graph_heap *heap, const struct snapshot_root_record *root)
{
	if (is_link(heap, root->to, root->interior))
		return false;
	return root->kind == CASTAWAY_ROOT_REGISTER || graph_rules_holds(&heap->rules, root->address);
}

static enum error_code add_roots(struct graph_heap *heap)
{
	struct graph_root *roots = malloc((heap->root_count + 1) * sizeof(*roots));
	size_t kept = 0;

	if (!roots) {
		out_of_memory(heap);
		return heap->code;
	}
	for (size_t i = 0; i < heap->root_count; i++) {
		const struct snapshot_root_record *root = &heap->root[i];

		if (!is_root(heap, root))
			continue;
		roots[kept++] = (struct graph_root){.address = root->address,
						    .where = root->where,
						    .node = heap->node[root->to],
						    .kind = root->kind};
	}
	graph_builder_roots(heap->builder, roots, kept);
	return ERROR_NONE;
}

enum error_code graph_heap_edges(struct graph_heap *heap, struct error *error)
{
	size_t nodes = (size_t)graph_builder_graph(heap->builder)->node_count + 1;
	struct error failed = {0};
	enum error_code code;

	heap->error = error;
	heap->stamp = malloc(nodes * sizeof(*heap->stamp));
	heap->left = malloc(nodes * sizeof(*heap->left));
	if (!heap->stamp || !heap->left) {
		out_of_memory(heap);
		return heap->code;
	}
	memset(heap->stamp, 0xff, nodes * sizeof(*heap->stamp));
	heap->stamped = GRAPH_NONE;
	find_nodes(heap);
	code = snapshot_read_pointers(heap->trace, heap->snapshot, heap->count, add_pointers, heap, &failed);
	code = outcome(heap, code, &failed);
	if (code)
		return code;
	add_kept(heap, heap->rules.kept, heap->rules.kept_count);
	add_kept(heap, heap->rules.held, heap->rules.held_count);
	return add_roots(heap);
}

void graph_heap_free(struct graph_heap *heap)
{
	if (!heap)
		return;
	free(heap->address);
	free(heap->node);
	free(heap->root);
	graph_rules_done(&heap->rules);
	free(heap->stamp);
	free(heap->left);
	free(heap);
}
