/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread in each call that waits.  All of them are woken by what they wait
 * for, after the snapshots; none by its time limit.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "castaway/castaway.h"
#include "snapshots.h"

#define LONG_MS  60000
#define SLEEP_NS 300000000l /* longer than the snapshots take, or not: both are right */

static sem_t started, semaphore;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int told, event, pipe_ends[2];

static struct timespec later(void)
{
	struct timespec when;

	clock_gettime(CLOCK_REALTIME, &when);
	when.tv_sec += LONG_MS / 1000;
	return when;
}

/* Each returns 0 when it got what it waited for, 1 for EINTR, 2 for anything else. */
static int outcome(int right)
{
	return right ? 0 : errno == EINTR ? 1 : 2;
}

static int call_poll(void)
{
	struct pollfd poll_fd = {.fd = event, .events = POLLIN};

	return outcome(poll(&poll_fd, 1, LONG_MS) == 1);
}

static int wait_epoll(int milliseconds)
{
	struct epoll_event wanted = {.events = EPOLLIN}, got;
	int fd = epoll_create1(0), result;

	epoll_ctl(fd, EPOLL_CTL_ADD, event, &wanted);
	result = outcome(epoll_wait(fd, &got, 1, milliseconds) == 1);
	close(fd);
	return result;
}

static int call_epoll_for_ever(void)
{
	return wait_epoll(-1);
}

static int call_epoll_for_a_time(void)
{
	return wait_epoll(LONG_MS);
}

static int call_select(void)
{
	struct timeval limit = {.tv_sec = LONG_MS / 1000};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(event, &set);
	return outcome(select(event + 1, &set, NULL, NULL, &limit) == 1);
}

static int call_read(void)
{
	char byte;

	return outcome(read(pipe_ends[0], &byte, 1) == 1);
}

static int call_sem_timedwait(void)
{
	struct timespec limit = later();

	return outcome(sem_timedwait(&semaphore, &limit) == 0);
}

static int call_cond_timedwait(void)
{
	struct timespec limit = later();
	int error = 0;

	pthread_mutex_lock(&mutex);
	while (!told && !error)
		error = pthread_cond_timedwait(&condition, &mutex, &limit);
	pthread_mutex_unlock(&mutex);
	errno = error;
	return outcome(error == 0);
}

static int call_nanosleep(void)
{
	const struct timespec time = {.tv_nsec = SLEEP_NS};

	return outcome(nanosleep(&time, NULL) == 0);
}

static int call_usleep(void)
{
	return outcome(usleep(SLEEP_NS / 1000) == 0);
}

static const struct {
	const char *name;
	int (*call)(void);
} calls[] = {
	{"poll", call_poll},
	{"epoll_wait", call_epoll_for_ever},
	{"epoll_wait_limit", call_epoll_for_a_time},
	{"select", call_select},
	{"read", call_read},
	{"sem_timedwait", call_sem_timedwait},
	{"cond_timedwait", call_cond_timedwait},
	{"nanosleep", call_nanosleep},
	{"usleep", call_usleep},
};
#define CALLS ((int)(sizeof(calls) / sizeof(*calls)))

static int interrupted[CALLS], failed[CALLS];

static void *call_main(void *arg)
{
	int i = *(int *)arg, result;

	sem_post(&started);
	while ((result = calls[i].call()) == 1)
		interrupted[i]++;
	failed[i] = result;
	return NULL;
}

static void wake_all(void)
{
	static const char byte = 0;

	eventfd_write(event, 1);
	(void)write(pipe_ends[1], &byte, 1);
	sem_post(&semaphore);
	pthread_mutex_lock(&mutex);
	told = 1;
	pthread_cond_broadcast(&condition);
	pthread_mutex_unlock(&mutex);
}

int snapshots_calls(int snapshots)
{
	pthread_t threads[CALLS];
	int numbers[CALLS], bad = 0;

	event = eventfd(0, 0);
	if (event < 0 || pipe(pipe_ends))
		return 254;
	sem_init(&started, 0, 0);
	sem_init(&semaphore, 0, 0);
	for (int i = 0; i < CALLS; i++) {
		numbers[i] = i;
		pthread_create(&threads[i], NULL, call_main, &numbers[i]);
	}
	for (int i = 0; i < CALLS; i++)
		sem_wait(&started);
	for (int i = 0; i < snapshots; i++)
		castaway_snapshot("calls");
	wake_all();
	for (int i = 0; i < CALLS; i++) {
		pthread_join(threads[i], NULL);
		bad |= failed[i];
		printf("%s %d\n", calls[i].name, interrupted[i]);
	}
	return bad;
}
