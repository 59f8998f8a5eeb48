/* SPDX-License-Identifier: Apache-2.0
 *
 * GObject's and GStreamer's references, as provenance: counts are read from
 * memory, because calls inside these libraries do not come by here.  Runs in
 * the target's threads.  The real functions run the target's own code (dispose,
 * notifiers), so they are called without the guard, and last: the compiler makes
 * jumps of them, and no stack inside them shows this library.
 *
 * The target need not have the libraries.  A hook may be called by a library
 * that came with RTLD_LOCAL: then the real function is in no scope that
 * RTLD_NEXT searches, but in the library that is loaded under the known name.
 */
#include <dlfcn.h>

#include "adapters/adapter.h"
#include "config.h"
#include "emit.h"
#include "guard.h"
#include "hook_gobject.h"
#include "resolve.h"
#include "stack.h"

static struct {
#define X(name, library, result, parameters) result(*name) parameters;
	GOBJECT_HOOKS(X)
#undef X
	int (*g_object_is_floating)(void *object);
} s_real;

static bool s_used;

#define LIBRARY_GOBJECT   "libgobject-2.0.so.0"
#define LIBRARY_GSTREAMER "libgstreamer-1.0.so.0"

/* ---- the real functions ------------------------------------------------------------ */

/* Stands in for a function that nobody has. */
static void *nothing(void *first)
{
	return first;
}

/* As the caller's own library would find it. */
static void *find_for(uintptr_t caller, const char *name)
{
	Dl_info info;
	void *handle, *function;

	if (dladdr((void *)caller, &info) == 0 || info.dli_fname == NULL)
		return NULL;
	handle = g_real.dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
	if (handle == NULL)
		return NULL;
	function = dlsym(handle, name);
	(void)g_real.dlclose(handle);
	return function;
}

static void *find_in(const char *library, const char *name)
{
	void *handle = g_real.dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
	void *function = NULL;

	if (handle != NULL) {
		function = dlsym(handle, name);
		(void)g_real.dlclose(handle);
	}
	return function;
}

/* Only what every caller finds is kept.  Without the guard: the look-up frees what
 * the target's own last one has left behind. */
static __attribute__((noinline)) void *find(void **slot, const char *library, const char *name,
					    uintptr_t caller)
{
	void *function;

	(void)resolve_ready();
	function = dlsym(RTLD_NEXT, name);
	if (function == NULL)
		function = find_in(library, name);
	if (function != NULL) {
		__atomic_store_n(slot, function, __ATOMIC_RELAXED);
		__atomic_store_n(&s_used, true, __ATOMIC_RELAXED);
	} else {
		function = find_for(caller, name);
	}
	adapter_forget_error();
	return function != NULL ? function : (void *)nothing;
}

#define REAL(name, library)                                                                      \
	({                                                                                       \
		__typeof__(s_real.name) real_ = __atomic_load_n(&s_real.name, __ATOMIC_RELAXED); \
		if (__builtin_expect(real_ == NULL, 0))                                          \
			*(void **)&real_ = find((void **)&s_real.name, LIBRARY_##library, #name, \
						(uintptr_t)__builtin_return_address(0));         \
		real_;                                                                           \
	})

bool hook_gobject_used(void)
{
	return __atomic_load_n(&s_used, __ATOMIC_RELAXED);
}

void hook_gobject_forget(void)
{
#define X(name, library, result, parameters) __atomic_store_n(&s_real.name, NULL, __ATOMIC_RELAXED);
	GOBJECT_HOOKS(X)
#undef X
	__atomic_store_n(&s_real.g_object_is_floating, NULL, __ATOMIC_RELAXED);
}

/* ---- events ------------------------------------------------------------------------- */

/* Registers, where a structure would go through memory. */
#define CALLER                                                                                               \
	(uintptr_t) __builtin_return_address(0), (uintptr_t)__builtin_frame_address(0) + 2 * sizeof(void *), \
		*(uintptr_t *)__builtin_frame_address(0)

#define OPERATION 256 /* and what it is: a RUNTIME_CALL; less: a RUNTIME_REF or _UNREF */

static __attribute__((noinline)) void record(uint32_t what, const void *object, const void *data,
					     uintptr_t pc, uintptr_t sp, uintptr_t bp)
{
	const struct stack_start start = {pc, sp, bp};
	struct guard guard;
	struct thread *thread;

	if (object == NULL || !g_config.gobject_refs)
		return;
	if (guard_enter(&guard) && (thread = thread_self()) != NULL) {
		/* No snapshot tells where a reference was taken. */
		uint32_t stack = g_config.events_live ? 0 : stack_capture(thread, &start);

		if (what < OPERATION)
			emit_count(thread, (enum castaway_event)what, (uintptr_t)object, stack);
		else
			emit_event(thread, CASTAWAY_EVENT_RUNTIME_CALL,
				   (const uint64_t[]){(uintptr_t)object, what - OPERATION, (uintptr_t)data,
						      stack});
	}
	guard_leave(&guard);
}

