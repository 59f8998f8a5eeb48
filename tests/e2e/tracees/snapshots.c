/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshots busy|storm|shortlived|masked|vfork|calls COUNT, snapshots wait,
 * snapshots filter KIND COMMAND...
 *
 * Takes COUNT snapshots of itself while its threads work, and checks that they
 * did not notice: exit status 0 only if every result is right.  Prints how many
 * snapshots were taken and, of `busy`, how many blocks of KEPT_SIZE are alive.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "castaway/castaway.h"
#include "snapshots.h"

#define WORKERS   8
#define KEPT      100
#define KEPT_SIZE 5008
#define NODES     50

static int stop;
static int wrong; /* the first line whose result was */
static long received;
static void *kept; /* a list: each points to the next at its start */

static int stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

#define expect(right) expect_at(right, __LINE__)
static void expect_at(int right, int line)
{
	int none = 0;

	if (!right)
		(void)__atomic_compare_exchange_n(&wrong, &none, line, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static int ended(void)
{
	if (wrong)
		fprintf(stderr, "snapshots: line %d: not as it should be\n", wrong);
	return wrong != 0;
}

struct node {
	struct node *next;
	size_t size;
	unsigned char bytes[];
};

static struct node *make_node(struct node *next, size_t size, unsigned char fill)
{
	struct node *node = malloc(sizeof(*node) + size);

	node->next = next;
	node->size = size;
	memset(node->bytes, fill, size);
	return node;
}

/* Builds a list, grows its nodes, and counts what is in it. */
static void work(unsigned round)
{
	struct node *list = NULL;
	size_t sum = 0, wanted = 0;

	for (unsigned i = 0; i < NODES; i++) {
		list = make_node(list, (round + i) % 97, (unsigned char)(i + 1));
		wanted += ((round + i) % 97) * (i + 1);
	}
	while (list) {
		struct node *node = realloc(list, sizeof(*node) + list->size + 64);

		for (size_t i = 0; i < node->size; i++)
			sum += node->bytes[i];
		list = node->next;
		free(node);
	}
	expect(sum == wanted);
}

static void *work_main(void *arg)
{
	for (unsigned round = 0; !stopped(); round++)
		work(round);
	return arg;
}

static void on_signal(int number)
{
	(void)number;
	received++;
}

/* Signals that wait in the queue when the thread is stopped must all arrive. */
static void *signal_main(void *arg)
{
	long sent = 0;

	while (!stopped()) {
		for (int i = 0; i < 8; i++)
			sent += !pthread_sigqueue(pthread_self(), SIGRTMIN, (union sigval){.sival_int = i});
		work(3);
	}
	expect(sent == received);
	return arg;
}

static int take(int count)
{
	int taken = 0;

	for (int i = 0; i < count; i++)
		taken += castaway_snapshot("count") == 0;
	return taken;
}

static void keep(void)
{
	for (int i = 0; i < KEPT; i++) {
		void **block = calloc(1, KEPT_SIZE);

		*block = kept;
		kept = block;
	}
}

static int run(void *(*const mains[])(void *), size_t count, int snapshots)
{
	pthread_t threads[16];

	for (size_t i = 0; i < count; i++)
		expect(pthread_create(&threads[i], NULL, mains[i], NULL) == 0);
	printf("%d\n", take(snapshots));
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (size_t i = 0; i < count; i++)
		expect(pthread_join(threads[i], NULL) == 0);
	/* No child of castaway's was ever one of ours. */
	expect(waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD);
	return ended();
}

static int busy(int snapshots)
{
	void *(*mains[WORKERS + 1])(void *);
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	sigaction(SIGRTMIN, &action, NULL);
	keep();
	for (int i = 0; i < WORKERS; i++)
		mains[i] = work_main;
	mains[WORKERS] = signal_main;
	return run(mains, WORKERS + 1, snapshots);
}

/* ---- pthread_cancel and setgid: both use the C library's own signals ---------- */

static void *cancelled_main(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* By turns: glibc 2.36 itself hangs when a thread that changes its group on
 * another's behalf is cancelled just then. */
static void *reserved_main(void *arg)
{
	while (!stopped()) {
		void *result = NULL;
		pthread_t thread;

		expect(pthread_create(&thread, NULL, cancelled_main, NULL) == 0);
		expect(pthread_cancel(thread) == 0);
		expect(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
		expect(setgid(getgid()) == 0);
	}
	return arg;
}

static int storm(int snapshots)
{
	void *(*const mains[])(void *) = {reserved_main, work_main, work_main};

	return run(mains, 3, snapshots);
}

/* ---- threads that live for a moment -------------------------------------------- */

static void *moment_main(void *arg)
{
	free(malloc(64));
	return arg;
}

static void *spawn_main(void *arg)
{
	while (!stopped()) {
		pthread_t threads[8];
		char arguments[8];

		for (int i = 0; i < 8; i++)
			expect(pthread_create(&threads[i], NULL, moment_main, &arguments[i]) == 0);
		for (int i = 0; i < 8; i++) {
			void *result = NULL;

			expect(pthread_join(threads[i], &result) == 0 && result == &arguments[i]);
		}
	}
	return arg;
}

static int shortlived(int snapshots)
{
	void *(*const mains[])(void *) = {spawn_main, spawn_main, work_main};

	return run(mains, 3, snapshots);
}

/* ---- threads that block all signals ------------------------------------------- */

static sem_t wakes;

static void *masked_main(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	expect(sem_wait(&wakes) == 0);
	return arg;
}

static void *masked_work_main(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	work_main(arg);
	sem_post(&wakes);
	sem_post(&wakes);
	return arg;
}

static int masked(int snapshots)
{
	void *(*const mains[])(void *) = {masked_main, masked_main, masked_work_main};

	sem_init(&wakes, 0, 0);
	return run(mains, 3, snapshots);
}

/* ---- the parent of a vfork sleeps where nobody can talk to it ------------------- */

static void *vfork_main(void *arg)
{
	while (!stopped()) {
		const struct timespec time = {.tv_nsec = 100000000};
		int status = -1;
		pid_t child = vfork();

		if (child == 0) {
			syscall(SYS_nanosleep, &time, NULL);
			_exit(7);
		}
		expect(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
	}
	return arg;
}

static int sleeping(int snapshots)
{
	void *(*const mains[])(void *) = {vfork_main, work_main};

	return run(mains, 2, snapshots);
}

/* Until a line comes; tells its process id first. */
static int wait_for_line(void)
{
	void *(*const mains[])(void *) = {work_main, cancelled_main};
	pthread_t threads[2];

	keep();
	for (int i = 0; i < 2; i++)
		expect(pthread_create(&threads[i], NULL, mains[i], NULL) == 0);
	printf("%d\n", getpid());
	fflush(stdout);
	expect(getchar() == '\n');
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	expect(pthread_cancel(threads[1]) == 0);
	for (int i = 0; i < 2; i++)
		expect(pthread_join(threads[i], NULL) == 0);
	return ended();
}

int main(int argc, char **argv)
{
	int count = argc == 3 ? atoi(argv[2]) : 0;

	if (argc > 3 && !strcmp(argv[1], "filter"))
		return snapshots_filter(argv[2], argv + 3);
	if (argc == 3 && !strcmp(argv[1], "busy"))
		return busy(count);
	if (argc == 3 && !strcmp(argv[1], "storm"))
		return storm(count);
	if (argc == 3 && !strcmp(argv[1], "shortlived"))
		return shortlived(count);
	if (argc == 3 && !strcmp(argv[1], "masked"))
		return masked(count);
	if (argc == 3 && !strcmp(argv[1], "vfork"))
		return sleeping(count);
	if (argc == 2 && !strcmp(argv[1], "wait"))
		return wait_for_line();
	if (argc == 3 && !strcmp(argv[1], "calls"))
		return snapshots_waiters(count);
	return 255;
}
