/* SPDX-License-Identifier: Apache-2.0
 *
 * Fills the graph builder: first with the annotated objects of the replay,
 * whose counts and links are exact by construction, then with the objects that
 * a runtime's adapter wrote into a snapshot.  An object that both describe is
 * taken from the replay.
 */
#include "graph.h"

#include <stdlib.h>

#include "graph_builder.h"
#include "graph_heap.h"
#include "snapshot_reader.h"

struct loader {
	struct replay *replay;
	struct graph_builder *builder;
	const struct replay_object *const *objects;
	size_t object_count;
	enum error_code code;
	struct error *error;
};

static uint16_t small_thread(uint32_t thread)
{
	return thread > GRAPH_THREAD_MAX ? 0 : (uint16_t)thread;
}

/* ---- annotated objects ------------------------------------------------------ */

static unsigned native_generation(const struct replay_generations *generations,
				  const struct replay_object *object)
{
	if (object->frozen)
		return 3;
	return object->oldest ? 2 : replay_generation_of(generations, object->birth_pass, NULL) & 3;
}

static enum error_code add_native_node(struct loader *loader, const struct replay_generations *generations,
				       const struct replay_object *object)
{
	struct graph_node node = {
		.address = object->address,
		.size = object->size,
		.refcount = object->count,
		.type = object->type,
		.stack = object->stack,
		.birth_pass = object->birth_pass,
		.thread = small_thread(object->thread) & GRAPH_THREAD_MAX,
		.runtime = CASTAWAY_RUNTIME_NATIVE,
		.flags = (uint8_t)(native_generation(generations, object) | GRAPH_NODE_BIRTH_KNOWN |
				   GRAPH_NODE_COUNTED),
	};

	return graph_builder_node(loader->builder, &node, object->link_count, loader->error);
}

static enum error_code add_native_nodes(struct loader *loader)
{
	const struct replay_generations *generations =
		replay_generations(loader->replay, CASTAWAY_DOMAIN_OBJECTS);
	enum error_code code = ERROR_NONE;

	for (size_t i = 0; i < loader->object_count && !code; i++)
		code = add_native_node(loader, generations, loader->objects[i]);
	return code;
}

static void add_native_edges(struct loader *loader)
{
	for (size_t i = 0; i < loader->object_count; i++) {
		const struct replay_object *object = loader->objects[i];

		if (!graph_builder_row(loader->builder, object->address))
			continue;
		for (uint32_t l = 0; l < object->link_count; l++) {
			const struct replay_link *link = &object->links[l];
			unsigned flags = link->weak ? CASTAWAY_WEAK : CASTAWAY_STRONG;

			/* Left behind by an object that ended at this address
			 * before the one that is there now was born. */
			if (replay_find_object(loader->replay, link->target) &&
			    !replay_link_target(loader->replay, link))
				continue;
			flags |= link->field ? CASTAWAY_EDGE_FIELD : 0;
			flags |= link->stack ? CASTAWAY_EDGE_STACK : 0;
			graph_builder_edge(loader->builder, link->target, link->field, (uint8_t)flags,
					   link->stack);
		}
	}
}

/* ---- objects of a snapshot --------------------------------------------------- */

/* The replay knows when and where the block was allocated; the record's own
 * stack serves where the allocation was not seen. */
static void fill_birth(const struct loader *loader, const struct snapshot_object_record *record,
		       struct graph_node *node)
{
	const struct replay_block *block =
		replay_find_block(loader->replay, record->address - record->block_offset);

	if (block) {
		node->stack = block->stack;
		node->birth_pass = block->birth_pass;
		node->thread = small_thread(block->thread) & GRAPH_THREAD_MAX;
		node->flags |= GRAPH_NODE_BIRTH_KNOWN;
	}
	if (!node->stack)
		node->stack = record->stack;
	if (!block && (record->birth_pass || record->stack)) {
		node->birth_pass = record->birth_pass;
		node->flags |= GRAPH_NODE_BIRTH_KNOWN;
	}
}

