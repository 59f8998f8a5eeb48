/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts in the objects' own memory, and the annotated objects of a snapshot.
 * Runs under the guard; the snapshot in a fork child, whose only thread this is.
 */
#include <string.h>

#include "arena.h"
#include "emit.h"
#include "object.h"
#include "shadow.h"

#define LAYOUTS         1024u
#define BLOCK_LOOK_BACK 65536u /* bytes before an object in which its block may start */

static struct object_layout s_layouts[LAYOUTS];
static uint32_t s_layout_count;

void object_layout_add(const struct object_layout *layout)
{
	uint32_t index = __atomic_fetch_add(&s_layout_count, 1, __ATOMIC_RELAXED);
	struct object_layout *slot;

	if (index >= LAYOUTS) {
		__atomic_store_n(&s_layout_count, LAYOUTS, __ATOMIC_RELAXED);
		return;
	}
	slot = &s_layouts[index];
	slot->offset = layout->offset;
	slot->width = layout->width;
	slot->bias = layout->bias;
	/* Last: a reader skips a slot without a type. */
	__atomic_store_n(&slot->type, layout->type, __ATOMIC_RELEASE);
}

static const struct object_layout *layout_of(uint32_t type)
{
	uint32_t count = __atomic_load_n(&s_layout_count, __ATOMIC_RELAXED);

	for (uint32_t i = count < LAYOUTS ? count : LAYOUTS; i-- > 0;)
		if (type && __atomic_load_n(&s_layouts[i].type, __ATOMIC_ACQUIRE) == type)
			return &s_layouts[i];
	return NULL;
}

bool object_memory_count(const struct object_view *object, int64_t *ret)
{
	const struct object_layout *layout = layout_of(object->type);
	const void *where;
	union {
		int8_t i8;
		int16_t i16;
		int32_t i32;
		int64_t i64;
	} value;

	if (!layout || layout->width > object->size || layout->offset > object->size - layout->width)
		return false;
	where = (const void *)(object->address + layout->offset);
	memcpy(&value, where, layout->width <= sizeof(value) ? layout->width : 0);
	switch (layout->width) {
	case 1:
		*ret = value.i8 + layout->bias;
		return true;
	case 2:
		*ret = value.i16 + layout->bias;
		return true;
	case 4:
		*ret = value.i32 + layout->bias;
		return true;
	case 8:
		*ret = value.i64 + layout->bias;
		return true;
	default:
		return false;
	}
}

/* How far into its block an object is; 0 when its block is not found. */
static uint64_t block_offset(uintptr_t address)
{
	uintptr_t start = address & ~(uintptr_t)7;
	struct shadow_block block;

	for (; start && address - start < BLOCK_LOOK_BACK; start -= 8)
		if (shadow_find(start, &block))
			return address < start + block.size ? address - start : 0;
	return 0;
}

struct edges {
	struct snapshot_edge *array;
	size_t room;
};

static bool edges_reserve(struct edges *edges, size_t count)
{
	if (count <= edges->room)
		return true;
	if (edges->room)
		arena_unmap(edges->array, edges->room * sizeof(*edges->array));
	edges->array = arena_map(count * 2 * sizeof(*edges->array));
	edges->room = edges->array ? count * 2 : 0;
	return edges->array != NULL;
}

static size_t edges_fill(struct edges *edges, const struct object_view *object)
{
	struct object_link links[64];
	size_t count = 0, got;

	if (!edges_reserve(edges, object->links))
		return 0;
	while (count < object->links) {
		size_t want = object->links - count;

		got = object_links(object->address, count, links, want < 64 ? want : 64);
		if (!got)
			break;
		for (size_t i = 0; i < got; i++)
			edges->array[count++] = (struct snapshot_edge){
				.target = links[i].target,
				.field = links[i].field,
				.stack = links[i].stack,
				.offset = -1,
				.strength = links[i].weak ? CASTAWAY_WEAK : CASTAWAY_STRONG,
			};
	}
	return count;
}

void object_write_snapshot(struct snapshot *snapshot)
{
	struct edges edges = {NULL, 0};
	struct object_view view;

	for (uintptr_t at = 0; object_next(at, &view); at = view.address + 1) {
		unsigned generation = generation_of_object(&view.stamp);
		struct snapshot_object object = {
			.address = view.address,
			.size = view.size,
			.block_offset = block_offset(view.address),
			.refcount = view.count,
			.type = view.type,
			.generation = generation,
			.flags = CASTAWAY_OBJECT_TRACKED |
				 (generation == GENERATION_PERMANENT ? CASTAWAY_OBJECT_PERMANENT : 0),
			.birth_pass = view.stamp.pass,
			.stack = view.stack,
			.runtime = CASTAWAY_RUNTIME_NATIVE,
		};
		size_t count = edges_fill(&edges, &view);

		snapshot_object(snapshot, &object, edges.array, count);
	}
	if (edges.room)
		arena_unmap(edges.array, edges.room * sizeof(*edges.array));
}
