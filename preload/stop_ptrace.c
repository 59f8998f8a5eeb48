/* SPDX-License-Identifier: Apache-2.0
 *
 * Stops threads as a debugger does.  Runs in the helper, which is no thread of
 * the target's group and may therefore trace it.  System calls that are
 * interrupted go on when the thread is let go; signals that come meanwhile are
 * passed on, and a process that was stopped by job control stays stopped.
 */
#include <errno.h>
#include <linux/elf.h>
#include <linux/ptrace.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include "arch.h"
#include "arena.h"
#include "blocked.h"
#include "rawio.h"
#include "stop.h"

#define PATIENCE_NS 1000000000u
#define SETTLE_NS   20000000u
#define MAX_ROUNDS  64u
/* The kernel's own: as EINTR where a handler runs, else the call is repeated. */
#define ERESTARTNOHAND_ 514

enum tracee_state { TRACEE_SEIZED, TRACEE_STANDS, TRACEE_GONE };

struct tracee {
	int32_t tid;
	uint8_t state;
	uint8_t signal; /* it was about to get this one */
};

static struct {
	struct tracee *list;
	size_t count;
	bool grew;
} s_tracees;

static long trace(long request, int32_t tid, long address, const void *data)
{
	return RAW_CALL(SYS_ptrace, request, tid, address, data);
}

static bool is_known(int32_t tid)
{
	for (size_t i = 0; i < s_tracees.count; i++) {
		if (s_tracees.list[i].tid == tid)
			return s_tracees.list[i].state != TRACEE_GONE;
	}
	return false;
}

static bool seize(void *arg, int32_t tid)
{
	const struct stop *stop = arg;
	long result;

	if (tid == stop->requester || is_known(tid))
		return true;
	if (s_tracees.count == STOP_MAX_THREADS)
		return false;
	result = trace(PTRACE_SEIZE, tid, 0, NULL);
	if (result < 0)
		return result == -ESRCH || stop_is_dead(stop->target, tid);
	s_tracees.list[s_tracees.count++] = (struct tracee){tid, TRACEE_SEIZED, 0};
	s_tracees.grew = true;
	(void)trace(PTRACE_INTERRUPT, tid, 0, NULL);
	return true;
}

/* One look at a thread that was told to stop. */
static void look(struct tracee *tracee)
{
	int status = 0;
	long result = RAW_CALL(SYS_wait4, tracee->tid, &status, __WALL | WNOHANG, NULL);

	if (result == 0 || result == -EINTR)
		return;
	if (result < 0 || !WIFSTOPPED(status)) {
		tracee->state = TRACEE_GONE;
		return;
	}
	tracee->state = TRACEE_STANDS;
	/* With an event it stands for us or for job control, else for a signal
	 * that it must still get. */
	if (status >> 16 == 0)
		tracee->signal = (uint8_t)WSTOPSIG(status);
}

static size_t count_running(void)
{
	size_t running = 0;

	for (size_t i = 0; i < s_tracees.count; i++) {
		if (s_tracees.list[i].state == TRACEE_SEIZED)
			look(&s_tracees.list[i]);
		running += s_tracees.list[i].state == TRACEE_SEIZED;
	}
	return running;
}

static bool peek(int32_t tid, uintptr_t address, uint64_t *ret)
{
	return trace(PTRACE_PEEKDATA, tid, (long)address, ret) == 0;
}

static bool poke(int32_t tid, uintptr_t address, uint64_t value)
{
	return trace(PTRACE_POKEDATA, tid, (long)address, (const void *)(uintptr_t)value) == 0;
}

/* Calls that end early for a tracer's stop.  Without a time limit they can be
 * begun again; with one, only a hook knows how much of it is left. */
static bool may_repeat(const struct user_regs_struct *registers)
{
	switch ((long)registers->orig_rax) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		return (int)registers->r10 < 0;
	case SYS_epoll_pwait2:
	case SYS_semtimedop:
		return registers->r10 == 0;
	case SYS_rt_sigtimedwait:
		return registers->rdx == 0;
	case SYS_io_getevents:
		return registers->r8 == 0;
	case SYS_semop:
		return true;
	default:
		return false;
	}
}

/* Where the thread has its t_blocked: as far from its thread pointer as ours. */
static uintptr_t blocked_of(const struct user_regs_struct *registers)
{
	return registers->fs_base + ((uintptr_t)&t_blocked - arch_thread_pointer());
}

/* The nanoseconds that are left of a call that a hook made. */
static bool time_left(int32_t tid, const struct user_regs_struct *registers, uint64_t *ret)
{
	const uintptr_t blocked = blocked_of(registers);
	uint64_t frame, deadline, now;

	if (!peek(tid, blocked + offsetof(struct blocked, frame), &frame) ||
	    !peek(tid, blocked + offsetof(struct blocked, deadline_ns), &deadline) ||
	    !blocked_is_in(frame, registers->rsp) || deadline == 0)
		return false;
	now = rawio_clock(CLOCK_MONOTONIC);
	*ret = deadline > now ? deadline - now : 0;
	return true;
}

/* Where the call of a hook has its limit as a struct timespec: what blocked_time()
 * told it, or a copy of libc's that the kernel writes what is left to as well. */
static uintptr_t limit_of(const struct user_regs_struct *registers)
{
	const uintptr_t told = blocked_of(registers) + offsetof(struct blocked, left);

	switch ((long)registers->orig_rax) {
	case SYS_epoll_pwait2:
	case SYS_semtimedop:
		return registers->r10 == told ? told : 0;
	case SYS_rt_sigtimedwait:
		return registers->rdx == told ? told : 0;
	case SYS_ppoll:
		return registers->rdx;
	case SYS_pselect6:
		return registers->r8;
	default:
		return 0;
	}
}

