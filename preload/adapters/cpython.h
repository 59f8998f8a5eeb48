/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the CPython adapter share.  The adapter is compiled without
 * Python.h and linked to no libpython: functions come from dlsym(), the layout
 * of public structures is fixed by CPython's non-limited ABI, and everything
 * else is an offset per minor version (cpython_layout.c) that is checked on a
 * living example before it is used.
 */
#ifndef CPYTHON_H
#define CPYTHON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../snapshot.h"
#include "../snapshot_scan.h"
#include "../stack.h"
#include "../thread.h"

struct py_type;
struct py_code;
struct request;

struct py_object {
	int64_t refcount;
	struct py_type *type;
};

typedef int (*py_visit)(struct py_object *target, void *arg);

/* PyMemberDef */
struct py_member {
	const char *name;
	int type;
	intptr_t offset;
	int flags;
	const char *doc;
};
#define PY_MEMBER_OBJECT    6
#define PY_MEMBER_OBJECT_EX 16

/* PyTypeObject: the same from 3.9 to 3.13. */
struct py_type {
	struct py_object head;
	intptr_t size;
	const char *name;
	intptr_t basicsize, itemsize;
	void (*dealloc)(struct py_object *self);
	void *slots_a[14];
	unsigned long flags;
	const char *doc;
	int (*traverse)(struct py_object *self, py_visit visit, void *arg);
	int (*clear)(struct py_object *self);
	void *richcompare;
	intptr_t weaklistoffset;
	void *slots_b[2];
	const void *methods;
	const struct py_member *members;
	const void *getset;
	struct py_type *base;
	struct py_object *dict;
	void *descr_get, *descr_set;
	intptr_t dictoffset;
	void *slots_c[5];
	struct py_object *bases, *mro;
};
_Static_assert(offsetof(struct py_type, dealloc) == 48, "tp_dealloc");
_Static_assert(offsetof(struct py_type, flags) == 168, "tp_flags");
_Static_assert(offsetof(struct py_type, traverse) == 184, "tp_traverse");
_Static_assert(offsetof(struct py_type, weaklistoffset) == 208, "tp_weaklistoffset");
_Static_assert(offsetof(struct py_type, members) == 240, "tp_members");
_Static_assert(offsetof(struct py_type, dictoffset) == 288, "tp_dictoffset");
_Static_assert(offsetof(struct py_type, bases) == 336, "tp_bases");

#define PY_TYPE_HEAP           (1ul << 9)
#define PY_TYPE_HAVE_GC        (1ul << 14)
#define PY_TYPE_LIST           (1ul << 25)
#define PY_TYPE_TUPLE          (1ul << 26)
#define PY_TYPE_DICT           (1ul << 29)
#define PY_TYPE_BASE_EXCEPTION (1ul << 30)
#define PY_TYPE_TYPE           (1ul << 31)
#define PY_TYPE_MANAGED_DICT   (1ul << 4)
#define PY_TYPE_INLINE_VALUES  (1ul << 2) /* 3.13 */

/* PyMemAllocatorEx */
struct py_allocator {
	void *context;
	void *(*malloc)(void *context, size_t size);
	void *(*calloc)(void *context, size_t count, size_t size);
	void *(*realloc)(void *context, void *block, size_t size);
	void (*free)(void *context, void *block);
};
#define PY_DOMAIN_OBJECT 2

/* PyStatus, returned in memory: only its size is of interest. */
struct py_status {
	int type;
	const char *function, *message;
	int exit_code;
};

