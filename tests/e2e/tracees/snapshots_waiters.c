/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads in each call that waits: without a limit, with one that is far away,
 * and with a near one.  The first two are woken by what they wait for, after the
 * snapshots, or interrupted by a signal of the program's own, which they must
 * notice; the third end by themselves, in the midst of them.
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "castaway/castaway.h"
#include "snapshots.h"

#define FAR_MS      60000
#define NEAR_MS     1000
#define LATE_MS     10000 /* whatever the machine has to do besides */
#define THREADS_MAX 96

static struct waiter {
	const struct snapshots_call *call;
	const char *kind;
	int limit;
	bool signalled;
	int interrupted;
	enum snapshots_outcome outcome;
	double milliseconds;
	pthread_t thread;
	atomic_int ended;
} waiters[THREADS_MAX];
static int count;
static sem_t started;
static atomic_int near_running;

static void *waiter_main(void *arg)
{
	struct waiter *waiter = arg;
	struct timespec start, end;

	sem_post(&started);
	clock_gettime(CLOCK_MONOTONIC, &start);
	do
		waiter->outcome = waiter->call->call(waiter->limit);
	while (waiter->outcome == SNAPSHOTS_INTERRUPTED && !waiter->signalled && ++waiter->interrupted);
	clock_gettime(CLOCK_MONOTONIC, &end);
	waiter->milliseconds =
		(double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) / 1e6;
	if (waiter->limit == NEAR_MS)
		near_running--;
	waiter->ended = 1;
	return NULL;
}

static void add(const struct snapshots_call *call, const char *kind, int limit, bool signalled)
{
	waiters[count++] =
		(struct waiter){.call = call, .kind = kind, .limit = limit, .signalled = signalled};
	near_running += limit == NEAR_MS;
}

static bool start_all(void)
{
	bool ok = true;

	sem_init(&started, 0, 0);
	for (const struct snapshots_call *call = snapshots_calls; call->call != NULL; call++) {
		if (call->forever)
			add(call, "forever", SNAPSHOTS_FOREVER, false);
		if (call->limit && call->waits)
			add(call, "far", FAR_MS, false);
		if (call->limit)
			add(call, "near", NEAR_MS, false);
		if (call->ends)
			add(call, "signalled", call->limit ? FAR_MS : SNAPSHOTS_FOREVER, true);
	}
	for (int i = 0; ok && i < count; i++)
		ok = pthread_create(&waiters[i].thread, NULL, waiter_main, &waiters[i]) == 0;
	for (int i = 0; ok && i < count; i++)
		sem_wait(&started);
	return ok;
}

/* One that waits for a signal is sent some until it has got one. */
static void end(struct waiter *waiter)
{
	const int number = waiter->signalled ? SIGUSR2 : snapshots_calls_signal(waiter->call);

	while (!waiter->ended) {
		if (number != 0)
			pthread_kill(waiter->thread, number);
		sched_yield();
	}
	pthread_join(waiter->thread, NULL);
}

static void end_all(void)
{
	for (int i = 0; i < count; i++) {
		if (waiters[i].signalled)
			end(&waiters[i]);
	}
	snapshots_calls_wake(count);
	for (int i = 0; i < count; i++) {
		if (!waiters[i].signalled)
			end(&waiters[i]);
	}
}

/* Snapshots until the near limits are over, or far too late; at least so many. */
static void take_snapshots(int snapshots)
{
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		castaway_snapshot("calls");
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (--snapshots > 0 || (near_running > 0 && now.tv_sec - start.tv_sec < LATE_MS / 1000 + 5));
}

static void let_take_snapshots(void)
{
	char byte;

	printf("%d\n", (int)getpid());
	fflush(stdout);
	while (read(0, &byte, 1) > 0) {
	}
}

static bool is_right(const struct waiter *waiter)
{
	if (waiter->limit == NEAR_MS)
		return waiter->outcome == SNAPSHOTS_TIMED_OUT && waiter->milliseconds > NEAR_MS - 1 &&
		       waiter->milliseconds < NEAR_MS + LATE_MS;
	return waiter->outcome == (waiter->signalled ? SNAPSHOTS_INTERRUPTED : SNAPSHOTS_WOKEN);
}

int snapshots_waiters(int snapshots)
{
	if (!snapshots_calls_open() || !start_all())
		return 254;
	if (snapshots > 0)
		take_snapshots(snapshots);
	else
		let_take_snapshots();
	end_all();
	for (int i = 0; i < count; i++)
		printf("%s-%s %d %d %.3f\n", waiters[i].call->name, waiters[i].kind, waiters[i].interrupted,
		       is_right(&waiters[i]), waiters[i].milliseconds);
	snapshots_calls_close();
	return 0;
}