static bool add_snapshot_node(void *arg, const struct snapshot_object_record *record,
			      const struct snapshot_edge_record *edges)
{
	struct loader *loader = arg;
	bool permanent = record->generation > 2 || record->flags & CASTAWAY_OBJECT_PERMANENT;
	struct graph_node node = {
		.address = record->address,
		.size = record->size,
		.refcount = record->refcount,
		.type = record->type,
		.runtime = record->runtime,
		.flags = (uint8_t)((permanent ? 3u : record->generation) | GRAPH_NODE_COUNTED),
	};

	if (record->flags & CASTAWAY_OBJECT_RECYCLED)
		node.flags |= GRAPH_NODE_RECYCLED;
	node.untracked =
		record->runtime == CASTAWAY_RUNTIME_CPYTHON && !(record->flags & CASTAWAY_OBJECT_TRACKED);
	fill_birth(loader, record, &node);
	loader->code = graph_builder_node(loader->builder, &node, record->edge_count, loader->error);
	return loader->code == ERROR_NONE;
}

static bool add_snapshot_edges(void *arg, const struct snapshot_object_record *record,
			       const struct snapshot_edge_record *edges)
{
	struct loader *loader = arg;

	for (uint32_t e = 0; e < record->edge_count; e++)
		graph_builder_expect(loader->builder, edges[e].target);
	if (!graph_builder_row(loader->builder, record->address))
		return true;
	for (uint32_t e = 0; e < record->edge_count; e++) {
		const struct snapshot_edge_record *edge = &edges[e];
		uint32_t detail = 0;
		uint8_t flags = edge->flags;

		if (flags & CASTAWAY_EDGE_STACK) {
			detail = edge->stack;
			flags &= (uint8_t)~CASTAWAY_EDGE_OFFSET; /* room for one of the two */
		} else if (flags & CASTAWAY_EDGE_OFFSET) {
			detail = edge->offset > UINT32_MAX ? UINT32_MAX : (uint32_t)edge->offset;
		}
		graph_builder_edge(loader->builder, edge->target, edge->field, flags, detail);
	}
	return true;
}

/* Reads all objects of the snapshot; a failure of `visit` goes before the
 * reader's own "cancelled". */
static enum error_code read_objects(struct loader *loader, struct trace *trace,
				    const struct trace_snapshot *snapshot, snapshot_object_fn visit)
{
	struct error error = {0};
	enum error_code code;

	code = snapshot_read_objects(trace, snapshot, visit, loader, &error);
	if (loader->code)
		return loader->code;
	if (code && loader->error)
		*loader->error = error;
	return code;
}

/* ---- types -------------------------------------------------------------------- */

static bool add_trait(void *arg, const struct snapshot_type_record *record)
{
	struct graph *graph = arg;
	struct graph_trait *grown;

	if (!(graph->trait_count & (graph->trait_count + 1))) {
		grown = realloc(graph->trait, 2 * (graph->trait_count + 1) * sizeof(*grown));
		if (!grown)
			return false;
		graph->trait = grown;
	}
	graph->trait[graph->trait_count++] =
		(struct graph_trait){.type = record->type, .traits = record->traits, .base = record->base};
	return true;
}

static int compare_traits(const void *a, const void *b)
{
	const struct graph_trait *left = a, *right = b;

	return (left->type > right->type) - (left->type < right->type);
}

static enum error_code read_traits(struct trace *trace, const struct trace_snapshot *snapshot,
				   struct graph *graph, struct error *error)
{
	enum error_code code = snapshot_read_types(trace, snapshot, add_trait, graph, error);

	if (graph->trait_count)
		qsort(graph->trait, graph->trait_count, sizeof(*graph->trait), compare_traits);
	return code == ERROR_CANCELLED ? error_set(error, ERROR_MEMORY, "out of memory for the types") : code;
}

/* ---- names -------------------------------------------------------------------- */

static bool add_name(void *arg, const struct snapshot_name_record *record)
{
	struct graph *graph = arg;
	uint32_t node = graph_find(graph, record->address);
	struct graph_name *grown;

	if (node == GRAPH_NONE || !record->name)
		return true;
	if (!(graph->name_count & (graph->name_count + 1))) {
		grown = realloc(graph->name, 2 * (graph->name_count + 1) * sizeof(*grown));
		if (!grown)
			return false;
		graph->name = grown;
	}
	graph->name[graph->name_count++] = (struct graph_name){node, record->name};
	return true;
}

static int compare_names(const void *a, const void *b)
{
	const struct graph_name *left = a, *right = b;

	return (left->node > right->node) - (left->node < right->node);
}

static enum error_code read_names(struct trace *trace, const struct trace_snapshot *snapshot,
				  struct graph *graph, struct error *error)
{
	enum error_code code = snapshot_read_names(trace, snapshot, add_name, graph, error);