/* Without one of these there is no adapter.  X(result, name, parameters) */
#define CPYTHON_REQUIRED(X)                                                                               \
	X(void, PyMem_GetAllocator, (int, struct py_allocator *))                                         \
	X(void, PyMem_SetAllocator, (int, struct py_allocator *))                                         \
	X(const char *, Py_GetVersion, (void))                                                            \
	X(int, Py_IsInitialized, (void))                                                                  \
	X(int, Py_AddPendingCall, (int (*)(void *), void *))                                              \
	X(struct py_object *, PyImport_ImportModule, (const char *))                                      \
	X(struct py_object *, PyCFunction_NewEx, (const void *, void *, void *))                          \
	X(struct py_object *, PyObject_CallMethod, (struct py_object *, const char *, const char *, ...)) \
	X(void, Py_IncRef, (struct py_object *))                                                          \
	X(void, Py_DecRef, (struct py_object *))                                                          \
	X(void, PyErr_Fetch, (struct py_object **, struct py_object **, struct py_object **))             \
	X(void, PyErr_Restore, (struct py_object *, struct py_object *, struct py_object *))              \
	X(void, PyErr_Clear, (void))                                                                      \
	X(void *, PyInterpreterState_Main, (void))                                                        \
	X(void *, PyInterpreterState_Head, (void))                                                        \
	X(void *, PyInterpreterState_Next, (void *))                                                      \
	X(void *, PyGILState_GetThisThreadState, (void))                                                  \
	X(int, PyGILState_Ensure, (void))                                                                 \
	X(void, PyGILState_Release, (int))                                                                \
	X(struct py_object *, PyUnicode_FromStringAndSize, (const char *, intptr_t))                      \
	X(struct py_object *, PyEval_GetFrame, (void))                                                    \
	X(struct py_code *, PyFrame_GetCode, (struct py_object *))                                        \
	X(int, PyCode_Addr2Line, (const struct py_code *, int))                                           \
	X(int, PyDict_Next, (struct py_object *, intptr_t *, struct py_object **, struct py_object **))

/* Looked up, may be NULL. */
#define CPYTHON_OPTIONAL(X)                                                                   \
	X(void *, _PyThreadState_UncheckedGet, (void))                                        \
	X(void *, PyThreadState_GetUnchecked, (void))                                         \
	X(void *, PyInterpreterState_ThreadHead, (void *))                                    \
	X(void *, PyThreadState_Next, (void *))                                               \
	X(int, PyGC_IsEnabled, (void))                                                        \
	X(int, PyGC_Disable, (void))                                                          \
	X(int, PyGC_Enable, (void))                                                           \
	X(int, PyFrame_GetLasti, (struct py_object *))                                        \
	X(struct py_object *, PyType_GetQualName, (struct py_type *))                         \
	X(void, PyPreConfig_InitPythonConfig, (void *))                                       \
	X(struct py_status, Py_PreInitializeFromBytesArgs, (const void *, intptr_t, char **)) \
	X(int, Py_BytesMain, (int, char **))                                                  \
	X(struct py_object *, PyList_New, (intptr_t))                                         \
	X(struct py_object *, PyTuple_New, (intptr_t))                                        \
	X(struct py_object *, PyDict_New, (void))                                             \
	X(void, PyObject_GC_UnTrack, (void *))                                                \
	X(void, PyObject_GC_Del, (void *))

/* Data symbols: objects of the interpreter. */
#define CPYTHON_TYPES(X)    \
	X(PyCFunction_Type) \
	X(PyCell_Type)      \
	X(PyCode_Type)      \
	X(PyCoro_Type)      \
	X(PyAsyncGen_Type)  \
	X(PyBytes_Type)     \
	X(PyDict_Type)      \
	X(PyFloat_Type)     \
	X(PyFrame_Type)     \
	X(PyFunction_Type)  \
	X(PyGen_Type)       \
	X(PyList_Type)      \
	X(PyLong_Type)      \
	X(PyMethod_Type)    \
	X(PyModule_Type)    \
	X(PyTraceBack_Type) \
	X(PyTuple_Type)     \
	X(PyUnicode_Type)

struct cpython_api {
#define X(result, name, parameters) result(*name) parameters;
	CPYTHON_REQUIRED(X)
	CPYTHON_OPTIONAL(X)
#undef X
#define X(name) struct py_type *name;
	CPYTHON_TYPES(X)
#undef X
	struct py_object *none;
	bool is_debug_build;                 /* counts all references */
	void *(*current_thread_state)(void); /* whichever of the two exists */
	uintptr_t start, end;                /* of the interpreter's own module; 0: not known */
};
extern struct cpython_api g_py;

enum py_values_place {
	PY_VALUES_BEFORE,      /* a pointer before the object */
	PY_VALUES_TAGGED_DICT, /* in place of the dict pointer before the object, less one */
	PY_VALUES_AFTER,       /* in the object's own block, behind it */
};

