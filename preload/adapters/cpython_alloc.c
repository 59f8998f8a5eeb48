/* SPDX-License-Identifier: Apache-2.0
 *
 * The hook on the object domain of CPython's allocators.  Runs in the target's
 * threads with the interpreter's lock held, at every object's birth and end;
 * must not call into the interpreter (beyond the allocator below it) and must
 * not touch a reference count.  The guard is held around the original call:
 * what it takes from malloc (arenas, large objects) is the same block, not a
 * second one.
 */
#include "cpython.h"

#include <errno.h>

#include "../config.h"
#include "../emit.h"
#include "../shadow.h"

static struct py_allocator s_next; /* the allocator below */

static void block_born(void *block, size_t size, const struct stack_start *start)
{
	struct thread *thread = thread_self();
	uint32_t stack;

	if (thread == NULL || block == NULL)
		return;
	stack = cpython_stack_capture(thread, start);
	shadow_insert(thread, (uintptr_t)block, size, stack, CASTAWAY_RUNTIME_CPYTHON);
	emit_event(thread, CASTAWAY_EVENT_ALLOC_MANAGED,
		   (uint64_t[]){(uintptr_t)block, size, stack, CASTAWAY_RUNTIME_CPYTHON});
}

/* Before the real free: afterwards the address may be somebody else's. */
static bool block_dies(void *block, struct shadow_block *former)
{
	struct thread *thread = thread_self();

	if (thread == NULL)
		return false;
	if (!shadow_remove(thread, (uintptr_t)block, former)) {
		limits_count(CASTAWAY_LIMIT_UNKNOWN_FREE, 1, NULL);
		return false;
	}
	emit_free(thread, (uintptr_t)block, 0);
	return true;
}

static void realloc_failed(const struct shadow_block *former)
{
	struct thread *thread = thread_self();

	shadow_restore(thread, former);
	emit_event(thread, CASTAWAY_EVENT_REALLOC_FAILED, (uint64_t[]){former->address});
}

/* The real call's errno is the caller's; what recording does to it is not. */
static void keep_errno(struct guard *guard)
{
	guard->saved_errno = errno;
}

static void *hook_malloc(void *context, size_t size)
{
	struct stack_start start = STACK_START();
	struct guard guard;
	bool record;
	void *block;

	if (__builtin_expect(cpython_waits_for_setup(), 0))
		cpython_request_setup();
	record = guard_enter(&guard);
	block = s_next.malloc(s_next.context, size);
	keep_errno(&guard);
	if (record)
		block_born(block, size, &start);
	guard_leave(&guard);
	return block;
}

static void *hook_calloc(void *context, size_t count, size_t size)
{
	struct stack_start start = STACK_START();
	struct guard guard;
	bool record = guard_enter(&guard);
	void *block = s_next.calloc(s_next.context, count, size);

	keep_errno(&guard);
	if (record)
		block_born(block, count * size, &start);
	guard_leave(&guard);
	return block;
}

static void *hook_realloc(void *context, void *old, size_t size)
{
	struct stack_start start = STACK_START();
	struct shadow_block former;
	struct guard guard;
	bool record = guard_enter(&guard);
	bool known = record && old != NULL && block_dies(old, &former);
	void *block = s_next.realloc(s_next.context, old, size);

	keep_errno(&guard);
	/* A code object is never reallocated, but its address may be given out. */
	if (known && former.size >= cpython_stack_code_size())
		cpython_stack_forget((uintptr_t)old);
	if (record && block != NULL)
		block_born(block, size, &start);
	else if (known)
		realloc_failed(&former);
	guard_leave(&guard);
	return block;
}

static void hook_free(void *context, void *block)
{
	struct shadow_block former = {.size = SIZE_MAX};
	struct guard guard;

	if (block == NULL)
		return;
	if (guard_enter(&guard))
		block_dies(block, &former);
	if (former.size >= cpython_stack_code_size())
		cpython_stack_forget((uintptr_t)block);
	s_next.free(s_next.context, block);
	guard_leave(&guard);
}

bool cpython_alloc_installed(void)
{
	struct py_allocator current;

	g_py.PyMem_GetAllocator(PY_DOMAIN_OBJECT, &current);
	return current.malloc == hook_malloc;
}

void cpython_alloc_install(void)
{
	static struct py_allocator hook = {NULL, hook_malloc, hook_calloc, hook_realloc, hook_free};

	if (cpython_alloc_installed())
		return;
	g_py.PyMem_GetAllocator(PY_DOMAIN_OBJECT, &s_next);
	g_py.PyMem_SetAllocator(PY_DOMAIN_OBJECT, &hook);
}
