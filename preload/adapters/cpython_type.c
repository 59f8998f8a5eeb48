/* SPDX-License-Identifier: Apache-2.0
 *
 * What a snapshot needs to know of each type: its full name, and where its
 * instances keep named pointers.  Found once per type and snapshot, in a hash
 * table of mapped pages.  Runs with the interpreter's lock held; the only calls
 * into the interpreter are ones that allocate nothing.
 */
#include "cpython.h"

#include <string.h>

#include "../arena.h"
#include "../emit.h"

#define TYPES_MAX     (1u << 17)
#define INDEX_FIRST   (1u << 12) /* at least twice as many places as there are types */
#define SLOTS_MAX     (1u << 20)
#define NAME_MAX_SIZE 512u
#define MET_MAX       4096u

/* Named pointers that no member table of a type tells.  X(type, offset, name) */
#define EXTRA_SLOTS(X)                      \
	X(PyCell_Type, 16, "cell_contents") \
	X(PyFrame_Type, 16, "f_back")       \
	X(PyTraceBack_Type, 16, "tb_next")  \
	X(PyCFunction_Type, 24, "__self__") \
	X(PyCFunction_Type, 32, "__module__")

/* The same in 3.10 and later. */
#define FUNCTION_SLOTS(X)                        \
	X(PyFunction_Type, 32, "__name__")       \
	X(PyFunction_Type, 40, "__qualname__")   \
	X(PyFunction_Type, 48, "__code__")       \
	X(PyFunction_Type, 56, "__defaults__")   \
	X(PyFunction_Type, 64, "__kwdefaults__") \
	X(PyFunction_Type, 112, "__annotations__")

/* The same for all types with a flag.  X(flag, offset, name) */
#define FAMILY_SLOTS(X)                                                                \
	X(PY_TYPE_BASE_EXCEPTION, 24, "args")                                          \
	X(PY_TYPE_BASE_EXCEPTION, g_py_layout->exception_traceback, "__traceback__")   \
	X(PY_TYPE_BASE_EXCEPTION, g_py_layout->exception_traceback + 8, "__context__") \
	X(PY_TYPE_BASE_EXCEPTION, g_py_layout->exception_traceback + 16, "__cause__")  \
	X(PY_TYPE_TYPE, 256, "__base__")                                               \
	X(PY_TYPE_TYPE, 336, "__bases__")                                              \
	X(PY_TYPE_TYPE, 344, "__mro__")

static struct py_type_info *s_types; /* in the order in which they were met */
static uint32_t *s_index;            /* open addressing by address: number of the type, from 1 */
static uint32_t s_index_size;
static struct py_slot *s_slots;
static uint32_t s_type_count, s_slot_count;
static const struct py_type_info *s_met[MET_MAX];
static uint32_t s_met_count;

/* Few pages for few types: a child pays for each page that it touches. */
bool cpython_type_begin(void)
{
	s_types = arena_map(TYPES_MAX * sizeof(*s_types));
	s_slots = arena_map(SLOTS_MAX * sizeof(*s_slots));
	s_index_size = INDEX_FIRST;
	s_index = arena_map(s_index_size * sizeof(*s_index));
	s_type_count = s_slot_count = s_met_count = 0;
	return s_types != NULL && s_slots != NULL && s_index != NULL;
}

void cpython_type_end(void)
{
	if (s_types != NULL)
		arena_unmap(s_types, TYPES_MAX * sizeof(*s_types));
	if (s_slots != NULL)
		arena_unmap(s_slots, SLOTS_MAX * sizeof(*s_slots));
	if (s_index != NULL)
		arena_unmap(s_index, s_index_size * sizeof(*s_index));
	s_types = NULL;
	s_slots = NULL;
	s_index = NULL;
}

static void add_slot(struct py_type_info *info, intptr_t offset, const char *name)
{
	size_t length = strnlen(name, NAME_MAX_SIZE);

	if (s_slot_count == SLOTS_MAX || length == NAME_MAX_SIZE)
		return;
	s_slots[s_slot_count].offset = (int32_t)offset;
	s_slots[s_slot_count].name = strings_intern(name, length);
	s_slot_count++;
	info->slot_count++;
}

/* __slots__, and what types written in C declare as members. */
static void add_members(struct py_type_info *info)
{
	for (const struct py_type *type = info->type; type != NULL; type = type->base) {
		const struct py_member *member = type->members;

		for (; member != NULL && member->name != NULL; member++) {
			bool object = member->type == PY_MEMBER_OBJECT || member->type == PY_MEMBER_OBJECT_EX;

			if (object && member->offset >= 16 && member->offset < info->type->basicsize)
				add_slot(info, member->offset, member->name);
		}
	}
}

static void add_slots(struct py_type_info *info)
{
	const struct py_type *type = info->type;

	info->slots = s_slots + s_slot_count;
	add_members(info);
#define X(owner, offset, name)        \
	if (info->type == g_py.owner) \
		add_slot(info, offset, name);
	EXTRA_SLOTS(X)
	if (g_py_layout->minor >= 10) {
		FUNCTION_SLOTS(X)
	}
#undef X
#define X(flag, offset, name)     \
	if (type->flags & (flag)) \
		add_slot(info, offset, name);
	FAMILY_SLOTS(X)
#undef X
	if (type->flags & PY_TYPE_MANAGED_DICT)
		add_slot(info, -PY_MANAGED_DICT_BEFORE, "__dict__");
	else if (type->dictoffset > 0)
		add_slot(info, type->dictoffset, "__dict__");
	if (type->flags & PY_TYPE_HEAP)
		add_slot(info, offsetof(struct py_object, type), "__class__");
}

