/* SPDX-License-Identifier: Apache-2.0
 *
 * Stops the target's threads for as long as a fork takes, and tells what their
 * processors held.  Runs in the helper process.  The thread that asked for the
 * snapshot waits by itself, with all signals blocked, and is left alone.
 */
#ifndef STOP_H
#define STOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "castaway/format.h"

/* Numbered as DWARF does: rax rdx rcx rbx rsi rdi rbp rsp r8 ... r15. */
#define STOP_REGISTERS 18

struct stopped_thread {
	int32_t tid;
	bool in_syscall; /* below its stack pointer nothing is alive */
	uint32_t register_count;
	uintptr_t pc, sp; /* sp 0 = not known */
	uintptr_t tls;    /* thread pointer, 0 = not known */
	uint64_t registers[STOP_REGISTERS];
};

#define STOP_MAX_THREADS 16384u

struct stop {
	pid_t target;
	int32_t requester; /* 0 = none */
	struct stopped_thread *threads;
	size_t count;
	enum castaway_snapshot_method method;
	/* Installs the handler of stop_signal.c in the target; false: nobody did. */
	bool (*install)(void *arg);
	void *arg;
};

/* `requester` may be NULL.  What cannot be stopped runs on: method INPLACE.
 * False when not even the threads' names are known. */
bool stop_begin(struct stop *stop, pid_t target, const struct stopped_thread *requester);
void stop_end(struct stop *stop);

/* ---- what stop.c and its methods share ------------------------------------ */

/* Calls visit for every task of the target; false when there is no list, or as
 * soon as visit says so. */
bool stop_list(pid_t target, bool (*visit)(void *arg, int32_t tid), void *arg);

bool stop_is_dead(pid_t target, int32_t tid); /* gone, or a zombie */
/* It runs, or waits for a processor or for its tracer, and does not block this
 * signal. */
bool stop_will_take(pid_t target, int32_t tid, int number);

/* A thread that sits in the kernel and cannot be talked to: where it will come
 * back.  False when it runs. */
bool stop_describe_blocked(pid_t target, int32_t tid, struct stopped_thread *ret);

/* NULL when there are too many. */
struct stopped_thread *stop_add(struct stop *stop, int32_t tid);

/* Waits a little between two looks; false when it is past the deadline. */
bool stop_pause(uint64_t deadline);

/* Each: true when all threads but the requester stand; else none does. */
bool stop_ptrace_begin(struct stop *stop);
void stop_ptrace_end(struct stop *stop);
/* Lets go of threads that did not stop in time, now and then; true when there
 * are none. */
bool stop_ptrace_reap(void);
bool stop_signal_begin(struct stop *stop);
void stop_signal_end(struct stop *stop);

/* In a thread of the target. */
void stop_signal_install(void);
/* What a signal's handler was told of the thread that it interrupted. */
void stop_signal_describe(struct stopped_thread *thread, const void *context);
void stop_signal_after_fork(void);

#endif