	if (graph->name_count)
		qsort(graph->name, graph->name_count, sizeof(*graph->name), compare_names);
	return code == ERROR_CANCELLED ? error_set(error, ERROR_MEMORY, "out of memory for the names") : code;
}

/* ---- the whole ------------------------------------------------------------------ */

static enum error_code load_nodes(struct loader *loader, struct trace *trace,
				  const struct trace_snapshot *snapshot, struct graph_heap *heap)
{
	enum error_code code = add_native_nodes(loader);

	if (!code && snapshot)
		code = read_objects(loader, trace, snapshot, add_snapshot_node);
	if (!code && heap)
		code = graph_heap_nodes(heap, loader->error);
	return code ? code : graph_builder_sort(loader->builder, loader->error);
}

static enum error_code load(struct loader *loader, struct trace *trace, const struct trace_snapshot *snapshot,
			    struct graph_heap *heap)
{
	enum error_code code = load_nodes(loader, trace, snapshot, heap);

	if (code)
		return code;
	add_native_edges(loader);
	if (snapshot)
		code = read_objects(loader, trace, snapshot, add_snapshot_edges);
	return !code && heap ? graph_heap_edges(heap, loader->error) : code;
}

static enum error_code build(struct loader *loader, struct trace *trace,
			     const struct trace_snapshot *snapshot)
{
	struct graph_heap *heap = NULL;
	enum error_code code = ERROR_NONE;

	if (snapshot)
		code = graph_heap_new(trace, loader->replay, snapshot, loader->builder, &heap, loader->error);
	if (!code)
		code = load(loader, trace, snapshot, heap);
	graph_heap_free(heap);
	return code;
}

enum error_code graph_build(struct trace *trace, struct replay *replay, const struct trace_snapshot *snapshot,
			    struct graph **ret, struct error *error)
{
	struct loader loader = {.replay = replay, .error = error};
	struct error failed = {0};
	enum error_code code;

	*ret = NULL;
	loader.objects = replay_objects(replay, &loader.object_count, &failed);
	if (failed.code)
		return error_set(error, failed.code, "%s", failed.what);
	code = graph_builder_new(trace, &loader.builder, error);
	if (!code)
		code = build(&loader, trace, snapshot);
	if (!code)
		code = graph_builder_finish(loader.builder, ret, error);
	graph_builder_free(loader.builder);
	if (!code && snapshot)
		code = read_traits(trace, snapshot, *ret, error);
	if (!code && snapshot)
		code = read_names(trace, snapshot, *ret, error);
	if (code && *ret) {
		graph_free(*ret);
		*ret = NULL;
	}
	return code;
}

void graph_free(struct graph *graph)
{
	if (!graph)
		return;
	free(graph->node);
	free(graph->first);
	free(graph->edge);
	free(graph->root);
	free(graph->trait);
	free(graph->name);
	free(graph);
}

uint32_t graph_name(const struct graph *graph, uint32_t node)
{
	const struct graph_name key = {.node = node};
	const struct graph_name *found =
		graph->name_count ? bsearch(&key, graph->name, graph->name_count, sizeof(key), compare_names)
				  : NULL;

	return found ? found->name : 0;
}

const struct graph_trait *graph_trait(const struct graph *graph, uint32_t type)
{
	const struct graph_trait key = {.type = type};

	return graph->trait_count
		       ? bsearch(&key, graph->trait, graph->trait_count, sizeof(key), compare_traits)
		       : NULL;
}

uint32_t *graph_count_strong(const struct graph *graph)
{
	uint32_t *strong = calloc((size_t)graph->node_count + 1, sizeof(*strong));
	bool any = false;

	for (uint32_t e = 0; strong && e < graph->edge_count; e++) {
		strong[graph->edge[e].to] += graph_is_strong(&graph->edge[e]);
		any |= graph_is_strong(&graph->edge[e]);
	}
	if (any)
		return strong;
	free(strong);
	return NULL;
}

bool graph_is_accounted_for(const struct graph *graph, const uint32_t *strong, uint32_t node)
{
	const struct graph_node *n = &graph->node[node];

	/* With more references than counts, something is wrong with either. */
	return strong && n->flags & GRAPH_NODE_COUNTED && strong[node] > 0 &&
	       n->refcount == (int64_t)strong[node];
}

uint32_t graph_find(const struct graph *graph, uint64_t address)
{
	uint32_t low = 0, high = graph->node_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (graph->node[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < graph->node_count && graph->node[low].address == address ? low : GRAPH_NONE;
}