/* Gives a call that is begun again what is left of its time. */
static bool shorten(int32_t tid, struct user_regs_struct *registers)
{
	const uintptr_t limit = limit_of(registers);
	uint64_t left;

	if (!time_left(tid, registers, &left))
		return false;
	switch ((long)registers->orig_rax) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		registers->r10 = (left + 999999) / 1000000;
		return true;
	default:
		return limit != 0 &&
		       poke(tid, limit + offsetof(struct timespec, tv_sec), left / BLOCKED_NS) &&
		       poke(tid, limit + offsetof(struct timespec, tv_nsec), left % BLOCKED_NS);
	}
}

/* Then it is up to the kernel: where a handler is to run, the call still ends. */
static void repeat_call(int32_t tid, struct user_regs_struct *registers)
{
	struct iovec io = {registers, sizeof(*registers)};
	const long result = (long)registers->rax;

	if ((long)registers->orig_rax < 0 || (result != -EINTR && result != -ERESTARTNOHAND_) ||
	    (!may_repeat(registers) && !shorten(tid, registers)))
		return;
	registers->rax = (unsigned long)-ERESTARTNOHAND_;
	(void)trace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &io);
}

/* False when it was killed just now. */
static bool get_registers(int32_t tid, struct user_regs_struct *ret)
{
	struct iovec io = {ret, sizeof(*ret)};

	return trace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &io) >= 0;
}

static bool read_registers(struct stop *stop, int32_t tid)
{
	struct user_regs_struct all;
	struct stopped_thread *thread = stop_add(stop, tid);

	if (thread == NULL)
		return false;
	if (!get_registers(tid, &all)) {
		stop->count--;
		return true;
	}
	thread->pc = all.rip;
	thread->sp = all.rsp;
	thread->tls = all.fs_base;
	thread->in_syscall = (long)all.orig_rax >= 0;
	thread->register_count = 16;
	memcpy(thread->registers,
	       (const uint64_t[]){all.rax, all.rdx, all.rcx, all.rbx, all.rsi, all.rdi, all.rbp, all.rsp,
				  all.r8, all.r9, all.r10, all.r11, all.r12, all.r13, all.r14, all.r15},
	       16 * sizeof(uint64_t));
	return true;
}

static bool describe(struct stop *stop, const struct tracee *tracee)
{
	struct stopped_thread *thread;

	if (tracee->state == TRACEE_STANDS)
		return read_registers(stop, tracee->tid);
	if (tracee->state == TRACEE_GONE)
		return true;
	thread = stop_add(stop, tracee->tid);
	return thread != NULL && stop_describe_blocked(stop->target, tracee->tid, thread);
}

/* What sleeps on although it was told to stop (the parent of a vfork, a wait for
 * a disk) will stop before it runs any code of the target's again. */
static bool rest_sleeps(const struct stop *stop)
{
	struct stopped_thread unused;
	bool sleeps = true;

	for (size_t i = 0; i < s_tracees.count; i++)
		sleeps = sleeps && (s_tracees.list[i].state != TRACEE_SEIZED ||
				    stop_describe_blocked(stop->target, s_tracees.list[i].tid, &unused));
	return sleeps;
}

static bool wait_for_all(const struct stop *stop)
{
	const uint64_t start = rawio_clock(CLOCK_MONOTONIC);

	while (count_running() > 0) {
		if (!stop_pause(start + SETTLE_NS) && rest_sleeps(stop))
			return true;
		if (rawio_clock(CLOCK_MONOTONIC) > start + PATIENCE_NS)
			return false;
	}
	return true;
}

/* A thread that runs on may have made another: until a whole round adds none. */
static bool stop_all(struct stop *stop)
{
	for (unsigned round = 0; round < MAX_ROUNDS; round++) {
		s_tracees.grew = false;
		if (!stop_list(stop->target, seize, stop) || !wait_for_all(stop))
			return false;
		if (!s_tracees.grew)
			return true;
	}
	return false;
}

/* Of a stop that failed as of one that did not: the call that it ended goes on. */
static void let_go(const struct tracee *tracee)
{
	struct user_regs_struct all;

	if (get_registers(tracee->tid, &all))
		repeat_call(tracee->tid, &all);
	(void)trace(PTRACE_DETACH, tracee->tid, 0, (const void *)(uintptr_t)tracee->signal);
}

bool stop_ptrace_reap(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < s_tracees.count; i++) {
		struct tracee *tracee = &s_tracees.list[i];

		if (tracee->state == TRACEE_SEIZED)
			look(tracee);
		if (tracee->state == TRACEE_STANDS)
			let_go(tracee);
		else if (tracee->state == TRACEE_SEIZED)
			s_tracees.list[kept++] = *tracee;
	}
	s_tracees.count = kept;
	return kept == 0;
}

void stop_ptrace_end(struct stop *stop)
{
	(void)stop;
	(void)stop_ptrace_reap();
}

bool stop_ptrace_begin(struct stop *stop)
{
	bool stands;

	if (s_tracees.list == NULL)
		s_tracees.list = arena_map(STOP_MAX_THREADS * sizeof(*s_tracees.list));
	if (s_tracees.list == NULL)
		return false;
	stands = stop_all(stop);
	for (size_t i = 0; stands && i < s_tracees.count; i++)
		stands = describe(stop, &s_tracees.list[i]);
	if (!stands)
		(void)stop_ptrace_reap();
	return stands;
}
