/* SPDX-License-Identifier: Apache-2.0
 *
 * Names for the edges of a snapshot.  The edges are what tp_traverse visited;
 * here a visited pointer is looked for in the places of the object that have a
 * name (members, attribute values, dict entries, items, local variables).  A
 * place that holds something else than expected yields no name, and nothing
 * is read through a pointer that was not visited.
 */
#include "cpython.h"

#include <string.h>

#include "../arena.h"
#include "../emit.h"

#define LOOKAHEAD     64u   /* edges between two that belong together */
#define INDEX_NAMES   1000u /* items with an index of their own */
#define KEY_CACHE     8192u
#define SHARED_KEYS   30 /* the interpreter's own bound */
#define KEYS_SPLIT    2
#define KEYS_KIND     10
#define KEYS_LOG_SIZE 9
#define KEYS_ENTRIES  24
#define KEYS_INDICES  32

/* A key's text is read once per snapshot and use. */
struct cached_key {
	const struct py_object *key;
	uint32_t name;
	const char *before; /* which use it was */
};
static struct cached_key *s_keys;
static uint32_t s_index_names[INDEX_NAMES];

/* Which variable a cell is; of two in one place the last one learnt. */
#define CELLS (1u << 14)
struct cell_name {
	uintptr_t cell, name; /* the name is a str */
};
static struct cell_name *s_cells;

struct matcher {
	struct snapshot_edge *edges;
	size_t count, next;
};

bool cpython_label_begin(void)
{
	s_keys = arena_map_used(KEY_CACHE * sizeof(*s_keys));
	s_cells = arena_map(CELLS * sizeof(*s_cells));
	return s_keys != NULL && s_cells != NULL;
}

void cpython_label_end(void)
{
	if (s_keys != NULL)
		arena_unmap(s_keys, KEY_CACHE * sizeof(*s_keys));
	if (s_cells != NULL)
		arena_unmap(s_cells, CELLS * sizeof(*s_cells));
	s_keys = NULL;
	s_cells = NULL;
}

