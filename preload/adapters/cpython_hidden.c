/* SPDX-License-Identifier: Apache-2.0
 *
 * What extension modules hold behind the collector's back.  An instance of a
 * type that a module in C made, and whose tp_traverse is missing or tells less
 * than everything, keeps objects by pointers that only its memory shows; so
 * does an instance that is on no list, because its type has no
 * Py_TPFLAGS_HAVE_GC.  Only the memory of such instances is read, and a word
 * counts when it is the address of a living Python object; that it is a counted
 * reference is for the analyzer to judge.
 *
 * What leads to such an instance may be untracked as well: the collector takes
 * dicts and tuples without collectable contents off its lists.  They are looked
 * for only when there are such instances.
 *
 * Runs where cpython_snapshot.c runs; loads and tp_traverse only.
 */
#include "cpython.h"

#include <string.h>

#include "../arena.h"
#include "../maps.h"
#include "../shadow.h"
#include "address_set.h"

#define NOT_TYPES 4096u /* addresses that are known to be no type */
#define DEPTH_MAX 4u    /* of metatypes */
#define WAYS_MAX  16u   /* containers in containers */

static struct {
	struct maps maps;
	uintptr_t not_type[NOT_TYPES];
	struct address_set found;
	bool failed;
} s_hidden;

const uint32_t g_py_block_offsets[PY_BLOCK_OFFSETS] = {0, sizeof(struct py_gc_head),
						       sizeof(struct py_gc_head) + 2 * sizeof(void *)};

/* ---- what is a type, what is an object ------------------------------------------------ */

static bool is_block(uintptr_t address, uint64_t size)
{
	struct shadow_block block;

	return shadow_find(address, &block) && block.size >= size;
}

/* In a module's data: a mapping of its file, or the zeros behind it. */
static bool is_module_data(uintptr_t address, uint64_t size)
{
	const struct maps_entry *entry = maps_find(&s_hidden.maps, address);

	if (entry == NULL || !entry->readable || address + size > entry->end)
		return false;
	if (entry->kind == MAPS_ANONYMOUS && entry > s_hidden.maps.entries && entry[-1].end == entry->start)
		entry--;
	return entry->kind == MAPS_FILE;
}

static const struct py_type_info *type_at(uintptr_t address, unsigned depth)
{
	uintptr_t *not_type = &s_hidden.not_type[(address >> 4) % NOT_TYPES];
	const struct py_type_info *info;

	if ((address & 7) != 0 || address < 4096 || *not_type == address || depth == DEPTH_MAX)
		return NULL;
	info = cpython_type_known((const struct py_type *)address);
	if (info != NULL)
		return info;
	if (is_block(address - sizeof(struct py_gc_head),
		     sizeof(struct py_gc_head) + sizeof(struct py_type)) ||
	    is_module_data(address, sizeof(struct py_type))) {
		info = type_at(py_word((void *)address, offsetof(struct py_object, type)), depth + 1);
		if (info != NULL && (info->type->flags & PY_TYPE_TYPE))
			return cpython_type_info((const struct py_type *)address);
	}
	*not_type = address;
	return NULL;
}

/* Of a living object whose block begins `offset` before it. */
static const struct py_type_info *object_behind(uintptr_t block, uint64_t size, uint32_t offset)
{
	const struct py_object *object = (const struct py_object *)(block + offset);
	const struct py_type_info *info;

	if (size < offset + sizeof(*object) || object->refcount <= 0)
		return NULL;
	info = type_at((uintptr_t)object->type, 0);
	return info != NULL && info->block_offset == offset ? info : NULL;
}

static const struct py_type_info *object_at(uintptr_t address)
{
	struct shadow_block block;

	for (size_t i = 0; (address & 7) == 0 && address >= 4096 && i < PY_BLOCK_OFFSETS; i++) {
		if (shadow_find(address - g_py_block_offsets[i], &block) &&
		    block.runtime == CASTAWAY_RUNTIME_CPYTHON)
			return object_behind(block.address, block.size, g_py_block_offsets[i]);
	}
	return NULL;
}

