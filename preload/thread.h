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

#include "guard.h"

struct buffer; /* writer.h */

struct thread {
	struct thread *next; /* list of all, never unlinked */
	uint32_t number;     /* trace's thread number, from 1, new for each owner */
	int32_t kernel_tid;
	uint32_t in_unwind; /* 1 while libunwind may hold its locks: fork waits for that */
	uint32_t finished;  /* 1 after the key destructor */

	/* emit.c */
	struct buffer *buffer;
	uint64_t last_ticks; /* decoder state of the current buffer */
	uint64_t last_block, last_object;
	uint64_t events, dropped;

	/* shadow.c, object.c: free lists of record pools */
	uint32_t block_free, block_free_count;
	int64_t births; /* blocks: births minus deaths not yet added to the generation counter */

	void *unwind; /* stack.c */
	void *script; /* cpython_stack.c */
};

/* The calling thread's state; NULL when there is no memory for it.  Call with
 * the guard held. */
struct thread *thread_self_slow(void);
static inline struct thread *thread_self(void)
{
	struct thread *thread = t_guard.thread;

	return __builtin_expect(thread != NULL, 1) ? thread : thread_self_slow();
}

struct thread *thread_first(void); /* the list; follow ->next */
void thread_init(void);
/* In a fork child: the calling thread is the only one left. */
void thread_after_fork(void);

#endif
