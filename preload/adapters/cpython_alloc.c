/* SPDX-License-Identifier: Apache-2.0
 *
 * The hook on the object domain of CPython's allocators.  Runs in the target's
 * threads with the interpreter's lock held, at every object's birth and end;
 * must not call into the interpreter (beyond the allocator below it) and must
 * not touch a reference count.  The guard is held around the original call:
 * what it takes from malloc (arenas, large objects) is the same block, not a
 * second one.
 *
 * As a rule a birth is the running instruction's node in a slot of the table of
 * managed blocks, and a death clears the slot.  Large or oddly aligned blocks,
 * deeper stacks, and a full history take the longer way.
 */
#include "cpython_stack.h"

#include <errno.h>

#include "../config.h"
#include "../emit.h"
#include "../hot.h"
#include "../managed.h"
#include "../object.h"
#include "../shadow.h"

/* The allocators below, one for each time that the hook was put on top; a hook
 * gets its own as its context.  What somebody else put between two of ours may
 * call the lower one, which then only passes on. */
#define LEVELS_MAX 8
static HOT struct py_allocator s_next[LEVELS_MAX];
static unsigned s_levels;
static HOT bool s_short; /* births take the short way */

static bool is_recording(void)
{
	return __builtin_expect(t_guard.depth == 0 && __atomic_load_n(&g_tracing, __ATOMIC_ACQUIRE), 1);
}

/* ---- births ------------------------------------------------------------------- */

static void enter(struct thread *thread, uintptr_t block, size_t size, uint32_t stack)
{
	if (!managed_fits(block, size))
		shadow_insert(thread, block, size, stack, CASTAWAY_RUNTIME_CPYTHON);
	else if (!managed_insert(block, size, stack))
		limits_count(CASTAWAY_LIMIT_MEMORY, 1, NULL);
	if (g_config.python_events)
		emit_event(thread, CASTAWAY_EVENT_ALLOC_MANAGED,
			   (uint64_t[]){block, size, stack, CASTAWAY_RUNTIME_CPYTHON});
}

static __attribute__((noinline)) void *born_long(void *block, size_t size, const struct stack_start *start)
{
	struct guard guard;
	struct thread *thread;

	cpython_look_after_setup();
	if (guard_enter(&guard) && block != NULL && (thread = thread_self()) != NULL)
		enter(thread, (uintptr_t)block, size, cpython_stack_capture(thread, start));
	guard_leave(&guard);
	return block;
}

static inline __attribute__((always_inline)) bool born_at(uintptr_t block, size_t size, uintptr_t state)
{
	const struct cpython_stack_entry *entry = cpython_stack_seen(state);

	return entry != NULL && managed_insert_short(block, size, entry->node);
}

static __attribute__((noinline)) bool born_asking(uintptr_t block, size_t size)
{
	const uintptr_t state = cpython_stack_state();

	return state != 0 && born_at(block, size, state);
}

/* What nearly all births do: nothing here is a call but where the thread state has
 * to be asked for, so there is little to be saved for one.  False: the long way. */
static inline __attribute__((always_inline)) bool born_short(void *block, size_t size)
{
	uintptr_t state;

	if (!s_short || !managed_fits((uintptr_t)block, size) || block == NULL)
		return false;
	state = cpython_stack_state_seen();
	if (__builtin_expect(state == 0, 0))
		return born_asking((uintptr_t)block, size);
	return born_at((uintptr_t)block, size, state);
}

/* A macro because the stack begins at the hook's own frame. */
#define BORN(block, size)                                           \
	(__builtin_expect(born_short((block), (size)), 1) ? (block) \
							  : born_long((block), (size), &STACK_START()))

/* ---- deaths ------------------------------------------------------------------- */

/* What the table and the shadow knew of a block. */
struct former {
	uint32_t held;
	struct shadow_block block; /* its address is 0 when the shadow does not have it */
};

/* Before the real free: afterwards the address may be somebody else's. */
static __attribute__((noinline)) void dies_long(uintptr_t address, struct former *former)
{
	struct thread *thread = thread_self();
	const uint32_t held = former->held, plain = held & ~MANAGED_WATCHED;
	const bool small = managed_is_ordinary(plain);
	uint64_t size = (plain >> MANAGED_SIZE_SHIFT) * UINT64_C(8);

	former->block.address = 0;
	if (thread == NULL)
		return;
	if (small && object_count() > 0)
		object_block_freed(thread, address, size);
	if (!small && shadow_remove(thread, address, &former->block)) {
		size = former->block.size;
	} else if (!small) {
		limits_count(CASTAWAY_LIMIT_UNKNOWN_FREE, 1, NULL);
		return;
	}
	if (held & MANAGED_WATCHED)
		cpython_stack_forget(address, size);
	if (g_config.python_events)
		emit_free(thread, address, 0);
}

