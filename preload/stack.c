/* SPDX-License-Identifier: Apache-2.0
 *
 * From a hook's entry to one stack number.  Runs in the target's threads, under
 * the guard, at nearly every event: the frames that the thread's previous stack
 * had too, counted from the bottom, are not looked up again.
 */
#include "stack.h"

#include <string.h>

#include "arena.h"
#include "config.h"
#include "emit.h"
#include "hot.h"
#include "modules.h"
#include "stack_mixed.h"
#include "unwind.h"
#include "unwind_replay.h"

struct stack_cache {
	struct unwind_thread unwind; /* first: the walker finds its part through thread->unwind */
	struct stack_mixed *mixed;   /* made when there is a claim */
	uint32_t epoch;              /* of the modules at the last stack */
	size_t count;
	uintptr_t *pcs, *former; /* innermost first; room for s_depth + 1 each */
	uint32_t *nodes;         /* of the last stack, outermost first */
};

HOT struct stack_claim g_stack_claim;
static const struct stack_walker *s_walker = &unwind_libunwind;
static HOT size_t s_depth;
static HOT size_t s_plain_depth; /* of a stack that is recorded without a further look */

static __attribute__((noinline)) struct stack_cache *make_cache(struct thread *thread)
{
	size_t room = s_depth + 1;
	size_t size = sizeof(struct stack_cache) + room * (2 * sizeof(uintptr_t) + sizeof(uint32_t));
	struct stack_cache *cache = arena_map(size);

	if (!cache)
		return NULL;
	cache->pcs = (uintptr_t *)(cache + 1);
	cache->former = cache->pcs + room;
	cache->nodes = (uint32_t *)(cache->former + room);
	/* For deeper stacks than are recorded, lest it must give up on them. */
	if (g_config.fast_stacks)
		thread->replay = unwind_replay_new(UNWIND_REPLAY_DEPTH_MAX);
	thread->unwind = cache;
	return cache;
}

/* How many frames at the bottom are those of the former stack. */
static size_t common_bottom(const struct stack_cache *cache, size_t count)
{
	size_t least = count < cache->count ? count : cache->count;
	size_t same = 0;

	while (same < least && cache->pcs[count - 1 - same] == cache->former[cache->count - 1 - same])
		same++;
	return same;
}

static uint32_t intern(struct stack_cache *cache, size_t count)
{
	uint32_t epoch = modules_epoch();
	size_t done = epoch == cache->epoch ? common_bottom(cache, count) : 0;
	uint32_t node = done ? cache->nodes[done - 1] : 0;
	uintptr_t *swap = cache->former;

	for (; done < count; done++) {
		uint32_t next = stack_tree_native(node, cache->pcs[count - 1 - done]);

		/* Without memory: what is there so far, and nothing to build on. */
		if (!next) {
			cache->count = 0;
			return node;
		}
		node = next;
		cache->nodes[done] = node;
	}
	cache->former = cache->pcs;
	cache->pcs = swap;
	cache->count = count;
	cache->epoch = epoch;
	return node;
}

/* The same for any number of frames in cache->pcs. */
static uint32_t intern_deep(struct stack_cache *cache, size_t count)
{
	uint32_t node;

	if (count > s_depth) {
		count = s_depth;
		limits_count(CASTAWAY_LIMIT_STACK_DEPTH, 1, NULL);
	}
	node = count > 0 ? intern(cache, count) : 0;
	if (!node)
		limits_count(CASTAWAY_LIMIT_NO_STACKS, 1, NULL);
	return node;
}

static void set_claim(void)
{
	uintptr_t size = __atomic_load_n(&g_stack_claim.paused, __ATOMIC_ACQUIRE) == 0
				 ? __atomic_load_n(&g_stack_claim.whole, __ATOMIC_ACQUIRE)
				 : 0;

	__atomic_store_n(&g_stack_claim.size, size, __ATOMIC_RELEASE);
}

void stack_claim_set(uintptr_t size)
{
	__atomic_store_n(&g_stack_claim.whole, size, __ATOMIC_RELEASE);
	set_claim();
}

