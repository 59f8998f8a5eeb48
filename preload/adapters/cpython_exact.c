/* SPDX-License-Identifier: Apache-2.0
 *
 * On request, lists, tuples and dicts go back to the allocator when they end,
 * not to the interpreter's free lists: then every one of them has a birth that
 * the allocator hook sees.  The types' tp_dealloc is wrapped: when the original
 * has parked the object, the interpreter's own constructor takes it out again,
 * and it is freed.  Runs with the interpreter's lock held.
 *
 * The interpreter guards nested structures against deep recursion only where
 * tp_dealloc is its own, so this brings a guard of its own: below a certain
 * depth objects are put aside, linked through the header that the collector
 * does not use for them any more, and ended when the depth is back to nothing.
 */
#include "cpython.h"

#include "../config.h"
#include "../emit.h"
#include "../managed.h"

#define DEPTH_MAX  40
#define TUPLE_MAX  20   /* longer ones are not parked */
#define PARKED_MAX 2000 /* of one kind, in any version */

typedef void (*dealloc)(struct py_object *object);

/* X(type, lower-case name, how one is made, with `size`) */
#define PARKED_TYPES(X)                                \
	X(PyList_Type, list, g_py.PyList_New(0))       \
	X(PyTuple_Type, tuple, g_py.PyTuple_New(size)) \
	X(PyDict_Type, dict, g_py.PyDict_New())

struct kind {
	struct py_type *type;
	dealloc original;
	struct py_object *(*make)(intptr_t size);
};

#define X(type, name, expression)                           \
	static struct py_object *make_##name(intptr_t size) \
	{                                                   \
		return expression;                          \
	}
PARKED_TYPES(X)
#undef X

enum {
#define X(type, name, expression) KIND_##name,
	PARKED_TYPES(X)
#undef X
		KIND_COUNT
};

static struct kind s_kinds[KIND_COUNT];
static __thread unsigned t_depth GUARD_TLS;
static __thread struct py_gc_head *t_aside GUARD_TLS; /* linked by `prev` */

static struct py_gc_head *head_of(struct py_object *object)
{
	return (struct py_gc_head *)object - 1;
}

static void free_new(struct py_object *object)
{
	g_py.PyObject_GC_UnTrack(object);
	object->refcount = 0;
	g_py.PyObject_GC_Del(object);
}

/* What the constructor gives is ours whatever it is: freeing it is right even
 * when it is another object than the one that has just ended. */
static void end_object(const struct kind *kind, struct py_object *object)
{
	struct managed_block block;
	uintptr_t address = (uintptr_t)head_of(object);
	intptr_t size = kind->type == g_py.PyTuple_Type ? py_size(object) : 0;
	struct py_object *parked;

	kind->original(object);
	if (size > TUPLE_MAX || (size == 0 && kind->type == g_py.PyTuple_Type))
		return;
	if (!managed_find(address, &block))
		return;
	parked = kind->make(size);
	if (parked != NULL)
		free_new(parked);
}

static const struct kind *kind_of(const struct py_object *object)
{
	unsigned i = 0;

	while (i < KIND_COUNT && object->type != s_kinds[i].type)
		i++;
	return i < KIND_COUNT ? &s_kinds[i] : NULL;
}

static void end_those_aside(void)
{
	while (t_aside != NULL) {
		struct py_gc_head *head = t_aside;
		struct py_object *object = (struct py_object *)(head + 1);

		t_aside = (struct py_gc_head *)head->prev;
		head->prev = 0;
		t_depth++;
		end_object(kind_of(object), object);
		t_depth--;
	}
}

static void end_guarded(const struct kind *kind, struct py_object *object)
{
	/* A subclass's instance is never parked, and has its own guard. */
	if (object->type != kind->type) {
		kind->original(object);
		return;
	}
	if (t_depth >= DEPTH_MAX) {
		g_py.PyObject_GC_UnTrack(object);
		head_of(object)->prev = (uintptr_t)t_aside;
		t_aside = head_of(object);
		return;
	}
	t_depth++;
	end_object(kind, object);
	t_depth--;
	if (t_depth == 0)
		end_those_aside();
}

#define X(type, name, expression)                            \
	static void dealloc_##name(struct py_object *object) \
	{                                                    \
		end_guarded(&s_kinds[KIND_##name], object);  \
	}
PARKED_TYPES(X)
#undef X

/* What was parked before is taken out by making as many as there can be. */
static void empty(const struct kind *kind, intptr_t size)
{
	struct py_object *made[PARKED_MAX];
	size_t count = 0;

	while (count < PARKED_MAX && (made[count] = kind->make(size)) != NULL)
		count++;
	while (count > 0)
		free_new(made[--count]);
}

/* Without collections in between, which so many new objects would start. */
static void empty_all(void)
{
	int enabled = g_py.PyGC_Disable();

	for (intptr_t size = 1; size <= TUPLE_MAX; size++)
		empty(&s_kinds[KIND_tuple], size);
	empty(&s_kinds[KIND_list], 0);
	empty(&s_kinds[KIND_dict], 0);
	if (enabled)
		g_py.PyGC_Enable();
}

static bool is_possible(void)
{
	/* Debug builds count all references, and check what is freed. */
	return g_py_layout->minor >= 11 && g_py.PyList_New != NULL && g_py.PyTuple_New != NULL &&
	       g_py.PyDict_New != NULL && g_py.PyGC_Disable != NULL && g_py.PyGC_Enable != NULL &&
	       g_py.PyObject_GC_UnTrack != NULL && g_py.PyObject_GC_Del != NULL && !g_py.is_debug_build;
}

bool cpython_exact_begin(void)
{
	if (s_kinds[0].type != NULL || !is_possible())
		return s_kinds[0].type != NULL;
#define X(owner, name, expression)                                                          \
	s_kinds[KIND_##name] = (struct kind){g_py.owner, g_py.owner->dealloc, make_##name}; \
	g_py.owner->dealloc = dealloc_##name;
	PARKED_TYPES(X)
#undef X
	empty_all();
	return true;
}

bool cpython_exact_is_on(void)
{
	return s_kinds[0].type != NULL;
}
