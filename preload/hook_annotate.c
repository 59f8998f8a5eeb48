/* SPDX-License-Identifier: Apache-2.0
 *
 * The library's side of castaway.h.  Runs in the target's threads, from any
 * place that the target calls it, signal handlers included.  Misuse is recorded
 * as the plain event: the analyzer finds and reports it; nothing here is fatal.
 */
#include <errno.h>
#include <string.h>

#include "castaway/castaway.h"
#include "castaway/format.h"
#include "collect.h"
#include "config.h"
#include "emit.h"
#include "generation.h"
#include "guard.h"
#include "hook_query.h"
#include "hooks.h"
#include "object.h"
#include "request.h"
#include "snapshot.h"
#include "stack.h"
#include "thread.h"
#include "writer.h"

/* STACK_START() must be evaluated in the function that the target called. */
struct call {
	struct guard guard;
	struct thread *thread; /* NULL: record nothing */
	uint32_t stack;
};

static void call_begin(struct call *call)
{
	call->thread = guard_enter(&call->guard) ? thread_self() : NULL;
	call->stack = 0;
}

static void call_begin_at(struct call *call, const struct stack_start *start)
{
	call_begin(call);
	if (call->thread)
		call->stack = stack_capture(call->thread, start);
	else if (__atomic_load_n(&g_tracing, __ATOMIC_RELAXED))
		/* A signal handler that interrupted castaway itself. */
		limits_count(CASTAWAY_LIMIT_DROPPED_EVENTS, 1, NULL);
}