/* Offsets that no public header promises, per minor version. */
struct cpython_layout {
	uint8_t minor;
	bool frames_unknown;   /* no places of birth, no local variables */
	int16_t cframe;        /* in the thread state; -1: no such indirection */
	int16_t current_frame; /* in the cframe, or in the thread state */
	uint16_t frame_code, frame_previous, frame_instr, frame_locals;
	uint16_t frame_owner; /* where a shim is marked as the interpreter's; 0: it has no code object */
	uint16_t code_bytes, code_locals_count, code_name;
	uint16_t code_free_names;   /* 0: they end the names of all variables */
	uint16_t frame_object_code; /* 0: by way of the frame */
	uint16_t function_code, function_qualname, function_closure;
	uint16_t exception_traceback;            /* context and cause follow it */
	uint16_t unicode_ascii, unicode_compact; /* where the characters begin */
	uint16_t type_qualname, type_cached_keys;
	uint16_t frame_object_data; /* of a frame object: its own frame */
	uint16_t generator_frame, generator_qualname;
	uint16_t thread_status; /* flags of a thread state, 0: one thread is the current one */
	uint8_t values_place;   /* enum py_values_place */
	uint16_t values_first;  /* in a block of inline attribute values */
	unsigned long preheader_flags;
	size_t gc_scan; /* bytes of the interpreter state to look through */
};
extern const struct cpython_layout *g_py_layout; /* NULL: unknown version */

/* The same in all of 3.11 to 3.13. */
#define PY_THREAD_ACTIVE         0x10u
#define PY_FRAME_OWNER_SHIM      3
#define PY_FRAME_OBJECT_FRAME    24
#define PY_CELL_CONTENTS         16
#define PY_CODE_FILENAME         112
#define PY_CODE_QUALNAME         128
#define PY_CODE_LOCALS_NAMES     96
#define PY_LIST_ITEMS            24
#define PY_TUPLE_ITEMS           24
#define PY_VAR_SIZE              16
#define PY_MANAGED_DICT_BEFORE   24
#define PY_MANAGED_VALUES_BEFORE 32

static inline uintptr_t py_word(const void *object, intptr_t offset)
{
	return *(const uintptr_t *)((const char *)object + offset);
}

/* How far into its block an object can begin. */
#define PY_BLOCK_OFFSETS 3
extern const uint32_t g_py_block_offsets[PY_BLOCK_OFFSETS];

static inline intptr_t py_size(const void *object)
{
	intptr_t size = (intptr_t)py_word(object, PY_VAR_SIZE);

	return size < 0 ? -size : size;
}

/* cpython_layout.c: loads the API, picks the layout; false = no CPython here.
 * `library`: where to look, NULL = what the program and its libraries see. */
bool cpython_layout_load(void *library);

/* cpython_library.c: an interpreter in a library that the program opened for
 * itself alone.  True when one is found that was not there before. */
bool cpython_library_find(void);
/* The program closed a library: false when it was that one. */
bool cpython_library_is_there(void);

/* cpython.c */
/* From the allocator hook: asks for the set-up once the interpreter runs. */
void cpython_look_after_setup(void);
/* Between set-up and the exit snapshot. */
bool cpython_is_set_up(void);
/* Does the calling thread hold the interpreter lock? */
bool cpython_has_lock(void);

/* cpython_alloc.c: puts the hook on top of the object domain's allocator; a
 * second call repairs it after the interpreter replaced it. */
void cpython_alloc_install(void);
bool cpython_alloc_installed(void);
/* Whether births may take the short way: once frames are known, and until the
 * interpreter ends, if the settings allow it. */
void cpython_alloc_set_short(bool frames_known);
/* For a while, births take the long way, which attends to the lock. */
void cpython_alloc_hold_short(bool hold);

/* cpython_exact.c: on request, no object comes from a free list any more.  False
 * where this build does not allow it. */
bool cpython_exact_begin(void);
bool cpython_exact_is_on(void);

/* cpython_text.c: str objects as UTF-8, without the interpreter's help. */
bool cpython_text_validate(void);
size_t cpython_text_utf8(const struct py_object *string, char *out, size_t size);
uint32_t cpython_text_intern(const struct py_object *string);
/* A name made of it and what stands around it; 0: it is no identifier. */
uint32_t cpython_text_identifier(const struct py_object *string, const char *before, const char *after);

/* cpython_gc.c: the collector's own lists, found by their shape. */
struct py_gc_head {
	uintptr_t next, prev; /* low two bits are flags */
};
struct py_gc_generation {
	struct py_gc_head head;
	int threshold, count;
};
struct py_gc_stats {
	int64_t collections, collected, uncollectable;
};
struct py_gc {
	struct py_gc_generation generations[3];
	struct py_gc_generation *generation0;
	struct py_gc_generation permanent;
	struct py_gc_stats stats[3];
	int collecting;
};
struct py_gc *cpython_gc_find(void);
/* Once, with the lock held, for the question after it: PyGC_IsEnabled() needs the lock. */
void cpython_gc_learn(void);
bool cpython_gc_enabled(const struct py_gc *gc);
static inline struct py_gc_head *py_gc_untag(uintptr_t link)
{
	return (struct py_gc_head *)(link & ~(uintptr_t)3);
}

