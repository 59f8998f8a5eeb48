/* SPDX-License-Identifier: Apache-2.0
 *
 * The stack walker on libunwind, which is opened privately at run time.  Runs
 * in the target's threads, under the guard, so that what libunwind allocates is
 * not taken for the target's.  It has locks of its own: fork() waits until no
 * thread is in here, and nobody enters while a fork is pending.
 */
#include <dlfcn.h>
#include <string.h>

#include "arena.h"
#include "emit.h"
#include "modules.h"
#include "resolve.h"
#include "stack.h"
#include "unwind.h"

#define CACHE_PER_THREAD 2 /* UNW_CACHE_PER_THREAD */

static struct {
	int (*backtrace)(void **buffer, int size);
	int (*set_caching_policy)(void *space, int policy);
	void (*flush_cache)(void *space, uintptr_t low, uintptr_t high);
	int (*get_context)(void *context);
	int (*init_local)(void *cursor, void *context);
	int (*step)(void *cursor);
	void **local_space;
} s_unwind;

/* What libunwind calls by these names on every architecture, in words. */
#define CURSOR_WORDS  127
#define CONTEXT_WORDS 256

static struct unwind_thread *own_part(struct thread *thread, size_t max)
{
	struct unwind_thread *own = thread->unwind;

	if (own->room >= max + UNWIND_OWN_FRAMES)
		return own;
	own->pcs = arena_map((max + UNWIND_OWN_FRAMES) * sizeof(*own->pcs));
	own->room = own->pcs ? max + UNWIND_OWN_FRAMES : 0;
	return own->pcs ? own : NULL;
}

/* False while a fork is on its way.  Both sides store first and load second, so
 * at least one of them sees the other. */
static bool enter(struct thread *thread)
{
	__atomic_store_n(&thread->in_unwind, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&g_thread_fork_pending, __ATOMIC_SEQ_CST))
		return true;
	__atomic_store_n(&thread->in_unwind, 0, __ATOMIC_RELEASE);
	return false;
}

static void forget(uintptr_t lo, uintptr_t hi)
{
	if (s_unwind.flush_cache && s_unwind.local_space)
		s_unwind.flush_cache(*s_unwind.local_space, lo, hi);
}

static size_t walk(struct thread *thread, const struct stack_start *start, uintptr_t *pcs, size_t max)
{
	struct unwind_thread *own = own_part(thread, max);
	size_t count = 0, first = 0;
	uint32_t epoch = modules_epoch();

	if (s_unwind.backtrace && own && enter(thread)) {
		if (own->epoch != epoch) {
			unwind_forget_frames(own);
			forget(0, 0);
		}
		own->epoch = epoch;
		count = (size_t)s_unwind.backtrace((void **)own->pcs, (int)own->room);
		__atomic_store_n(&thread->in_unwind, 0, __ATOMIC_RELEASE);
		if (count > own->room)
			count = 0;
	}
	/* The frames before the hook's caller are castaway's. */
	while (first < count && own->pcs[first] != start->pc)
		first++;
	if (first == count) {
		pcs[0] = start->pc;
		return start->pc ? 1 : 0;
	}
	count -= first;
	if (count > max)
		count = max;
	memcpy(pcs, own->pcs + first, count * sizeof(*pcs));
	return count;
}

const struct stack_walker unwind_libunwind = {"libunwind", walk, forget};

static void load(void)
{
	void *library = g_real.dlopen ? g_real.dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL) : NULL;

	if (!library)
		return;
	*(void **)&s_unwind.set_caching_policy = dlsym(library, "_ULx86_64_set_caching_policy");
	*(void **)&s_unwind.flush_cache = dlsym(library, "_Ux86_64_flush_cache");
	*(void **)&s_unwind.local_space = dlsym(library, "_ULx86_64_local_addr_space");
	*(void **)&s_unwind.get_context = dlsym(library, "_Ux86_64_getcontext");
	*(void **)&s_unwind.init_local = dlsym(library, "_ULx86_64_init_local");
	*(void **)&s_unwind.step = dlsym(library, "_ULx86_64_step");
	*(void **)&s_unwind.backtrace = dlsym(library, "unw_backtrace");
}

/* Its first call reads and sets up what later ones must not have to.  By steps: a
 * backtrace would make a quarter of a MiB of tables, and most programs need none. */
static void first_call(void)
{
	uint64_t cursor[CURSOR_WORDS], context[CONTEXT_WORDS];
	void *frames[4];

	if (!s_unwind.get_context || !s_unwind.init_local || !s_unwind.step) {
		(void)s_unwind.backtrace(frames, 4);
		return;
	}
	if (s_unwind.get_context(context) == 0 && s_unwind.init_local(cursor, context) == 0)
		(void)s_unwind.step(cursor);
}

void unwind_init(void)
{
	struct thread *thread = thread_self();

	load();
	/* Without it every stack is its innermost frame only. */
	if (!s_unwind.backtrace || !thread) {
		limits_count(CASTAWAY_LIMIT_NO_STACKS, 0, "libunwind.so.8 was not found");
		s_unwind.backtrace = NULL;
		return;
	}
	unwind_patch(*(void **)&s_unwind.backtrace);
	thread->in_unwind = 1;
	if (s_unwind.set_caching_policy && s_unwind.local_space)
		s_unwind.set_caching_policy(*s_unwind.local_space, CACHE_PER_THREAD);
	first_call();
	thread->in_unwind = 0;
}
