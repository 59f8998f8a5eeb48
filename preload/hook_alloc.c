/* SPDX-License-Identifier: Apache-2.0
 *
 * The malloc family.  Runs in whatever thread of the target calls it, from the
 * dynamic loader's first allocation on.  The real call is made without the
 * guard.  Order: a death is recorded before the real call gives the block back,
 * a birth after the real call has returned it, so that no other thread can be
 * seen to get a block that is not yet free.
 */
#include <errno.h>
#include <string.h>

#include "config.h"
#include "emit_inline.h"
#include "guard.h"
#include "hot.h"
#include "resolve.h"
#include "roots.h"
#include "shadow_inline.h"
#include "stack.h"

/* Larger blocks are seldom recycled as a whole, and often never used up. */
#define SCRUB_MAX   4096u
#define SCRUB_WORDS 128u /* up to here a call of memset costs more than its work */

#define CACHE_LINE   64u
#define PREFETCH_MAX 512u

/* The blocks that the ways in shadow_inline.h and emit_inline.h are not for. */
static __attribute__((noinline)) void birth_unusual(struct thread *thread, uintptr_t block, size_t size,
						    uint32_t stack)
{
	shadow_insert(thread, block, size, stack, CASTAWAY_RUNTIME_NONE);
	emit_alloc(thread, block, size, stack);
}

static __attribute__((noinline)) bool death_unusual(struct thread *thread, uintptr_t block,
						    struct shadow_block *former, uint32_t stack)
{
	if (!shadow_remove(thread, block, former))
		return false;
	emit_free(thread, block, stack);
	return true;
}

/* For malloc, which nearly all births come from, a part of the hook. */
static inline __attribute__((always_inline)) void birth_here(void *block, size_t size,
							     const struct stack_start *start)
{
	struct guard guard;
	struct thread *thread;

	if (guard_enter(&guard) && (thread = thread_self()) != NULL) {
		uint32_t *slot = shadow_slot_usual((uintptr_t)block);
		uint32_t stack = stack_capture(thread, start);

		if (__builtin_expect(slot == NULL, 0)) {
			birth_unusual(thread, (uintptr_t)block, size, stack);
		} else {
			shadow_insert_at(thread, slot, size, stack, CASTAWAY_RUNTIME_NONE);
			emit_alloc_usual(thread, (uintptr_t)block, size, stack);
		}
	} else {
		roots_note_hidden(block, size);
	}
	guard_leave(&guard);
}

static __attribute__((noinline)) void birth(void *block, size_t size, const struct stack_start *start)
{
	birth_here(block, size, start);
}

/* True when the block was known; *former (may be NULL) puts it back.  For free a part
 * of the hook. */
static inline __attribute__((always_inline)) bool death_here(void *block, struct shadow_block *former,
							     const struct stack_start *start)
{
	struct guard guard;
	struct thread *thread;
	bool known = false;

	if (t_guard.told) {
		shadow_forget((uintptr_t)block); /* it may be older than the adapter */
		return false;
	}
	if (guard_enter(&guard) && (thread = thread_self()) != NULL) {
		uint32_t *slot = shadow_slot_usual((uintptr_t)block);
		uint32_t stack;

		/* The real function will look in front of the block. */
		__builtin_prefetch((const char *)block - 2 * sizeof(size_t), 1);
		/* Where an interpreter gives a buffer back says nothing of the program. */
		stack = g_config.free_stacks && !stack_is_claimed(start) ? stack_capture_native(thread, start)
									 : 0;
		if (__builtin_expect(slot == NULL || former != NULL || object_count() != 0, 0))
			known = death_unusual(thread, (uintptr_t)block, former, stack);
		else if ((known = shadow_remove_usual(thread, slot)))
			emit_free_usual(thread, (uintptr_t)block, stack);
	}
	if (!known)
		roots_forget_hidden(block);
	if (!guard.entered)
		shadow_forget((uintptr_t)block);
	guard_leave(&guard);
	return known;
}

static __attribute__((noinline)) bool death(void *block, struct shadow_block *former,
					    const struct stack_start *start)
{
	return death_here(block, former, start);
}

/* A realloc failed after the death of its block was recorded. */
static void undo_death(const struct shadow_block *former)
{
	struct guard guard;
	struct thread *thread;

	if (guard_enter(&guard) && (thread = thread_self()) != NULL) {
		shadow_restore(thread, former);
		emit_event(thread, CASTAWAY_EVENT_REALLOC_FAILED, (const uint64_t[]){former->address});
	}
	guard_leave(&guard);
}

static inline void zero_word(char *bytes)
{
	__builtin_memset(bytes, 0, sizeof(uint64_t));
}

/* Recycled memory still holds the pointers that it held before, and would keep
 * alive what they lead to.  What is shorter than a pointer holds none. */
static inline void scrub(void *block, size_t from, size_t to)
{
	char *bytes = block;

	if (!g_config.scrub || !g_config.scan || to > SCRUB_MAX || to < from + sizeof(uint64_t))
		return;
	if (to - from > SCRUB_WORDS) {
		memset(bytes + from, 0, to - from);
		return;
	}
	/* The last word overlaps. */
	for (; from + sizeof(uint64_t) < to; from += sizeof(uint64_t))
		zero_word(bytes + from);
	zero_word(bytes + to - sizeof(uint64_t));
}

static inline void *born(void *block, size_t size, const struct stack_start *start)
{
	if (block != NULL && !t_guard.told)
		birth(block, size, start);
	return block;
}

/* Memory that is about to be zeroed mostly comes from far away.  Stores that wait
 * for it hold up all that come after them; asked for early, it is there in time. */