static bool is_tracked(const struct py_type_info *info, const struct py_object *object)
{
	return (info->type->flags & PY_TYPE_HAVE_GC) && ((const struct py_gc_head *)object - 1)->next != 0;
}

/* ---- types that extension modules made ------------------------------------------------- */

/* Code or tables of a module that is not the interpreter. */
static bool is_foreign(const void *pointer)
{
	uintptr_t address = (uintptr_t)pointer;

	return address != 0 && (address < g_py.start || address >= g_py.end) && is_module_data(address, 1);
}

static bool is_made_in_c(const struct py_type *type)
{
	if (!(type->flags & PY_TYPE_HEAP))
		return is_foreign(type);
	/* Not what a class in Python inherits. */
	return is_foreign((const void *)(uintptr_t)type->dealloc) || is_foreign(type->methods) ||
	       is_foreign(type->getset);
}

/* What a base does for it, a type does not do for its own part. */
static bool lacks(const struct py_type *type, const void *function, const void *inherited)
{
	return function == NULL ||
	       (type->base != NULL && function == inherited && type->basicsize > type->base->basicsize);
}

static uint32_t traits_of(const struct py_type *type)
{
	const struct py_type *base = type->base;
	const bool collected = type->flags & PY_TYPE_HAVE_GC;
	uint32_t traits = 0;

	if (!collected || lacks(type, (const void *)(uintptr_t)type->traverse,
				base != NULL ? (const void *)(uintptr_t)base->traverse : NULL))
		traits |= CASTAWAY_TYPE_NO_TRAVERSE;
	if (!collected || lacks(type, (const void *)(uintptr_t)type->clear,
				base != NULL ? (const void *)(uintptr_t)base->clear : NULL))
		traits |= CASTAWAY_TYPE_NO_CLEAR;
	return traits;
}

void cpython_hidden_type(struct py_type_info *info)
{
	const struct py_type *type = info->type;

	if (g_py.start == 0)
		return;
	while (type != NULL && !is_made_in_c(type))
		type = (type->flags & PY_TYPE_HEAP) ? type->base : NULL;
	if (type == NULL || type->basicsize <= (intptr_t)sizeof(struct py_object) ||
	    (type->flags & PY_TYPE_TYPE))
		return;
	info->opaque = type;
	info->opaque_traits = traits_of(type);
}

/* ---- pointers in instances ------------------------------------------------------------- */

/* The end of the part that the type in C laid out. */
static intptr_t end_of_part(const struct py_type_info *info, const struct py_object *object)
{
	const struct py_type *opaque = info->opaque;
	intptr_t end = opaque->basicsize;
	struct shadow_block block;

	if (info->type == opaque && opaque->itemsize > 0 && opaque->itemsize % (intptr_t)sizeof(void *) == 0)
		end += py_size(object) * opaque->itemsize;
	if (!shadow_find((uintptr_t)object - info->block_offset, &block))
		return 0;
	return end < (intptr_t)(block.size - info->block_offset)
		       ? end
		       : (intptr_t)(block.size - info->block_offset);
}

/* An edge of tp_traverse explains one word. */
static bool is_visited(struct snapshot_edge *edges, size_t count, uintptr_t target, intptr_t offset)
{
	for (size_t i = 0; i < count; i++) {
		if (edges[i].target == target && edges[i].offset < 0) {
			edges[i].offset = offset;
			return true;
		}
	}
	return false;
}

static uint32_t member_name(const struct py_type_info *info, intptr_t offset)
{
	for (uint32_t i = 0; i < info->slot_count; i++) {
		if (info->slots[i].offset == offset)
			return info->slots[i].name;
	}
	return 0;
}

/* Strings and numbers are in no cycle. */
static bool may_hold(uintptr_t target)
{
	const struct py_type_info *info = object_at(target);

	return info != NULL && ((info->type->flags & PY_TYPE_HAVE_GC) || info->opaque != NULL);
}

size_t cpython_hidden_edges(const struct py_type_info *info, const struct py_object *object,
			    struct snapshot_edge *edges, size_t count, size_t room)
{
	const intptr_t end = end_of_part(info, object), word = sizeof(void *);
	const size_t visited = count;
	intptr_t at = info->type->flags & PY_TYPE_HEAP ? word : 2 * word;