/* cpython_type.c: what the snapshot needs to know of a type, looked up once. */
struct py_slot {
	int32_t offset; /* of a pointer in the object, negative: before it */
	uint32_t name;  /* string id */
};
struct py_type_info {
	const struct py_type *type;
	uint32_t name; /* string id */
	uint32_t slot_count;
	const struct py_slot *slots;
	uint32_t block_offset;  /* object's address minus its block's */
	uint32_t recycled_size; /* objects up to this ob_size may come from a free list; UINT32_MAX: all */
	bool may_recycle;
	bool has_values; /* instances keep attribute values in an array of their own */
	/* The nearest base that an extension module made: of its part of an instance
	 * the collector sees no more than tp_traverse tells.  NULL: there is none. */
	const struct py_type *opaque;
	uint32_t opaque_traits; /* enum castaway_type_trait */
	bool opaque_met;        /* an instance was written */
};
bool cpython_type_begin(void);
struct py_type_info *cpython_type_info(const struct py_type *type);  /* NULL: no memory */
struct py_type_info *cpython_type_known(const struct py_type *type); /* NULL: not yet */
/* An instance of the type was written; the types of those with an opaque part. */
void cpython_type_meet(struct py_type_info *info);
void cpython_type_for_each_met(void (*visit)(const struct py_type_info *info, void *arg), void *arg);
void cpython_type_end(void);

/* cpython_label.c: names for edges, where a pointer that tp_traverse gave is
 * found again in a place with a name.  Adds and removes no edge. */
bool cpython_label_begin(void);
/* A function tells the names of the variables that its cells are; a cell's edge
 * can have one when the function was met before. */
void cpython_label_learn(const struct py_object *function);
void cpython_label_edges(const struct py_type_info *info, struct py_object *object,
			 struct snapshot_edge *edges, size_t count);
void cpython_label_end(void);

/* cpython_name.c: what the program calls it (string id), 0: nothing. */
uint32_t cpython_name(const struct py_object *object);

/* cpython_hidden.c: what the collector cannot see: the instances of types that
 * extension modules made, as far as their tp_traverse does not tell.  For one
 * snapshot; false without memory. */
bool cpython_hidden_begin(bool copied); /* in a child */
void cpython_hidden_end(void);
/* Finds out about the parts of a type that are the collector's blind spot. */
void cpython_hidden_type(struct py_type_info *info);
/* The pointers in such an instance that none of its `count` edges explains are
 * put behind these; returns how many there are then.  At most `room`. */
size_t cpython_hidden_edges(const struct py_type_info *info, const struct py_object *object,
			    struct snapshot_edge *edges, size_t count, size_t room);
/* Calls for every object that no list of the collector has and that such a
 * pointer, or a way to one, leads through. */
void cpython_hidden_for_each(void (*visit)(struct py_object *object, void *arg), void *arg);

/* cpython_held.c: whether C code may hold it too; for one snapshot.  `copied`: no
 * thread of the target runs on this memory. */
struct maps;
void cpython_held_begin(const struct maps *maps, bool copied);
bool cpython_held(uintptr_t object);
void cpython_held_end(void);

/* cpython_snapshot.c: the exit snapshot; the lock is held. */
void cpython_snapshot_take(void);
/* The collector's lists; NULL, and counted as a limit, when they cannot be read now. */
struct py_gc *cpython_snapshot_gc(void);
bool cpython_snapshot_describe(struct snapshot_view *view, struct py_gc *gc);

/* cpython_pool.c: what looks like pointers in the interpreter's memory, as rules. */
bool cpython_pool_rules(const struct snapshot_view *view);

/* cpython_lock.c: snapshots at any moment.  Where the lock is free nobody is in
 * the midst of anything; who holds it can say so. */
bool cpython_lock_validate(void); /* lock held */
/* What the child finds here it describes; NULL: nothing. */
void cpython_lock_describe_next(struct py_gc *gc);
void cpython_lock_hold(void);
void cpython_lock_release(void);
bool cpython_lock_may_describe(void);
bool cpython_lock_delegate(const struct request *request);
bool cpython_lock_take(const struct request *request);
bool cpython_lock_describe(struct snapshot_view *view);
/* From the allocator hook: somebody waits for a thread that runs Python code. */
void cpython_lock_attend(void);
void cpython_lock_after_fork(void);

#endif