static uint32_t key_name(const struct py_object *key, const char *before, const char *after)
{
	struct cached_key *entry =
		&s_keys[(((uintptr_t)key >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 32) % KEY_CACHE];

	if (entry->key != key || entry->before != before) {
		entry->name = cpython_text_identifier(key, before, after);
		entry->key = key;
		entry->before = before;
	}
	return entry->name;
}

static uint32_t attribute_name(const struct py_object *key)
{
	return key_name(key, "", "");
}

/* "[i]" */
static uint32_t index_name(size_t index)
{
	char text[8] = "[", digits[4];
	size_t length = 1, count = 0;

	if (index >= INDEX_NAMES)
		return 0;
	if (s_index_names[index] != 0)
		return s_index_names[index];
	for (size_t rest = index; count == 0 || rest > 0; rest /= 10)
		digits[count++] = (char)('0' + rest % 10);
	while (count > 0)
		text[length++] = digits[--count];
	text[length++] = ']';
	s_index_names[index] = strings_intern(text, length);
	return s_index_names[index];
}

/* Names the next edge to this target that has no name; later searches go on
 * behind it, because places are visited in a fixed order. */
static bool match(struct matcher *matcher, uintptr_t target, uint32_t name)
{
	size_t end = matcher->next + LOOKAHEAD < matcher->count ? matcher->next + LOOKAHEAD : matcher->count;

	for (size_t i = matcher->next; target != 0 && i < end; i++) {
		if (matcher->edges[i].target == target && matcher->edges[i].field == 0) {
			matcher->edges[i].field = name;
			matcher->next = i + 1;
			return true;
		}
	}
	return false;
}

static bool visited(const struct matcher *matcher, uintptr_t target)
{
	size_t end = matcher->count < LOOKAHEAD ? matcher->count : LOOKAHEAD;

	for (size_t i = 0; i < end; i++) {
		if (matcher->edges[i].target == target)
			return true;
	}
	return false;
}

static void label_slots(struct matcher *matcher, const struct py_type_info *info,
			const struct py_object *object)
{
	for (uint32_t i = 0; i < info->slot_count; i++) {
		matcher->next = 0;
		match(matcher, py_word(object, info->slots[i].offset), info->slots[i].name);
	}
	matcher->next = 0;
}

static void label_dict(struct matcher *matcher, struct py_object *dict)
{
	struct py_object *key, *value;
	intptr_t position = 0;

	while (matcher->next < matcher->count && g_py.PyDict_Next(dict, &position, &key, &value))
		match(matcher, (uintptr_t)value, key_name(key, "['", "']"));
}

/* Items are visited from the last to the first. */
static void label_items(struct matcher *matcher, const uintptr_t *items, size_t count)
{
	while (count-- > 0 && matcher->next < matcher->count)
		match(matcher, items[count], index_name(count));
}

/* The array of attribute values of an instance that has no dict yet. */
static const uintptr_t *inline_values(const struct py_type_info *info, const struct py_object *object)
{
	uintptr_t values = 0;

	switch ((enum py_values_place)g_py_layout->values_place) {
	case PY_VALUES_BEFORE:
		values = py_word(object, -PY_MANAGED_VALUES_BEFORE);
		break;
	case PY_VALUES_TAGGED_DICT:
		values = py_word(object, -PY_MANAGED_DICT_BEFORE);
		values = values & 1 ? values + 1 : 0;
		break;
	case PY_VALUES_AFTER:
		if (info->type->flags & PY_TYPE_INLINE_VALUES)
			values = (uintptr_t)object + (uintptr_t)info->type->basicsize;
		break;
	}
	return values != 0 ? (const uintptr_t *)(values + g_py_layout->values_first) : NULL;
}

static void label_values(struct matcher *matcher, const struct py_type_info *info,
			 const struct py_object *object)
{
	const uintptr_t *values = inline_values(info, object);
	const uint8_t *keys = (const uint8_t *)py_word(info->type, g_py_layout->type_cached_keys);
	const struct py_object *const *entries;
	intptr_t count;

	if (values == NULL || keys == NULL || keys[KEYS_KIND] != KEYS_SPLIT || keys[KEYS_LOG_SIZE] > 8)
		return;
	count = (intptr_t)py_word(keys, KEYS_ENTRIES);
	if (count < 0 || count > SHARED_KEYS)
		return;
	entries = (const void *)(keys + KEYS_INDICES + (1u << keys[KEYS_LOG_SIZE]));
	/* An entry is a key and a value, which split tables leave empty. */
	for (intptr_t i = 0; i < count; i++) {
		if (entries[2 * i] != NULL)
			match(matcher, values[i], attribute_name(entries[2 * i]));
	}
}

/* Local variables, by the names in the code object.  That the code was visited
 * proves that the frame is alive and laid out as expected. */
static void label_locals(struct matcher *matcher, uintptr_t frame)
{
	uintptr_t code = py_word((void *)frame, g_py_layout->frame_code);
	const uintptr_t *locals = (const uintptr_t *)(frame + g_py_layout->frame_locals);
	const struct py_object *names;
	int count;

	if (!visited(matcher, code) || ((struct py_object *)code)->type != g_py.PyCode_Type)
		return;
	names = (const struct py_object *)py_word((void *)code, PY_CODE_LOCALS_NAMES);
	count = *(const int *)(code + g_py_layout->code_locals_count);
	if (names == NULL || names->type != g_py.PyTuple_Type || py_size(names) != count)
		return;
	for (int i = 0; i < count; i++) {
		uintptr_t name = py_word(names, PY_TUPLE_ITEMS + (intptr_t)sizeof(void *) * i);

		match(matcher, locals[i], attribute_name((const struct py_object *)name));
	}
}

/* ---- closures ------------------------------------------------------------------- */

/* The names of a code object's captured variables stand at the end of the names
 * of all its variables, in the order of the cells. */
void cpython_label_learn(const struct py_object *function)
{
	const struct py_object *code =
		(const struct py_object *)py_word(function, g_py_layout->function_code);
	const struct py_object *cells =
		(const struct py_object *)py_word(function, g_py_layout->function_closure);
	const struct py_object *names;
	intptr_t count, first;

	if (cells == NULL || cells->type != g_py.PyTuple_Type || code == NULL ||
	    code->type != g_py.PyCode_Type)
		return;
	names = (const struct py_object *)py_word(code, g_py_layout->code_free_names != 0
								? g_py_layout->code_free_names
								: PY_CODE_LOCALS_NAMES);
	if (names == NULL || names->type != g_py.PyTuple_Type)
		return;
	count = py_size(cells);
	first = py_size(names) - count;
	for (intptr_t i = 0; first >= 0 && i < count; i++) {
		const intptr_t item = PY_TUPLE_ITEMS + (intptr_t)sizeof(void *) * i;
		const uintptr_t cell = py_word(cells, item);
		struct cell_name *entry =
			&s_cells[(cell >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (CELLS - 1)];

		*entry = (struct cell_name){cell, py_word(names, item + first * (intptr_t)sizeof(void *))};
	}
}

static void label_cell(struct matcher *matcher, const struct py_object *cell)
{
	const struct cell_name *entry =
		&s_cells[((uintptr_t)cell >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (CELLS - 1)];
	uint32_t name = 0;

	if (entry->cell == (uintptr_t)cell)
		name = key_name((const struct py_object *)entry->name, "<closure '", "'>");
	if (name != 0)
		match(matcher, py_word(cell, PY_CELL_CONTENTS), name);
}

static void label_frame(struct matcher *matcher, const struct py_object *object)
{
	const struct py_type *type = object->type;

	if (g_py_layout->frames_unknown)
		return;
	if (type == g_py.PyFrame_Type) {
		uintptr_t own = (uintptr_t)object + g_py_layout->frame_object_data;

		/* A frame that still runs belongs to its thread, not to the object. */
		if (py_word(object, PY_FRAME_OBJECT_FRAME) == own)
			label_locals(matcher, own);
	} else if (type == g_py.PyGen_Type || type == g_py.PyCoro_Type || type == g_py.PyAsyncGen_Type) {
		label_locals(matcher, (uintptr_t)object + g_py_layout->generator_frame);
	}
}

void cpython_label_edges(const struct py_type_info *info, struct py_object *object,
			 struct snapshot_edge *edges, size_t count)
{
	struct matcher matcher = {edges, count, 0};
	unsigned long flags = info->type->flags;

	if (count == 0)
		return;
	if (info->type == g_py.PyCell_Type)
		label_cell(&matcher, object);
	label_slots(&matcher, info, object);
	if (flags & PY_TYPE_DICT)
		label_dict(&matcher, object);
	else if (flags & PY_TYPE_LIST)
		label_items(&matcher, (const uintptr_t *)py_word(object, PY_LIST_ITEMS),
			    (size_t)py_size(object));
	else if (flags & PY_TYPE_TUPLE)
		label_items(&matcher, (const uintptr_t *)((uintptr_t)object + PY_TUPLE_ITEMS),
			    (size_t)py_size(object));
	else
		label_frame(&matcher, object);
	if (info->has_values) {
		matcher.next = 0;
		label_values(&matcher, info, object);
	}
}
