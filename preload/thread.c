/* SPDX-License-Identifier: Apache-2.0
 *
 * Per-thread states.  Runs in the thread that a state belongs to, with the
 * guard held; the list is read by the helper.  A state outlives its thread, and
 * is taken over by a new one once the kernel says that the old one is gone.
 */
#include "thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "arena.h"
#include "emit.h"
#include "rawio.h"
#include "writer.h"

__thread struct guard_state t_guard GUARD_TLS;
uint32_t g_thread_fork_pending;

static struct thread *s_threads;
static uint32_t s_last_number;
static pthread_key_t s_key;
static bool s_key_made;

/* Key destructors of others may free a lot: ours asks to be called again, and
 * counts the thread as finished in its last round. */
#define LAST_ROUND 3u

#define CACHE_LINE 64u

/* How long fork() waits for threads that are inside libunwind. */
#define FORK_PATIENCE_NS 100000000u

static void read_name(struct thread *thread)
{
	char name[sizeof(thread->name)] = "";

	(void)RAW_CALL(SYS_prctl, PR_GET_NAME, name);
	if (memcmp(name, thread->name, sizeof(name)) == 0)
		return;
	memcpy(thread->name, name, sizeof(name));
	__atomic_store_n(&thread->announced, 0, __ATOMIC_RELEASE);
}

static void finish(void *arg)
{
	struct thread *thread = arg;

	t_guard.depth++;
	if (++thread->rounds < LAST_ROUND) {
		(void)pthread_setspecific(s_key, thread);
	} else {
		read_name(thread);
		if (thread->buffer != NULL)
			writer_give(thread->buffer);
		thread_drop_buffer(thread);
		thread->limit = 0; /* what still comes is handed over at once */
		__atomic_store_n(&thread->finished, THREAD_FINISHED, __ATOMIC_RELEASE);
	}
	t_guard.depth--;
}

static bool is_gone(const struct thread *thread)
{
	if (thread->kernel_tid == 0)
		return true;
	return RAW_CALL(SYS_tgkill, rawio_pid(), thread->kernel_tid, 0) == -ESRCH;
}

/* A state whose thread is gone and whose THREADS entry is written. */
static struct thread *take_over(void)
{
	for (struct thread *thread = thread_first(); thread != NULL; thread = thread->next) {
		uint32_t life = THREAD_FINISHED;

		if (__atomic_load_n(&thread->finished, __ATOMIC_RELAXED) != THREAD_FINISHED ||
		    __atomic_load_n(&thread->announced, __ATOMIC_ACQUIRE) != thread->number)
			continue;
		if (!__atomic_compare_exchange_n(&thread->finished, &life, THREAD_CLAIMED, false,
						 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			continue;
		if (is_gone(thread))
			return thread;
		__atomic_store_n(&thread->finished, THREAD_FINISHED, __ATOMIC_RELEASE);
	}
	return NULL;
}

static struct thread *add_new(void)
{
	/* Every thread writes into its own all the time: own cache lines. */
	uint8_t *memory = arena_alloc(sizeof(struct thread) + CACHE_LINE);
	struct thread *thread;

	if (memory == NULL)
		return NULL;
	thread = (void *)(((uintptr_t)memory + CACHE_LINE - 1) & ~(uintptr_t)(CACHE_LINE - 1));
	thread->finished = THREAD_CLAIMED;
	thread->next = __atomic_load_n(&s_threads, __ATOMIC_ACQUIRE);
	while (!__atomic_compare_exchange_n(&s_threads, &thread->next, thread, true, __ATOMIC_ACQ_REL,
					    __ATOMIC_ACQUIRE))
		;
	return thread;
}

/* Makes the state the calling thread's.  The caches and free lists in it stay. */
static void own(struct thread *thread)
{
	if (thread->buffer != NULL)
		writer_give(thread->buffer);
	thread_drop_buffer(thread);
	thread->limit = 0;
	thread->in_unwind = 0;
	thread->counting = 0;
	thread->rounds = 0;
	thread->kernel_tid = rawio_tid();
	thread->start_ticks = clock_ticks();
	memset(thread->name, 0, sizeof(thread->name));
	read_name(thread);
	__atomic_store_n(&thread->number, __atomic_add_fetch(&s_last_number, 1, __ATOMIC_RELAXED),
			 __ATOMIC_RELEASE);
	__atomic_store_n(&thread->finished, THREAD_LIVES, __ATOMIC_RELEASE);
}

struct thread *thread_self_slow(void)
{
	struct thread *thread = take_over();

	if (thread == NULL)
		thread = add_new();
	if (thread == NULL) {
		limits_count(CASTAWAY_LIMIT_MEMORY, 1, NULL);
		return NULL;
	}
	own(thread);
	if (thread_first()->next != NULL)
		clock_set_precise();
	t_guard.thread = thread;
	/* The key was made before all others of the program, so its value lies
	 * in the thread's own block and nothing is allocated. */
	if (s_key_made)
		(void)pthread_setspecific(s_key, thread);
	return thread;
}

struct thread *thread_first(void)
{
	return __atomic_load_n(&s_threads, __ATOMIC_ACQUIRE);
}

void thread_init(void)
{
	s_key_made = pthread_key_create(&s_key, finish) == 0;
}

void thread_fork_prepare(void)
{
	uint64_t deadline = rawio_clock(CLOCK_MONOTONIC) + FORK_PATIENCE_NS;

	__atomic_store_n(&g_thread_fork_pending, 1, __ATOMIC_SEQ_CST);
	for (struct thread *thread = thread_first(); thread != NULL; thread = thread->next) {
		/* A thread that was killed in there never leaves: bounded. */
		while (__atomic_load_n(&thread->in_unwind, __ATOMIC_SEQ_CST) != 0 &&
		       thread != t_guard.thread && rawio_clock(CLOCK_MONOTONIC) < deadline)
			(void)RAW_CALL(SYS_sched_yield, 0);
	}
}

void thread_fork_release(void)
{
	__atomic_store_n(&g_thread_fork_pending, 0, __ATOMIC_SEQ_CST);
}

void thread_after_fork(void)
{
	struct thread *self = t_guard.thread;

	s_last_number = 0;
	for (struct thread *thread = thread_first(); thread != NULL; thread = thread->next) {
		thread_drop_buffer(thread);
		thread->limit = 0;
		thread->in_unwind = 0;
		thread->counting = 0;
		thread->dropped = thread->left_out = 0;
		if (thread == self)
			continue;
		thread->kernel_tid = 0;
		thread->announced = thread->number;
		thread->finished = THREAD_FINISHED;
	}
	if (self != NULL) {
		own(self);
		__atomic_store_n(&self->announced, 0, __ATOMIC_RELEASE);
	}
	thread_fork_release();
}
