/* SPDX-License-Identifier: Apache-2.0
 *
 * Per-thread state: the event buffer being filled, the unwinder's cache, free
 * lists.  Created at a thread's first event, found through t_guard, kept in one
 * lock-free list, and reused only after the kernel thread is gone: frees that
 * libc does after the thread's key destructors still belong to it.
 */
#ifndef THREAD_H
#define THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "guard.h"
#include "pool.h"

struct buffer; /* writer.h */

/* Of thread.finished: a dead state is claimed, checked, and reused or put back. */
enum thread_life { THREAD_LIVES, THREAD_FINISHED, THREAD_CLAIMED };

struct thread {
	/* What every event needs, in two cache lines and the free list's end.  emit.c: */
	struct buffer *buffer;
	uint64_t seen_clock; /* the value of g_clock_now at last_ticks, else CLOCK_UNSEEN */
	uint64_t last_block, last_object;
	uint32_t last_stack; /* decoder state of the current buffer */
	uint32_t limit;      /* the buffer is handed over when it holds as many events */
	int64_t births;      /* shadow.c: births minus deaths not yet added to the generation counter */
	void *replay;        /* stack.c: the fast unwinder's part */
	uint64_t last_ticks;
	struct pool_cache block_free; /* shadow.c */

	void *unwind; /* stack.c */
	void *script; /* cpython_stack.c */
	uint64_t dropped;
	uint64_t left_out; /* events=live */

	struct thread *next; /* list of all, never unlinked */
	uint32_t number;     /* trace's thread number, from 1, new for each owner */
	int32_t kernel_tid;
	uint32_t in_unwind; /* 1 while libunwind may hold its locks: fork waits for that */
	uint32_t finished;  /* enum thread_life; after the key destructor */
	uint32_t counting;  /* 1 while the objects may be ahead of the events */

	/* For the THREADS table: written by the owner, then `announced` is set to
	 * the number by the writer. */
	uint64_t start_ticks;
	char name[16];
	uint32_t announced;
	uint32_t rounds; /* of the key destructor */
};

/* The calling thread's state; NULL when there is no memory for it.  Call with
 * the guard held. */
struct thread *thread_self_slow(void);
static inline struct thread *thread_self(void)
{
	struct thread *thread = t_guard.thread;

	return __builtin_expect(thread != NULL, 1) ? thread : thread_self_slow();
}

/* It has been, or will be, handed over: the next event begins another. */
static inline void thread_drop_buffer(struct thread *thread)
{
	thread->buffer = NULL;
	thread->seen_clock = CLOCK_UNSEEN;
}

struct thread *thread_first(void); /* the list; follow ->next */
void thread_init(void);

/* Around fork(), in the forking thread: while it is set, stack_capture() must
 * return 0, and prepare waits (bounded) until no thread is in_unwind. */
extern uint32_t g_thread_fork_pending;
void thread_fork_prepare(void);
void thread_fork_release(void);
/* In a fork child: the calling thread is the only one left. */
void thread_after_fork(void);

#endif
