/* SPDX-License-Identifier: Apache-2.0
 *
 * The objects that CPython's collector tracks, each with exactly the
 * references that the collector itself would see: tp_traverse is called with a
 * callback that writes down the target, so two references are two edges.  Runs
 * in the snapshot's child, on a copy that was made while the requester had the
 * interpreter's lock; where there is no helper that makes children, in the
 * requester.  Calls nothing that could allocate, count a reference for good, or
 * run Python code.
 *
 * An object's size is that of its block without what precedes the object (the
 * collector's header, the dict pointer).  What containers keep in buffers of
 * their own (list items, dict tables) is not part of it.
 */
#include "cpython.h"

#include <string.h>

#include "../arch.h"
#include "../arena.h"
#include "../config.h"
#include "../emit.h"
#include "../shadow.h"
#include "adapter.h"
#include "cpython_out.h"

#define PERMANENT_GENERATION 3u
#define EDGES_FIRST          (1u << 16)
#define LIST_FIRST           (1u << 16)

/* Grows by doubling; what finds no memory is left out. */
struct list {
	uint8_t *bytes;
	size_t used, capacity;
};

static void *list_add(struct list *list, size_t size)
{
	if (list->used + size > list->capacity) {
		size_t capacity = list->capacity ? 2 * list->capacity : LIST_FIRST;
		uint8_t *bytes = arena_map(capacity);

		if (bytes == NULL)
			return NULL;
		if (list->bytes != NULL) {
			memcpy(bytes, list->bytes, list->used);
			arena_unmap(list->bytes, list->capacity);
		}
		list->bytes = bytes;
		list->capacity = capacity;
	}
	list->used += size;
	return list->bytes + list->used - size;
}

static void list_end(struct list *list)
{
	if (list->bytes != NULL)
		arena_unmap(list->bytes, list->capacity);
}

struct walk {
	struct cpython_out out;
	struct snapshot_edge *edges;
	size_t edge_count, edge_capacity;
	struct list cells; /* addresses, with the generation in the low bits */
	struct list names; /* of struct snapshot_name */
	uint64_t frozen, recycled;
};

static bool more_edges(struct walk *walk)
{
	size_t capacity = walk->edge_capacity ? 2 * walk->edge_capacity : EDGES_FIRST;
	struct snapshot_edge *edges = arena_map(capacity * sizeof(*edges));

	if (edges == NULL)
		return false;
	if (walk->edges != NULL) {
		memcpy(edges, walk->edges, walk->edge_count * sizeof(*edges));
		arena_unmap(walk->edges, walk->edge_capacity * sizeof(*edges));
	}
	walk->edges = edges;
	walk->edge_capacity = capacity;
	return true;
}

/* Always 0: any other value would end the traversal early. */
static int collect_edge(struct py_object *target, void *arg)
{
	struct walk *walk = arg;

	if (target == NULL)
		return 0;
	if (walk->edge_count == walk->edge_capacity && !more_edges(walk)) {
		walk->out.failure = "cpython: no memory for the references of an object";
		return 0;
	}
	walk->edges[walk->edge_count++] = (struct snapshot_edge){
		.target = (uintptr_t)target,
		.offset = -1,
		.strength = CASTAWAY_STRONG,
	};
	return 0;
}

/* The size is not taken from ob_size: frames and generators have an item size,
 * but no count.  The birth serves where the trace lost the allocation's event. */
static void fill_from_block(struct snapshot_object *record, const struct py_object *object)
{
	struct shadow_block block;

	record->size = (uint64_t)object->type->basicsize;
	if (!shadow_find((uintptr_t)object - record->block_offset, &block) ||
	    block.size <= record->block_offset)
		return;
	record->size = block.size - record->block_offset;
	record->stack = block.stack;
	record->birth_pass = block.birth_pass;
}

static bool is_immortal(int64_t refcount)
{
	return g_py_layout->minor >= 12 && (int32_t)refcount < 0;
}

/* The pointers that tp_traverse does not tell of come behind those it does. */
static void add_hidden_edges(struct walk *walk, struct py_type_info *info, const struct py_object *object)
{
	size_t most = walk->edge_count + (size_t)info->opaque->basicsize / sizeof(void *) + 1;

	while (walk->edge_capacity < most) {
		if (!more_edges(walk)) {
			walk->out.failure = "cpython: no memory for the references of an object";
			return;
		}
	}
	cpython_type_meet(info);
	walk->edge_count =
		cpython_hidden_edges(info, object, walk->edges, walk->edge_count, walk->edge_capacity);
}