	for (; at + word <= end && count < room; at += word) {
		const uintptr_t target = py_word(object, at);

		if (at == info->opaque->weaklistoffset || !may_hold(target) ||
		    is_visited(edges, visited, target, at))
			continue;
		edges[count++] = (struct snapshot_edge){
			.target = target,
			.field = member_name(info, at),
			.offset = at,
			.strength = CASTAWAY_UNKNOWN,
			.scanned = true,
			.held = cpython_held(target),
		};
	}
	return count;
}

/* ---- objects that are on no list ----------------------------------------------------------- */

static bool has_hidden(const struct py_type_info *info, const struct py_object *object)
{
	struct snapshot_edge edge;

	return cpython_hidden_edges(info, object, &edge, 0, 1) > 0;
}

static bool find_opaque(const struct shadow_block *block, void *arg)
{
	if (block->runtime != CASTAWAY_RUNTIME_CPYTHON)
		return true;
	for (size_t i = 0; i < PY_BLOCK_OFFSETS; i++) {
		const struct py_type_info *info =
			object_behind(block->address, block->size, g_py_block_offsets[i]);
		const struct py_object *object =
			(const struct py_object *)(block->address + g_py_block_offsets[i]);

		if (info == NULL)
			continue;
		if (info->opaque != NULL && !is_tracked(info, object) && has_hidden(info, object))
			s_hidden.failed |= !address_set_add(&s_hidden.found, (uintptr_t)object);
		break;
	}
	return !s_hidden.failed;
}

static int look_for_found(struct py_object *target, void *arg)
{
	*(bool *)arg |= address_set_has(&s_hidden.found, (uintptr_t)target);
	return 0;
}

/* Dicts and tuples only: what else is untracked may be under construction. */
static bool find_way(const struct shadow_block *block, void *arg)
{
	struct py_object *object = (struct py_object *)(block->address + sizeof(struct py_gc_head));
	bool leads = false;

	if (block->runtime != CASTAWAY_RUNTIME_CPYTHON ||
	    block->size < sizeof(struct py_gc_head) + sizeof(*object) ||
	    (object->type != g_py.PyDict_Type && object->type != g_py.PyTuple_Type) ||
	    object->refcount <= 0 || ((struct py_gc_head *)object - 1)->next != 0 ||
	    address_set_has(&s_hidden.found, (uintptr_t)object))
		return true;
	object->type->traverse(object, look_for_found, &leads);
	if (leads) {
		s_hidden.failed |= !address_set_add(&s_hidden.found, (uintptr_t)object);
		*(bool *)arg = true;
	}
	return !s_hidden.failed;
}

void cpython_hidden_for_each(void (*visit)(struct py_object *object, void *arg), void *arg)
{
	bool more;

	if (g_py.start == 0)
		return;
	shadow_for_each(find_opaque, NULL);
	more = s_hidden.found.count > 0;
	for (unsigned i = 0; more && i < WAYS_MAX; i++) {
		more = false;
		shadow_for_each(find_way, &more);
	}
	for (size_t i = 0; i < s_hidden.found.capacity; i++) {
		if (s_hidden.found.slots[i] != 0)
			visit((struct py_object *)s_hidden.found.slots[i], arg);
	}
}

bool cpython_hidden_begin(bool copied)
{
	memset(&s_hidden, 0, sizeof(s_hidden));
	if (!maps_read(&s_hidden.maps))
		return false;
	cpython_held_begin(&s_hidden.maps, copied);
	/* The type of all types: what every search for a type ends with. */
	return cpython_type_info(g_py.PyDict_Type->head.type) != NULL;
}

void cpython_hidden_end(void)
{
	cpython_held_end();
	address_set_clear(&s_hidden.found);
	if (s_hidden.maps.entries != NULL)
		arena_unmap(s_hidden.maps.entries, s_hidden.maps.capacity * sizeof(*s_hidden.maps.entries));
	memset(&s_hidden, 0, sizeof(s_hidden));
}
