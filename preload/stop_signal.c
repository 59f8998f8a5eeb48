/* SPDX-License-Identifier: Apache-2.0
 *
 * Stops threads where they may not be traced: each gets a signal, tells what
 * its processor held, and sleeps until it is let go.  The signal is 33, which
 * glibc keeps for itself, so that nothing that is built on glibc can block it.
 * glibc's own uses of it are handed on; the handler stays installed, because
 * one of them may be under way at any time.
 *
 * on_signal() runs in threads of the target at any point of the program, in the
 * midst of malloc too: raw system calls only.  stop_signal_install() runs in
 * one thread of the target, the rest in the helper.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>

#include "arch.h"
#include "arena.h"
#include "blocked.h"
#include "rawio.h"
#include "stop.h"
#include "writer_internal.h"

#define SIGNAL        33
#define PATIENCE_NS   250000000u
#define LONG_NS       2000000000u  /* where all that is missing is a processor */
#define MAX_STAND_NS  10000000000u /* whatever happens to the helper */
#define MAX_ROUNDS    64u
#define SA_RESTORER_  0x04000000ul
#define SYSCALL_BYTES "\x0f\x05"

/* The kernel's struct sigaction. */
struct kernel_action {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

/* What the signal carries is the address of one of these.  Rounds use them anew. */
struct slot {
	uint32_t round;  /* what it was sent for; written last */
	uint32_t stands; /* the round that the thread has answered */
	struct stopped_thread thread;
};

static struct slot *s_slots;
static size_t s_count;
static bool s_grew;
static uint32_t s_round; /* futex: the round that stands, 0 = none */
static uint32_t s_last_round;
static uint32_t s_answers; /* futex */
static struct kernel_action s_former;
static uint32_t s_installing;

void stop_signal_describe(struct stopped_thread *thread, const void *context)
{
	const greg_t *registers = ((const ucontext_t *)context)->uc_mcontext.gregs;
	static const int order[] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP,
				    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

	thread->pc = (uintptr_t)registers[REG_RIP];
	thread->sp = (uintptr_t)registers[REG_RSP];
	thread->tls = arch_thread_pointer();
	thread->register_count = sizeof(order) / sizeof(*order);
	for (unsigned i = 0; i < thread->register_count; i++)
		thread->registers[i] = (uint64_t)registers[order[i]];
}

/* It comes too late when the thread had blocked it for a while: the round is over,
 * and the slot may be another thread's by now.  The round is read first, so that
 * the thread is that round's or a later one's; whether the round still stands, last.
 * That an older signal of the thread's own answers a newer round does no harm. */
static bool is_asked(const struct slot *slot, uint32_t *round)
{
	*round = __atomic_load_n(&slot->round, __ATOMIC_ACQUIRE);
	return *round != 0 && __atomic_load_n(&slot->thread.tid, __ATOMIC_ACQUIRE) == rawio_tid() &&
	       __atomic_load_n(&s_round, __ATOMIC_ACQUIRE) == *round;
}

static void stand(struct slot *slot, const void *context)
{
	const uint64_t deadline = rawio_clock(CLOCK_MONOTONIC) + MAX_STAND_NS;
	uint32_t round;

	if (!is_asked(slot, &round))
		return;
	stop_signal_describe(&slot->thread, context);
	__atomic_store_n(&slot->stands, round, __ATOMIC_RELEASE);
	__atomic_add_fetch(&s_answers, 1, __ATOMIC_RELEASE);
	rawio_futex_wake(&s_answers);
	while (__atomic_load_n(&s_round, __ATOMIC_ACQUIRE) == round && writer_helper_alive() &&
	       rawio_clock(CLOCK_MONOTONIC) < deadline)
		(void)rawio_futex_wait(&s_round, round, WRITER_POLL_NS);
}

/* The call that this signal came into ends with EINTR. */
static bool ends_call(const ucontext_t *context)
{
	const greg_t *registers = context->uc_mcontext.gregs;

	return registers[REG_RAX] == -EINTR && blocked_is_in(t_blocked.frame, (uintptr_t)registers[REG_RSP]);
}

/* The target has a signal to handle when this handler returns. */
static bool has_another(const ucontext_t *context)
{
	uint64_t pending = 0, blocked;

	memcpy(&blocked, &context->uc_sigmask, sizeof(blocked));
	(void)RAW_CALL(SYS_rt_sigpending, &pending, sizeof(pending));
	return (pending & ~blocked) != 0;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	const uintptr_t slot = (uintptr_t)info->si_value.sival_ptr;
	const uintptr_t first = (uintptr_t)s_slots;

	if (info->si_code == SI_QUEUE && first != 0 &&
	    slot - first < STOP_MAX_THREADS * sizeof(struct slot)) {
		const bool ends = ends_call(context);

		stand((struct slot *)slot, context);
		if (ends && !has_another(context))
			t_blocked.interrupted = 1;
	} else if (s_former.handler != NULL && (uintptr_t)s_former.handler != 1) { /* SIG_DFL, SIG_IGN */
		s_former.handler(number, info, context);
	}
}

void stop_signal_install(void)
{
	struct kernel_action ours = {
		.handler = on_signal,
		.flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK | SA_RESTORER_,
		.restorer = arch_signal_return,
		.mask = ~(uint64_t)0,
	};
	struct kernel_action there = {0};

	if (__atomic_exchange_n(&s_installing, 1, __ATOMIC_ACQUIRE) != 0)
		return;
	/* glibc installs its own with the first thread that is created. */
	(void)RAW_CALL(SYS_rt_sigaction, SIGNAL, NULL, &there, sizeof(there.mask));
	if (there.handler != on_signal) {
		s_former = there;
		(void)RAW_CALL(SYS_rt_sigaction, SIGNAL, &ours, NULL, sizeof(ours.mask));
	}
	__atomic_store_n(&s_installing, 0, __ATOMIC_RELEASE);
}

void stop_signal_after_fork(void)
{
	s_installing = 0;
	s_round = 0;
}

/* ---- in the helper ---------------------------------------------------------- */

static bool is_known(int32_t tid)
{
	for (size_t i = 0; i < s_count; i++) {
		if (s_slots[i].thread.tid == tid)
			return true;
	}
	return false;
}

static bool send(void *arg, int32_t tid)
{
	const struct stop *stop = arg;
	struct slot *slot = &s_slots[s_count];
	siginfo_t info;
	long result;

	if (tid == stop->requester || is_known(tid))
		return true;
	if (s_count == STOP_MAX_THREADS)
		return false;
	/* A signal of an earlier round may come to another thread just now. */
	__atomic_store_n(&slot->round, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->stands, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->thread.tid, tid, __ATOMIC_RELEASE);
	__atomic_store_n(&slot->round, s_round, __ATOMIC_RELEASE);
	memset(&info, 0, sizeof(info));
	info.si_signo = SIGNAL;
	info.si_code = SI_QUEUE;
	info.si_pid = (pid_t)g_writer.helper;
	info.si_value.sival_ptr = slot;
	s_count++;
	result = RAW_CALL(SYS_rt_tgsigqueueinfo, stop->target, tid, SIGNAL, &info);
	if (result == -ESRCH || stop_is_dead(stop->target, tid)) {
		s_count--;
		return true;
	}
	s_grew = true;
	return result == 0;
}

/* Threads that end on the way are taken off the list. */
static bool all_stand(const struct stop *stop)
{
	bool all = true;

	for (size_t i = 0; i < s_count; i++) {
		struct slot *slot = &s_slots[i];

		if (__atomic_load_n(&slot->stands, __ATOMIC_ACQUIRE) == s_round)
			continue;
		if (slot->thread.tid != 0 && stop_is_dead(stop->target, slot->thread.tid))
			slot->thread.tid = 0;
		all = all && slot->thread.tid == 0;
	}
	return all;
}

/* Nothing is in the way of the threads that have not answered yet. */
static bool rest_will_answer(const struct stop *stop)
{
	for (size_t i = 0; i < s_count; i++) {
		const struct slot *slot = &s_slots[i];

		if (slot->thread.tid != 0 && __atomic_load_n(&slot->stands, __ATOMIC_ACQUIRE) != s_round &&
		    !stop_will_take(stop->target, slot->thread.tid, SIGNAL))
			return false;
	}
	return true;
}

static bool wait_for_all(const struct stop *stop)
{
	const uint64_t start = rawio_clock(CLOCK_MONOTONIC);

	for (;;) {
		const uint32_t answers = __atomic_load_n(&s_answers, __ATOMIC_ACQUIRE);

		/* Threads that a tracer's stop came too late for cannot answer before. */
		(void)stop_ptrace_reap();
		if (all_stand(stop))
			return true;
		if (rawio_clock(CLOCK_MONOTONIC) - start > PATIENCE_NS &&
		    (rawio_clock(CLOCK_MONOTONIC) - start > LONG_NS || !rest_will_answer(stop)))
			return false;
		(void)rawio_futex_wait(&s_answers, answers, PATIENCE_NS / 100);
	}
}

/* The call that it was in is just behind it, or will be done again. */
static bool is_in_call(const struct stop *stop, uintptr_t pc)
{
	uint8_t code[4] = {0};
	struct iovec local = {code, sizeof(code)}, remote = {(void *)(pc - 2), sizeof(code)};

	(void)RAW_CALL(SYS_process_vm_readv, stop->target, &local, 1, &remote, 1, 0);
	return memcmp(code, SYSCALL_BYTES, 2) == 0 || memcmp(code + 2, SYSCALL_BYTES, 2) == 0;
}

/* A thread that is being created has all signals blocked and may wait for its
 * creator, who stands: it sits in the kernel, and that is enough. */
static bool collect(struct stop *stop)
{
	for (size_t i = 0; i < s_count; i++) {
		const struct slot *slot = &s_slots[i];
		struct stopped_thread *thread;

		if (slot->thread.tid == 0)
			continue;
		thread = stop_add(stop, slot->thread.tid);
		if (thread == NULL)
			return false;
		if (__atomic_load_n(&slot->stands, __ATOMIC_ACQUIRE) == s_round) {
			*thread = slot->thread;
			thread->in_syscall = is_in_call(stop, thread->pc);
		} else if (!stop_describe_blocked(stop->target, slot->thread.tid, thread)) {
			return false;
		}
	}
	return true;
}

static bool stop_all(struct stop *stop)
{
	for (unsigned i = 0; i < MAX_ROUNDS; i++) {
		s_grew = false;
		if (!stop_list(stop->target, send, stop))
			return false;
		if (!s_grew)
			return true;
		if (!wait_for_all(stop))
			return true; /* collect() decides */
	}
	return false;
}

void stop_signal_end(struct stop *stop)
{
	(void)stop;
	__atomic_store_n(&s_round, 0, __ATOMIC_RELEASE);
	rawio_futex_wake(&s_round);
}

bool stop_signal_begin(struct stop *stop)
{
	if (s_slots == NULL)
		__atomic_store_n(&s_slots, arena_map(STOP_MAX_THREADS * sizeof(*s_slots)), __ATOMIC_RELEASE);
	if (s_slots == NULL || stop->install == NULL || !stop->install(stop->arg))
		return false;
	s_count = 0;
	if (++s_last_round == 0)
		s_last_round = 1;
	__atomic_store_n(&s_round, s_last_round, __ATOMIC_RELEASE);
	if (stop_all(stop) && collect(stop))
		return true;
	stop_signal_end(stop);
	return false;
}