static inline void prefetch(void *block, size_t size)
{
	const size_t end = size < PREFETCH_MAX ? size : PREFETCH_MAX;

	if (size > SCRUB_MAX)
		return;
	for (size_t at = 0; at < end; at += CACHE_LINE)
		__builtin_prefetch((char *)block + at, 1);
}

static inline __attribute__((always_inline)) void *
born_dirty_by(void *block, size_t size, const struct stack_start *start, typeof(birth) *birth_by)
{
	bool dirty;

	if (__builtin_expect(block == NULL || t_guard.told, 0))
		return block;
	/* An interpreter's buffers are read by its adapter, not scanned. */
	dirty = !stack_is_claimed(start);
	if (dirty)
		prefetch(block, size);
	birth_by(block, size, start);
	if (dirty)
		scrub(block, 0, size);
	return block;
}

static inline void *born_dirty(void *block, size_t size, const struct stack_start *start)
{
	return born_dirty_by(block, size, start, birth);
}

HOOK_EXPORT HOT_CODE void *malloc(size_t size)
{
	const struct stack_start start = STACK_START();

	if (!resolve_ready())
		return resolve_boot_alloc(0, size);
	return born_dirty_by(g_real.malloc(size), size, &start, birth_here);
}

HOOK_EXPORT HOT_CODE void *calloc(size_t count, size_t size)
{
	const struct stack_start start = STACK_START();

	if (!resolve_ready())
		return resolve_boot_alloc(0, count * size);
	return born(g_real.calloc(count, size), count * size, &start);
}

static inline __attribute__((always_inline)) void release_by(void *block, const struct stack_start *start,
							     typeof(death) *death_by)
{
	if (block == NULL || resolve_boot_owns(block) || !resolve_ready())
		return;
	(void)death_by(block, NULL, start);
	g_real.free(block);
}

static void release(void *block, const struct stack_start *start)
{
	release_by(block, start, death);
}

HOOK_EXPORT HOT_CODE void free(void *block)
{
	const struct stack_start start = STACK_START();

	release_by(block, &start, death_here);
}

HOOK_EXPORT void cfree(void *block)
{
	const struct stack_start start = STACK_START();

	release(block, &start);
}

HOOK_EXPORT void free_sized(void *block, size_t size)
{
	const struct stack_start start = STACK_START();

	release(block, &start);
}

HOOK_EXPORT void free_aligned_sized(void *block, size_t alignment, size_t size)
{
	const struct stack_start start = STACK_START();

	release(block, &start);
}

/* Out of the boot region, where blocks are never given back. */
static void *move_boot_block(void *block, size_t size)
{
	size_t old = resolve_boot_size(block);
	void *copy = resolve_ready() ? g_real.malloc(size) : resolve_boot_alloc(0, size);

	if (copy != NULL)
		memcpy(copy, block, old < size ? old : size);
	return copy;
}

static HOT_CODE void *resize(void *block, size_t size, const struct stack_start *start)
{
	struct shadow_block former;
	size_t usable;
	void *moved;
	bool known;

	if (resolve_boot_owns(block))
		return move_boot_block(block, size);
	if (!resolve_ready())
		return resolve_boot_alloc(0, size);
	if (block == NULL)
		return born_dirty(g_real.realloc(NULL, size), size, start);
	/* A program may use all of it, and realloc keeps it. */
	usable = g_config.scrub && g_config.scan && !t_guard.told ? g_real.malloc_usable_size(block) : 0;
	known = death(block, &former, start);
	moved = g_real.realloc(block, size);
	if (moved != NULL && usable != 0)
		scrub(moved, usable, size);
	if (moved != NULL)
		(void)born(moved, size, start);
	else if (size != 0 && known) /* with size 0 the block was freed */
		undo_death(&former);
	return moved;
}

HOOK_EXPORT HOT_CODE void *realloc(void *block, size_t size)
{
	const struct stack_start start = STACK_START();

	return resize(block, size, &start);
}

HOOK_EXPORT void *reallocarray(void *block, size_t count, size_t size)
{
	const struct stack_start start = STACK_START();
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return resize(block, bytes, &start);
}

HOOK_EXPORT int posix_memalign(void **ret, size_t alignment, size_t size)
{
	const struct stack_start start = STACK_START();
	int error;

	if (!resolve_ready()) {
		*ret = resolve_boot_alloc(alignment, size);
		return *ret != NULL ? 0 : ENOMEM;
	}
	error = g_real.posix_memalign(ret, alignment, size);
	if (error == 0)
		(void)born_dirty(*ret, size, &start);
	return error;
}

/* X(name, parameters, arguments, alignment for the boot region) */
#define ALIGNED(X)                                                                      \
	X(aligned_alloc, (size_t alignment, size_t size), (alignment, size), alignment) \
	X(memalign, (size_t alignment, size_t size), (alignment, size), alignment)      \
	X(valloc, (size_t size), (size), 4096)                                          \
	X(pvalloc, (size_t size), (size), 4096)

#define X(name, parameters, arguments, boot_alignment)                   \
	HOOK_EXPORT void *name parameters                                \
	{                                                                \
		const struct stack_start start = STACK_START();          \
                                                                         \
		if (!resolve_ready())                                    \
			return resolve_boot_alloc(boot_alignment, size); \
		return born_dirty(g_real.name arguments, size, &start);  \
	}
ALIGNED(X)
#undef X

HOOK_EXPORT size_t malloc_usable_size(void *block)
{
	if (resolve_boot_owns(block))
		return resolve_boot_size(block);
	return resolve_ready() ? g_real.malloc_usable_size(block) : 0;
}