/* An unref is recorded before the real call: the object may die in it. */
#define TAKE(object)                  record(CASTAWAY_EVENT_RUNTIME_REF, object, NULL, CALLER)
#define GIVE(object)                  record(CASTAWAY_EVENT_RUNTIME_UNREF, object, NULL, CALLER)
#define CALL(operation, object, data) record(OPERATION + CASTAWAY_OPERATION_##operation, object, data, CALLER)

/* Most hooks: the event, then the real function (whose result may be void). */
#define HOOK(name, library, result, parameters, arguments, event) \
	HOOK_EXPORT result name parameters                        \
	{                                                         \
		event;                                            \
		return REAL(name, library) arguments;             \
	}

/* ---- GObject -------------------------------------------------------------------------- */

HOOK(g_object_ref, GOBJECT, void *, (void *object), (object), TAKE(object))
HOOK(g_object_unref, GOBJECT, void, (void *object), (object), GIVE(object))

static bool is_floating(void *object, uintptr_t caller)
{
	int (*ask)(void *) = __atomic_load_n(&s_real.g_object_is_floating, __ATOMIC_RELAXED);

	if (ask == NULL)
		*(void **)&ask = find((void **)&s_real.g_object_is_floating, LIBRARY_GOBJECT,
				      "g_object_is_floating", caller);
	return *(void **)&ask != (void *)nothing && ask(object) != 0;
}

/* A floating reference does not change the count: somebody has it now. */
HOOK_EXPORT void *g_object_ref_sink(void *object)
{
	if (object != NULL && is_floating(object, (uintptr_t)__builtin_return_address(0)))
		CALL(SINK, object, NULL);
	else
		TAKE(object);
	return REAL(g_object_ref_sink, GOBJECT)(object);
}

HOOK(g_clear_object, GOBJECT, void, (void **object), (object), GIVE(*object))
HOOK(g_object_add_toggle_ref, GOBJECT, void, (void *object, void *notify, void *data), (object, notify, data),
     TAKE(object))
HOOK(g_object_remove_toggle_ref, GOBJECT, void, (void *object, void *notify, void *data),
     (object, notify, data), GIVE(object))
HOOK(g_object_weak_ref, GOBJECT, void, (void *object, void *notify, void *data), (object, notify, data),
     CALL(WEAK, object, data))
HOOK(g_object_weak_unref, GOBJECT, void, (void *object, void *notify, void *data), (object, notify, data),
     CALL(UNWEAK, object, data))
HOOK(g_object_add_weak_pointer, GOBJECT, void, (void *object, void **pointer), (object, pointer),
     CALL(WEAK, object, pointer))
HOOK(g_object_remove_weak_pointer, GOBJECT, void, (void *object, void **pointer), (object, pointer),
     CALL(UNWEAK, object, pointer))

HOOK_EXPORT void *g_weak_ref_get(void *reference)
{
	void *object = REAL(g_weak_ref_get, GOBJECT)(reference);

	TAKE(object);
	return object;
}

HOOK_EXPORT void *g_value_dup_object(const void *value)
{
	void *object = REAL(g_value_dup_object, GOBJECT)(value);

	TAKE(object);
	return object;
}

HOOK(g_closure_ref, GOBJECT, void *, (void *closure), (closure), TAKE(closure))
HOOK(g_closure_unref, GOBJECT, void, (void *closure), (closure), GIVE(closure))
HOOK(g_signal_connect_data, GOBJECT, unsigned long,
     (void *object, const char *signal, void *handler, void *data, void *destroy, int flags),
     (object, signal, handler, data, destroy, flags), CALL(CONNECT, object, data))
HOOK(g_signal_connect_object, GOBJECT, unsigned long,
     (void *object, const char *signal, void *handler, void *data, int flags),
     (object, signal, handler, data, flags), CALL(CONNECT, object, data))
HOOK(g_signal_connect_closure, GOBJECT, unsigned long,
     (void *object, const char *signal, void *closure, int after), (object, signal, closure, after),
     CALL(CONNECT, object, closure))
HOOK(g_signal_connect_closure_by_id, GOBJECT, unsigned long,
     (void *object, unsigned id, unsigned detail, void *closure, int after),
     (object, id, detail, closure, after), CALL(CONNECT, object, closure))
HOOK(g_signal_handler_disconnect, GOBJECT, void, (void *object, unsigned long handler), (object, handler),
     CALL(DISCONNECT, object, NULL))

/* ---- GStreamer --------------------------------------------------------------------------
 * gst_object_ref() and the like call GObject's. */

HOOK(gst_mini_object_ref, GSTREAMER, void *, (void *object), (object), TAKE(object))
HOOK(gst_mini_object_unref, GSTREAMER, void, (void *object), (object), GIVE(object))

HOOK_EXPORT int gst_mini_object_replace(void **place, void *object)
{
	if (*place != object) {
		TAKE(object);
		GIVE(*place);
	}
	return REAL(gst_mini_object_replace, GSTREAMER)(place, object);
}

HOOK_EXPORT int gst_mini_object_take(void **place, void *object)
{
	if (*place != object)
		GIVE(*place);
	return REAL(gst_mini_object_take, GSTREAMER)(place, object);
}

HOOK(gst_clear_mini_object, GSTREAMER, void, (void **place), (place), GIVE(*place))