/* The objects change, and the event of it is yet to come. */
static void change_begin(const struct call *call)
{
	__atomic_store_n(&call->thread->counting, 1, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void call_end(struct call *call)
{
	if (call->thread)
		__atomic_store_n(&call->thread->counting, 0, __ATOMIC_RELEASE);
	guard_leave(&call->guard);
}

static uint32_t name_intern(const char *name)
{
	return name ? strings_intern(name, strnlen(name, CASTAWAY_MAX_STRING)) : 0;
}

/* ---- objects ------------------------------------------------------------------- */

static void annotate_object(const volatile void *object, size_t size, const char *type_name)
{
	struct stack_start start = STACK_START();
	struct call call;
	uint32_t type;

	if (!object)
		return;
	call_begin_at(&call, &start);
	if (call.thread) {
		type = name_intern(type_name);
		/* The pass that its birth starts comes before it, and does not examine it. */
		change_begin(&call);
		object_born(call.thread, (uintptr_t)object, size, type, call.stack);
		emit_event(call.thread, CASTAWAY_EVENT_OBJECT,
			   (const uint64_t[]){(uintptr_t)object, size, type, call.stack});
	}
	call_end(&call);
}

static void annotate_object_end(const volatile void *object)
{
	struct stack_start start = STACK_START();
	struct call call;

	if (!object)
		return;
	call_begin_at(&call, &start);
	if (call.thread) {
		change_begin(&call);
		object_end(call.thread, (uintptr_t)object);
		emit_event(call.thread, CASTAWAY_EVENT_OBJECT_END,
			   (const uint64_t[]){(uintptr_t)object, call.stack});
	}
	call_end(&call);
}

static void count_change(const volatile void *object, const struct stack_start *start,
			 enum castaway_event event, int64_t change)
{
	struct call call;

	if (!object)
		return;
	/* No snapshot tells where a count was changed. */
	if (g_config.events_live)
		call_begin(&call);
	else
		call_begin_at(&call, start);
	if (call.thread) {
		/* As everywhere: an event may be what begins a fork child's trace, with
		 * the tables as they are then. */
		change_begin(&call);
		object_count_add((uintptr_t)object, change);
		emit_event(call.thread, event, (const uint64_t[]){(uintptr_t)object, call.stack});
	}
	call_end(&call);
}

static void annotate_ref(const volatile void *object)
{
	struct stack_start start = STACK_START();

	count_change(object, &start, CASTAWAY_EVENT_REF, 1);
}

static void annotate_unref(const volatile void *object)
{
	struct stack_start start = STACK_START();

	count_change(object, &start, CASTAWAY_EVENT_UNREF, -1);
}

static void link_change(const volatile void *owner, const volatile void *target, const char *field,
			const struct stack_start *start, enum castaway_event event)
{
	struct object_link link = {.target = (uintptr_t)target, .weak = event == CASTAWAY_EVENT_WEAK};
	struct call call;

	if (!owner || !target)
		return;
	call_begin_at(&call, start);
	if (call.thread) {
		link.field = name_intern(field);
		link.stack = call.stack;
		change_begin(&call);
		if (event == CASTAWAY_EVENT_UNLINK)
			object_unlink((uintptr_t)owner, link.target, link.field);
		else
			object_link((uintptr_t)owner, &link);
		emit_event(call.thread, event,
			   (const uint64_t[]){(uintptr_t)owner, link.target, link.field, link.stack});
	}
	call_end(&call);
}

static void annotate_link(const volatile void *owner, const volatile void *target, const char *field)
{
	struct stack_start start = STACK_START();

	link_change(owner, target, field, &start, CASTAWAY_EVENT_LINK);
}

static void annotate_unlink(const volatile void *owner, const volatile void *target, const char *field)
{
	struct stack_start start = STACK_START();

	link_change(owner, target, field, &start, CASTAWAY_EVENT_UNLINK);
}

static void annotate_weak(const volatile void *owner, const volatile void *target, const char *field)
{
	struct stack_start start = STACK_START();

	link_change(owner, target, field, &start, CASTAWAY_EVENT_WEAK);
}

static void annotate_layout(const char *type_name, size_t offset, size_t width, int64_t bias)
{
	struct object_layout layout = {.bias = bias};
	struct call call;

	if (!type_name || offset > UINT32_MAX || width > sizeof(uint64_t))
		return;
	call_begin(&call);
	if (call.thread) {
		layout.type = name_intern(type_name);
		layout.offset = (uint32_t)offset;
		layout.width = (uint32_t)width;
		object_layout_add(&layout);
		emit_event(call.thread, CASTAWAY_EVENT_LAYOUT,
			   (const uint64_t[]){layout.type, offset, width, (uint64_t)bias});
	}
	call_end(&call);
}

#define NO_COLLECTION (-1)

/* The judgement is of the moment before the pass, which promotes. */
static uint32_t take_and_collect(struct thread *thread, const char *name, int generation)
{
	struct snapshot snapshot;

	snapshot_begin(&snapshot, CASTAWAY_REASON_API, CASTAWAY_METHOD_EVENTS, name);
	snapshot_end(&snapshot);
	generation_collect(thread, (unsigned)generation);
	return snapshot.index;
}

/* 0 when the moment is in the trace, else -errno.  Inside REQUEST_ENTER(). */
static int64_t mark_and_take(const char *name, const struct stack_start *start, int generation,
			     uint32_t *index)
{
	int64_t result = g_tracing ? -EAGAIN : -ENOTSUP;
	struct call call;

	call_begin_at(&call, start);
	if (call.thread) {
		emit_event(call.thread, CASTAWAY_EVENT_MARK,
			   (const uint64_t[]){name_intern(name), call.stack});
		if (generation == NO_COLLECTION)
			(void)snapshot_take(CASTAWAY_REASON_API, name);
		else
			*index = take_and_collect(call.thread, name, generation);
		result = writer_flush() ? 0 : -EIO;
	}
	call_end(&call);
	return result;
}

static int annotate_snapshot(const char *name)
{
	struct stack_start start = STACK_START();
	int64_t result;

	REQUEST_ENTER();
	result = mark_and_take(name, &start, NO_COLLECTION, NULL);
	REQUEST_LEAVE();
	return result == 0 ? 0 : -1;
}

/* ---- the gc module ------------------------------------------------------------- */

static void gc_set_enabled(int enabled)
{
	struct call call;

	call_begin(&call);
	if (call.thread)
		generation_set_enabled(call.thread, enabled != 0);
	call_end(&call);
}

static int gc_isenabled(void)
{
	return generation_is_enabled();
}

static void gc_get_count(size_t counts[3])
{
	uint64_t values[3];

	generation_get_counts(values);
	memcpy(counts, values, sizeof(values));
}

static void gc_get_threshold(size_t thresholds[3])
{
	uint64_t values[3];

	generation_get_thresholds(values);
	memcpy(thresholds, values, sizeof(values));
}

static void gc_set_threshold(size_t threshold0, size_t threshold1, size_t threshold2)
{
	struct call call;

	call_begin(&call);
	if (call.thread)
		generation_set_thresholds(call.thread,
					  (const uint64_t[]){threshold0, threshold1, threshold2});
	call_end(&call);
}

static void gc_get_stats(struct castaway_gc_stats stats[3])
{
	struct generation_stats values[3];

	generation_get_stats(values);
	for (unsigned i = 0; i < 3; i++) {
		stats[i].collections = values[i].collections;
		stats[i].examined = values[i].examined;
		stats[i].promoted = values[i].promoted;
		stats[i].live = values[i].live;
	}
}

static void gc_freeze(int freeze)
{
	struct call call;

	call_begin(&call);
	if (call.thread && freeze)
		generation_freeze(call.thread);
	else if (call.thread)
		generation_unfreeze(call.thread);
	call_end(&call);
}

static size_t gc_get_freeze_count(void)
{
	return generation_frozen_count();
}

static int64_t gc_collect(int generation)
{
	struct stack_start start = STACK_START();
	uint32_t index = 0;
	int64_t result;

	if (generation < 0 || generation >= (int)GENERATION_COUNT) {
		errno = EINVAL;
		return -1;
	}
	REQUEST_ENTER();
	result = mark_and_take("gc.collect", &start, generation, &index);
	REQUEST_LEAVE();
	/* Without the guard: this may take long, and signal handlers are traced. */
	if (result == 0)
		result = collect_ask(index, generation);
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

/* New members at the end only. */
__attribute__((visibility("default"))) const struct castaway_hooks castaway_hooks_v1 = {
	.size = sizeof(struct castaway_hooks),
	.object = annotate_object,
	.object_end = annotate_object_end,
	.ref = annotate_ref,
	.unref = annotate_unref,
	.link = annotate_link,
	.unlink = annotate_unlink,
	.weak = annotate_weak,
	.layout = annotate_layout,
	.snapshot = annotate_snapshot,
	.gc_set_enabled = gc_set_enabled,
	.gc_isenabled = gc_isenabled,
	.gc_get_count = gc_get_count,
	.gc_get_threshold = gc_get_threshold,
	.gc_set_threshold = gc_set_threshold,
	.gc_get_stats = gc_get_stats,
	.gc_get_objects = query_objects,
	.gc_get_referrers = query_referrers,
	.gc_get_referents = query_referents,
	.gc_is_tracked = query_is_tracked,
	.gc_freeze = gc_freeze,
	.gc_get_freeze_count = gc_get_freeze_count,
	.getrefcount = query_refcount,
	.gc_collect = gc_collect,
};