static void write_object(struct walk *walk, struct py_object *object, unsigned generation, uint32_t flags)
{
	struct py_type_info *info = cpython_type_info(object->type);
	struct snapshot_object record = {
		.address = (uintptr_t)object,
		.refcount = object->refcount,
		.generation = generation,
		.flags = flags,
		.runtime = CASTAWAY_RUNTIME_CPYTHON,
	};

	if (info == NULL) {
		walk->out.failure = "cpython: no memory for the types";
		return;
	}
	walk->edge_count = 0;
	if (object->type->traverse != NULL)
		object->type->traverse(object, collect_edge, walk);
	cpython_label_edges(info, object, walk->edges, walk->edge_count);
	if (info->opaque != NULL)
		add_hidden_edges(walk, info, object);
	record.type = info->name;
	record.block_offset = info->block_offset;
	fill_from_block(&record, object);
	if (generation == PERMANENT_GENERATION)
		record.flags |= CASTAWAY_OBJECT_PERMANENT;
	if (is_immortal(object->refcount))
		record.flags |= CASTAWAY_OBJECT_IMMORTAL;
	if (info->may_recycle &&
	    (info->recycled_size == UINT32_MAX || py_size(object) <= info->recycled_size)) {
		record.flags |= CASTAWAY_OBJECT_RECYCLED;
		walk->recycled++;
	}
	cpython_out_object(&walk->out, &record, walk->edges, walk->edge_count);
}

static void note_name(struct walk *walk, const struct py_object *object)
{
	const uint32_t name = cpython_name(object);
	struct snapshot_name *entry = name != 0 ? list_add(&walk->names, sizeof(*entry)) : NULL;

	if (entry != NULL)
		*entry = (struct snapshot_name){(uintptr_t)object, name};
}

/* Cells come last: by then all functions have told what theirs are called. */
static void write_tracked(struct walk *walk, struct py_object *object, unsigned generation)
{
	uintptr_t *later = object->type == g_py.PyCell_Type ? list_add(&walk->cells, sizeof(*later)) : NULL;

	if (later != NULL) {
		*later = (uintptr_t)object | generation;
		return;
	}
	if (object->type == g_py.PyFunction_Type)
		cpython_label_learn(object);
	note_name(walk, object);
	write_object(walk, object, generation, CASTAWAY_OBJECT_TRACKED);
}

static void write_cells(struct walk *walk)
{
	const uintptr_t *cells = (const uintptr_t *)(const void *)walk->cells.bytes;

	for (size_t i = 0; i < walk->cells.used / sizeof(*cells) && !cpython_out_failed(&walk->out); i++)
		write_object(walk, (struct py_object *)(cells[i] & ~(uintptr_t)3), cells[i] & 3,
			     CASTAWAY_OBJECT_TRACKED);
}

/* Every link is checked both ways, so a list that is not one stops the walk. */
static void walk_generation(struct walk *walk, struct py_gc_head *head, unsigned generation)
{
	struct py_gc_head *previous = head, *at = py_gc_untag(head->next);

	while (at != head && !cpython_out_failed(&walk->out)) {
		if (py_gc_untag(at->prev) != previous) {
			walk->out.failure = "cpython: a generation's list is broken";
			return;
		}
		write_tracked(walk, (struct py_object *)(at + 1), generation);
		walk->frozen += generation == PERMANENT_GENERATION;
		previous = at;
		at = py_gc_untag(at->next);
	}
}

static void write_runtime(struct walk *walk, const struct py_gc *gc)
{
	const char *version = g_py.Py_GetVersion();
	struct snapshot_generation generations[3];
	char number[32];
	size_t length = strcspn(version, " ");

	if (length >= sizeof(number))
		length = sizeof(number) - 1;
	memcpy(number, version, length);
	number[length] = '\0';
	for (unsigned i = 0; i < 3; i++) {
		generations[i] = (struct snapshot_generation){
			.count = (uint64_t)gc->generations[i].count,
			.threshold = (uint64_t)gc->generations[i].threshold,
			.collections = (uint64_t)gc->stats[i].collections,
			.collected = (uint64_t)gc->stats[i].collected,
			.uncollectable = (uint64_t)gc->stats[i].uncollectable,
		};
	}
	cpython_out_runtime(&walk->out, &(struct snapshot_runtime){
						.runtime = CASTAWAY_RUNTIME_CPYTHON,
						.version = number,
						.note = "",
						.status = CASTAWAY_STATUS_EXACT,
						.enabled = cpython_gc_enabled(gc),
						.generations = generations,
						.count = 3,
						.frozen = walk->frozen,
					});
}

static void count_subinterpreters(struct walk *walk)
{
	void *main_interpreter = g_py.PyInterpreterState_Main();
	uint64_t count = 0;

	for (void *at = g_py.PyInterpreterState_Head(); at != NULL; at = g_py.PyInterpreterState_Next(at))
		count += at != main_interpreter;
	cpython_out_limit(&walk->out, CASTAWAY_LIMIT_SUBINTERPRETER, count, NULL);
}

static void write_untracked(struct py_object *object, void *arg)
{
	struct walk *walk = arg;

	if (!cpython_out_failed(&walk->out))
		write_object(walk, object, 0, 0);
}