void stack_claim_pause(void)
{
	__atomic_add_fetch(&g_stack_claim.paused, 1, __ATOMIC_ACQ_REL);
	set_claim();
}

void stack_claim_resume(void)
{
	__atomic_sub_fetch(&g_stack_claim.paused, 1, __ATOMIC_ACQ_REL);
	set_claim();
}

/* What libunwind says of the same stack, frame for frame. */
static void verify(struct thread *thread, struct stack_cache *cache, const struct stack_start *start,
		   uint32_t node)
{
	size_t fast = unwind_replay_last(thread->replay, node, cache->former, s_depth);
	size_t slow = s_walker->walk(thread, start, cache->pcs, s_depth);

	cache->count = 0; /* `former` was overwritten */
	limits_count(CASTAWAY_LIMIT_STACKS_VERIFIED, 1, NULL);
	if (fast != slow || memcmp(cache->former, cache->pcs, fast * sizeof(*cache->pcs)) != 0)
		limits_count(CASTAWAY_LIMIT_STACKS_DIFFER, 1, NULL);
}

/* A stack that the fast unwinder has found needs another look: it is deeper than is
 * recorded, or all are compared. */
static __attribute__((noinline)) uint32_t look_again(struct thread *thread, const struct stack_start *start,
						     struct unwind_replay_stack found)
{
	struct stack_cache *cache = thread->unwind;

	if (g_config.verify_stacks)
		verify(thread, cache, start, found.node);
	if (found.frames <= s_depth)
		return found.node;
	return intern_deep(cache, unwind_replay_last(thread->replay, found.node, cache->pcs, s_depth + 1));
}

static __attribute__((noinline)) uint32_t capture_slowly(struct thread *thread,
							 const struct stack_start *start)
{
	struct stack_cache *cache = thread->unwind;

	return intern_deep(cache, s_walker->walk(thread, start, cache->pcs, s_depth + 1));
}

/* With the frames of a runtime that claims some. */
static inline uint32_t claimed(struct thread *thread, uint32_t native)
{
	struct stack_cache *cache = thread->unwind;

	if (__builtin_expect(g_stack_claim.size == 0, 1) || native == 0)
		return native;
	if (cache->mixed == NULL)
		cache->mixed = stack_mixed_new();
	return cache->mixed != NULL ? stack_mixed_node(cache->mixed, native) : native;
}

/* A thread's first stack, or one where the fast unwinder is not in use. */
static __attribute__((noinline)) uint32_t capture_without(struct thread *thread,
							  const struct stack_start *start)
{
	if (s_depth == 0)
		return 0;
	if (thread->unwind != NULL)
		return claimed(thread, capture_slowly(thread, start));
	if (make_cache(thread) != NULL)
		return stack_capture_native(thread, start);
	limits_count(CASTAWAY_LIMIT_NO_STACKS, 1, NULL);
	return 0;
}

HOT_CODE uint32_t stack_capture_native(struct thread *thread, const struct stack_start *start)
{
	struct unwind_replay_stack found;
	uint32_t node;

	if (__builtin_expect(thread->replay == NULL, 0))
		return capture_without(thread, start);
	found = unwind_replay_capture(thread->replay, start);
	node = found.node;
	if (__builtin_expect(node == 0, 0))
		node = capture_slowly(thread, start);
	else if (__builtin_expect(found.frames > s_plain_depth, 0))
		node = look_again(thread, start, found);
	return claimed(thread, node);
}

void stack_init(void)
{
	struct thread *thread = thread_self();

	s_depth = g_config.depth < CASTAWAY_MAX_STACK_DEPTH ? g_config.depth : CASTAWAY_MAX_STACK_DEPTH;
	modules_refresh();
	if (!stack_tree_init())
		s_depth = 0;
	s_plain_depth = g_config.verify_stacks ? 0 : s_depth;
	/* The cache first: the unwinder notes there what it must forget one day. */
	if (s_depth && thread && (thread->unwind || make_cache(thread)))
		unwind_init();
}