/* type.__dict__["__module__"], when that is a str. */
static size_t module_name(const struct py_type *type, char *out, size_t size)
{
	struct py_object *key, *value;
	intptr_t position = 0;
	char text[16];

	if (type->dict == NULL || !(type->dict->type->flags & PY_TYPE_DICT))
		return 0;
	while (g_py.PyDict_Next(type->dict, &position, &key, &value)) {
		if (cpython_text_utf8(key, text, sizeof(text)) == 10 && memcmp(text, "__module__", 10) == 0)
			return cpython_text_utf8(value, out, size);
	}
	return 0;
}

/* As a static type's tp_name is written: builtins without their module. */
static uint32_t heap_type_name(const struct py_type *type, const struct py_object *qualname)
{
	char name[2 * NAME_MAX_SIZE];
	size_t length = module_name(type, name, NAME_MAX_SIZE), rest;

	if (length == 8 && memcmp(name, "builtins", 8) == 0)
		length = 0;
	if (length > 0)
		name[length++] = '.';
	rest = cpython_text_utf8(qualname, name + length, NAME_MAX_SIZE);
	return rest > 0 ? strings_intern(name, length + rest) : 0;
}

/* A new reference; NULL: none.  Older versions have no function that gives it. */
static struct py_object *qualname_of(const struct py_type *type)
{
	struct py_object *name;

	if (!(type->flags & PY_TYPE_HEAP))
		return NULL;
	if (g_py.PyType_GetQualName != NULL)
		return g_py.PyType_GetQualName((struct py_type *)type);
	name = (struct py_object *)py_word(type, g_py_layout->type_qualname);
	if (name == NULL || name->type != g_py.PyUnicode_Type)
		return NULL;
	g_py.Py_IncRef(name);
	return name;
}

static void name_type(struct py_type_info *info)
{
	const struct py_type *type = info->type;
	struct py_object *qualname = qualname_of(type);

	if (qualname != NULL) {
		info->name = heap_type_name(type, qualname);
		/* The same way to the name's neighbour, the keys of the instances. */
		info->has_values = (type->flags & PY_TYPE_MANAGED_DICT) &&
				   py_word(type, g_py_layout->type_qualname) == (uintptr_t)qualname;
		g_py.Py_DecRef(qualname);
	}
	if (info->name == 0)
		info->name = strings_intern(type->name, strnlen(type->name, NAME_MAX_SIZE));
}

static void describe(struct py_type_info *info, const struct py_type *type)
{
	info->type = type;
	info->block_offset = type->flags & PY_TYPE_HAVE_GC ? sizeof(struct py_gc_head) : 0;
	if (type->flags & g_py_layout->preheader_flags)
		info->block_offset += 2 * (uint32_t)sizeof(void *);
	/* Parked objects of these types are handed out again unseen by the allocator. */
	info->may_recycle = !cpython_exact_is_on() && (type == g_py.PyList_Type || type == g_py.PyDict_Type ||
						       type == g_py.PyTuple_Type);
	info->recycled_size = type == g_py.PyTuple_Type ? 20 : UINT32_MAX;
	name_type(info);
	add_slots(info);
	cpython_hidden_type(info);
}

/* Where the type's number is, or belongs. */
static uint32_t *place(uint32_t *index, uint32_t size, const struct py_type *type)
{
	uint64_t hash = ((uintptr_t)type >> 4) * UINT64_C(0x9e3779b97f4a7c15);
	uint32_t at = (uint32_t)(hash >> 32) & (size - 1);

	while (index[at] != 0 && s_types[index[at] - 1].type != type)
		at = (at + 1) & (size - 1);
	return &index[at];
}

static bool grow_index(void)
{
	const uint32_t size = 2 * s_index_size;
	uint32_t *index = arena_map(size * sizeof(*index));

	if (index == NULL)
		return false;
	for (uint32_t i = 0; i < s_type_count; i++)
		*place(index, size, s_types[i].type) = i + 1;
	arena_unmap(s_index, s_index_size * sizeof(*s_index));
	s_index = index;
	s_index_size = size;
	return true;
}

struct py_type_info *cpython_type_known(const struct py_type *type)
{
	uint32_t number = *place(s_index, s_index_size, type);

	return number != 0 ? &s_types[number - 1] : NULL;
}

struct py_type_info *cpython_type_info(const struct py_type *type)
{
	struct py_type_info *info = cpython_type_known(type);

	if (info != NULL)
		return info;
	if (s_type_count == TYPES_MAX || (2 * s_type_count >= s_index_size && !grow_index()))
		return NULL;
	info = &s_types[s_type_count++];
	*place(s_index, s_index_size, type) = s_type_count;
	describe(info, type);
	return info;
}

void cpython_type_meet(struct py_type_info *info)
{
	if (info->opaque == NULL || info->opaque_met || s_met_count == MET_MAX)
		return;
	info->opaque_met = true;
	s_met[s_met_count++] = info;
}

void cpython_type_for_each_met(void (*visit)(const struct py_type_info *info, void *arg), void *arg)
{
	for (uint32_t i = 0; i < s_met_count; i++)
		visit(s_met[i], arg);
}