static inline void dies(uintptr_t address, struct former *former)
{
	struct guard guard;

	former->held = managed_take(address);
	if (__builtin_expect(s_short && managed_is_ordinary(former->held) && object_count() == 0, 1))
		return;
	if (guard_enter(&guard))
		dies_long(address, former);
	guard_leave(&guard);
}

/* A realloc failed after the death of its block was recorded. */
static void undo_death(uintptr_t address, const struct former *former)
{
	struct guard guard;
	struct thread *thread;

	if (guard_enter(&guard) && (thread = thread_self()) != NULL) {
		if (former->held != 0)
			managed_restore(address, former->held);
		if (!managed_is_ordinary(former->held) && former->block.address != 0)
			shadow_restore(thread, &former->block);
		if (g_config.python_events)
			emit_event(thread, CASTAWAY_EVENT_REALLOC_FAILED, (uint64_t[]){address});
	}
	guard_leave(&guard);
}

/* ---- the hook ------------------------------------------------------------------ */

static HOT_CODE void *hook_malloc(void *context, size_t size)
{
	const struct py_allocator *next = context;
	void *block;

	if (!is_recording())
		return next->malloc(next->context, size);
	guard_begin_told();
	block = next->malloc(next->context, size);
	guard_end_told();
	return BORN(block, size);
}

static HOT_CODE void *hook_calloc(void *context, size_t count, size_t size)
{
	const struct py_allocator *next = context;
	void *block;

	if (!is_recording())
		return next->calloc(next->context, count, size);
	guard_begin_told();
	block = next->calloc(next->context, count, size);
	guard_end_told();
	return BORN(block, count * size);
}

static HOT_CODE void *hook_realloc(void *context, void *old, size_t size)
{
	const struct py_allocator *next = context;
	struct former former;
	void *block;

	if (!is_recording())
		return next->realloc(next->context, old, size);
	if (old != NULL)
		dies((uintptr_t)old, &former);
	guard_begin_told();
	block = next->realloc(next->context, old, size);
	guard_end_told();
	if (block == NULL) {
		if (old != NULL)
			undo_death((uintptr_t)old, &former);
		return NULL;
	}
	return BORN(block, size);
}

static inline void free_told(const struct py_allocator *next, void *block)
{
	guard_begin_told();
	next->free(next->context, block);
	guard_end_told();
}

static __attribute__((noinline)) void free_long(const struct py_allocator *next, void *block)
{
	struct former former;

	if (block == NULL || !is_recording()) {
		t_guard.depth++;
		next->free(next->context, block);
		t_guard.depth--;
		return;
	}
	dies((uintptr_t)block, &former);
	free_told(next, block);
}

static HOT_CODE void hook_free(void *context, void *block)
{
	if (__builtin_expect(is_recording() && s_short && object_count() == 0 &&
				     managed_end_ordinary((uintptr_t)block),
			     1))
		free_told(context, block);
	else
		free_long(context, block);
}

bool cpython_alloc_installed(void)
{
	struct py_allocator current;

	g_py.PyMem_GetAllocator(PY_DOMAIN_OBJECT, &current);
	return current.malloc == hook_malloc;
}

void cpython_alloc_install(void)
{
	struct py_allocator hook = {NULL, hook_malloc, hook_calloc, hook_realloc, hook_free};

	if (cpython_alloc_installed() || s_levels == LEVELS_MAX)
		return;
	hook.context = &s_next[s_levels];
	g_py.PyMem_GetAllocator(PY_DOMAIN_OBJECT, &s_next[s_levels++]);
	g_py.PyMem_SetAllocator(PY_DOMAIN_OBJECT, &hook);
}

static bool s_may_be_short, s_held;

static void choose_way(void)
{
	__atomic_store_n(&s_short, s_may_be_short && !__atomic_load_n(&s_held, __ATOMIC_RELAXED),
			 __ATOMIC_RELAXED);
}

void cpython_alloc_set_short(bool frames_known)
{
	s_may_be_short = frames_known && g_py_stack.cache != NULL && g_config.python_depth == 1 &&
			 !g_config.python_events;
	choose_way();
}

void cpython_alloc_hold_short(bool hold)
{
	__atomic_store_n(&s_held, hold, __ATOMIC_RELAXED);
	choose_way();
}
