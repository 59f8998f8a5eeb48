/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads that are stopped by a signal, around stand-ins for what /proc tells:
 * some have the signal blocked, and get it in a later round.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "preload/arch.h"
#include "preload/blocked.h"
#include "preload/rawio.h"
#include "preload/stop.h"
#include "preload/writer_internal.h"

#define SIGNAL_BIT     (UINT64_C(1) << 32)
#define PC_OF_BLOCKED  1u
#define REGISTERS      16u
#define LATEST_SECONDS 5

struct writer g_writer;
__thread struct blocked t_blocked GUARD_TLS;

/* Has the signal blocked until it may go on. */
struct held {
	pthread_t thread;
	int32_t tid;
	sem_t begun, may_go, gone;
};

/* What the process has, and who gets the signal as soon as it is sent to them. */
static struct {
	int32_t tids[2];
	size_t count;
	struct held *let_go;
	bool must_be_gone, will_take;
} s_tasks;

static bool passes(sem_t *semaphore)
{
	struct timespec latest;

	clock_gettime(CLOCK_REALTIME, &latest);
	latest.tv_sec += LATEST_SECONDS;
	return sem_timedwait(semaphore, &latest) == 0;
}

bool stop_list(pid_t target, bool (*visit)(void *arg, int32_t tid), void *arg)
{
	struct held *held = s_tasks.let_go;

	for (size_t i = 0; i < s_tasks.count; i++)
		assert_true(visit(arg, s_tasks.tids[i]));
	s_tasks.let_go = NULL;
	if (held == NULL)
		return true;
	sem_post(&held->may_go);
	return !s_tasks.must_be_gone || passes(&held->gone);
}

bool stop_is_dead(pid_t target, int32_t tid)
{
	return false;
}

bool stop_will_take(pid_t target, int32_t tid, int number)
{
	return s_tasks.will_take;
}

bool stop_describe_blocked(pid_t target, int32_t tid, struct stopped_thread *ret)
{
	*ret = (struct stopped_thread){.tid = tid, .in_syscall = true, .pc = PC_OF_BLOCKED};
	return true;
}

struct stopped_thread *stop_add(struct stop *stop, int32_t tid)
{
	stop->threads[stop->count].tid = tid;
	return &stop->threads[stop->count++];
}

bool stop_ptrace_reap(void)
{
	return true;
}

bool writer_helper_alive(void)
{
	return true;
}

static bool install(void *arg)
{
	stop_signal_install();
	return true;
}

static void set_blocked(int how)
{
	const uint64_t signals = SIGNAL_BIT;

	(void)RAW_CALL(SYS_rt_sigprocmask, how, &signals, NULL, sizeof(signals));
}

static void *held_main(void *arg)
{
	struct held *held = arg;

	set_blocked(SIG_BLOCK);
	held->tid = rawio_tid();
	sem_post(&held->begun);
	sem_wait(&held->may_go);
	set_blocked(SIG_UNBLOCK);
	sem_post(&held->gone);
	return NULL;
}

static void hold(struct held *held)
{
	sem_init(&held->begun, 0, 0);
	sem_init(&held->may_go, 0, 0);
	sem_init(&held->gone, 0, 0);
	assert_int_equal(pthread_create(&held->thread, NULL, held_main, held), 0);
	sem_wait(&held->begun);
}

/* One round among these threads. */
static struct stopped_thread stop_one(const struct held *held, struct held *let_go, bool must_be_gone)
{
	struct stopped_thread threads[2];
	struct stop stop = {.target = getpid(), .threads = threads, .install = install};

	memset(threads, 0, sizeof(threads));
	s_tasks.tids[0] = held->tid;
	s_tasks.count = 1;
	s_tasks.let_go = let_go;
	s_tasks.must_be_gone = must_be_gone;
	s_tasks.will_take = held == let_go;
	assert_true(stop_signal_begin(&stop));
	stop_signal_end(&stop);
	assert_int_equal(stop.count, 1);
	assert_int_equal(threads[0].tid, held->tid);
	return threads[0];
}

static void answers(void **state)
{
	static struct held held;
	struct stopped_thread thread;

	hold(&held);
	thread = stop_one(&held, &held, false);
	assert_int_equal(thread.register_count, REGISTERS);
	assert_ptr_not_equal(thread.pc, PC_OF_BLOCKED);
	assert_int_equal(pthread_join(held.thread, NULL), 0);
}

/* The first round's place is the second thread's in the next one. */
static void late_in_the_place_of_another(void **state)
{
	static struct held late, other;
	struct stopped_thread thread;

	hold(&late);
	hold(&other);
	assert_int_equal(stop_one(&late, NULL, false).pc, PC_OF_BLOCKED);
	thread = stop_one(&other, &late, true);
	assert_int_equal(thread.pc, PC_OF_BLOCKED);
	assert_int_equal(thread.register_count, 0);
	assert_int_equal(pthread_join(late.thread, NULL), 0);
	sem_post(&other.may_go);
	assert_int_equal(pthread_join(other.thread, NULL), 0);
}

static void late_in_its_own_place(void **state)
{
	static struct held held;

	hold(&held);
	assert_int_equal(stop_one(&held, NULL, false).pc, PC_OF_BLOCKED);
	assert_int_equal(stop_one(&held, &held, false).register_count, REGISTERS);
	assert_int_equal(pthread_join(held.thread, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(late_in_the_place_of_another),
		cmocka_unit_test(late_in_its_own_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
