/* SPDX-License-Identifier: Apache-2.0
 *
 * The fast unwinder: replays the thread's last walk.
 *
 * A walk is a function of its start and of the words of the stack that it read.
 * Each thread keeps its last walk with those words.  At the next event the
 * words are read again, from the bottom of the stack up; as far as they are
 * unchanged, so is the walk from there on, and only the frames above are walked
 * and looked up anew.  No return address is patched, so exceptions, longjmp and
 * switched stacks need no care: they only change words.
 *
 * One step takes the rule for the return address (cfi.h), which is kept in a
 * table that all threads share without a lock.  What the rules cannot express,
 * and any stack but the thread's own (signal stacks, coroutines), is left to
 * libunwind.
 */
#ifndef UNWIND_REPLAY_H
#define UNWIND_REPLAY_H

#include <stdbool.h>

#include "stack.h"

/* A thread's part, for stacks of at most `depth` frames; NULL without memory. */
#define UNWIND_REPLAY_DEPTH_MAX 4096u
struct unwind_replay;
struct unwind_replay *unwind_replay_new(uint32_t depth);

/* A stack; node 0: not this stack, ask libunwind. */
struct unwind_replay_stack {
	uint32_t node, frames;
};

/* The stack that starts there.  Guard held; takes no lock, so fork need not wait for it. */
struct unwind_replay_stack unwind_replay_capture(struct unwind_replay *replay,
						 const struct stack_start *start);

/* The return addresses of the last capture, which has found `node`, innermost first, at
 * most `max`. */
size_t unwind_replay_last(const struct unwind_replay *replay, uint32_t node, uintptr_t *pcs, size_t max);

#endif