static void write_type(const struct py_type_info *info, void *arg)
{
	struct walk *walk = arg;
	const struct py_type_info *opaque = cpython_type_info(info->opaque);

	if (opaque != NULL)
		cpython_out_type(&walk->out, &(struct snapshot_type){.type = info->name,
								     .base = opaque->name,
								     .traits = info->opaque_traits});
}

static void write_types(struct walk *walk)
{
	if (cpython_out_chunk(&walk->out, CASTAWAY_CHUNK_TYPES))
		cpython_type_for_each_met(write_type, walk);
}

static void write_names(struct walk *walk)
{
	const struct snapshot_name *names = (const struct snapshot_name *)(const void *)walk->names.bytes;

	if (!cpython_out_chunk(&walk->out, CASTAWAY_CHUNK_NAMES))
		return;
	for (size_t i = 0; i < walk->names.used / sizeof(*names); i++)
		cpython_out_name(&walk->out, &names[i]);
}

static void walk_all(struct walk *walk, struct py_gc *gc)
{
	for (unsigned i = 0; i < 3; i++)
		walk_generation(walk, &gc->generations[i].head, i);
	walk_generation(walk, &gc->permanent.head, PERMANENT_GENERATION);
	write_cells(walk);
	cpython_hidden_for_each(write_untracked, walk);
	write_types(walk);
	write_names(walk);
	write_runtime(walk, gc);
	cpython_out_limit(&walk->out, CASTAWAY_LIMIT_RECYCLED_SITES, walk->recycled, NULL);
	count_subinterpreters(walk);
}

/* What a walk needs to know of names and types; false without memory. */
static bool begin(struct walk *walk)
{
	return cpython_type_begin() && cpython_label_begin() &&
	       cpython_hidden_begin(walk->out.view != NULL) && more_edges(walk);
}

static void end(struct walk *walk)
{
	list_end(&walk->cells);
	list_end(&walk->names);
	cpython_hidden_end();
	cpython_label_end();
	cpython_type_end();
	if (walk->edges != NULL)
		arena_unmap(walk->edges, walk->edge_capacity * sizeof(*walk->edges));
}

/* ---- in the child ------------------------------------------------------------- */

/* tp_traverse may look at thread-local storage: the requester's. */
static bool walk_as(uintptr_t thread_pointer, struct walk *walk, struct py_gc *gc)
{
	const uintptr_t own = arch_thread_pointer();

	if (thread_pointer != 0)
		arch_set_thread_pointer(thread_pointer);
	walk_all(walk, gc);
	arch_set_thread_pointer(own);
	return !cpython_out_failed(&walk->out);
}

bool cpython_snapshot_describe(struct snapshot_view *view, struct py_gc *gc)
{
	struct walk walk = {.out = {.view = view}};
	bool whole;

	if (!payload_begin(&walk.out.payload, view->snapshot, CASTAWAY_CHUNK_OBJECTS))
		return false;
	whole = begin(&walk) && walk_as(view->requester_tls, &walk, gc);
	return payload_end(&walk.out.payload) && whole;
}

/* ---- in the requester ------------------------------------------------------------ */

static void write_here(struct walk *walk, struct py_gc *gc)
{
	if (!begin(walk))
		walk->out.failure = "cpython: no memory for a snapshot";
	else
		walk_all(walk, gc);
	/* Without its end a snapshot is incomplete, and not used. */
	if (walk->out.failure == NULL)
		snapshot_end(&walk->out.snapshot);
	else
		limits_count(CASTAWAY_LIMIT_NO_SNAPSHOT, 1, walk->out.failure);
	end(walk);
}

struct py_gc *cpython_snapshot_gc(void)
{
	struct py_gc *gc = cpython_gc_find();

	/* Objects under examination are on lists that only the collector knows. */
	if (gc == NULL)
		limits_count(CASTAWAY_LIMIT_ADAPTER_OFF, 1, "cpython: the collector's lists were not found");
	else if (gc->collecting != 0)
		limits_count(CASTAWAY_LIMIT_NO_SNAPSHOT, 1, "cpython: the moment came during a collection");
	return gc == NULL || gc->collecting != 0 ? NULL : gc;
}

void cpython_snapshot_take(void)
{
	struct walk walk = {.out = {.view = NULL}};
	struct py_gc *gc = cpython_snapshot_gc();

	if (gc == NULL)
		return;
	snapshot_begin(&walk.out.snapshot, CASTAWAY_REASON_EXIT, CASTAWAY_METHOD_INPLACE, "");
	cpython_lock_describe_next(gc);
	if (!snapshot_hand_over(&walk.out.snapshot,
				g_config.scan && (g_config.scan_python || adapter_needs_scan())))
		write_here(&walk, gc);
	cpython_lock_describe_next(NULL);
}
