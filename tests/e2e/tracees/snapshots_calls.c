/* SPDX-License-Identifier: Apache-2.0
 *
 * The calls that wait, and what they wait for.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include "snapshots.h"

static sem_t semaphore;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int told, event, pipe_ends[2], semaphores, messages;
static volatile int waking;

static struct timespec span(int milliseconds)
{
	return (struct timespec){.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000l};
}

static struct timespec later(clockid_t clock, int milliseconds)
{
	struct timespec when;

	clock_gettime(clock, &when);
	when.tv_sec += milliseconds / 1000;
	return when;
}

static enum snapshots_outcome failure(int error)
{
	return error == EINTR                          ? SNAPSHOTS_INTERRUPTED
	       : error == EAGAIN || error == ETIMEDOUT ? SNAPSHOTS_TIMED_OUT
						       : SNAPSHOTS_FAILED;
}

/* What waits for descriptors returns how many there are. */
static enum snapshots_outcome ready(int count)
{
	return count > 0 ? SNAPSHOTS_WOKEN : count == 0 ? SNAPSHOTS_TIMED_OUT : failure(errno);
}

static enum snapshots_outcome call_poll(int limit)
{
	struct pollfd poll_fd = {.fd = event, .events = POLLIN};

	return ready(poll(&poll_fd, 1, limit));
}

static enum snapshots_outcome call_ppoll(int limit)
{
	struct pollfd poll_fd = {.fd = event, .events = POLLIN};
	struct timespec time = span(limit);

	return ready(ppoll(&poll_fd, 1, limit == SNAPSHOTS_FOREVER ? NULL : &time, NULL));
}

static enum snapshots_outcome wait_epoll(int limit, int kind)
{
	struct epoll_event wanted = {.events = EPOLLIN}, got;
	int fd = epoll_create1(0), result;
	struct timespec time = span(limit);
	sigset_t none;

	sigemptyset(&none);
	epoll_ctl(fd, EPOLL_CTL_ADD, event, &wanted);
	if (kind == 0)
		result = epoll_wait(fd, &got, 1, limit);
	else if (kind == 1)
		result = epoll_pwait(fd, &got, 1, limit, &none);
	else
		result = epoll_pwait2(fd, &got, 1, limit == SNAPSHOTS_FOREVER ? NULL : &time, NULL);
	close(fd);
	return ready(result);
}

static enum snapshots_outcome call_epoll_wait(int limit)
{
	return wait_epoll(limit, 0);
}

static enum snapshots_outcome call_epoll_pwait(int limit)
{
	return wait_epoll(limit, 1);
}

static enum snapshots_outcome call_epoll_pwait2(int limit)
{
	return wait_epoll(limit, 2);
}

static enum snapshots_outcome call_select(int limit)
{
	struct timeval time = {.tv_sec = limit / 1000};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(event, &set);
	return ready(select(event + 1, &set, NULL, NULL, limit == SNAPSHOTS_FOREVER ? NULL : &time));
}

static enum snapshots_outcome call_pselect(int limit)
{
	struct timespec time = span(limit);
	fd_set set;

	FD_ZERO(&set);
	FD_SET(event, &set);
	return ready(pselect(event + 1, &set, NULL, NULL, limit == SNAPSHOTS_FOREVER ? NULL : &time, NULL));
}

static enum snapshots_outcome call_read(int limit)
{
	char byte;

	(void)limit;
	return ready((int)read(pipe_ends[0], &byte, 1));
}

static enum snapshots_outcome call_sem_timedwait(int limit)
{
	struct timespec until = later(CLOCK_REALTIME, limit);

	return sem_timedwait(&semaphore, &until) == 0 ? SNAPSHOTS_WOKEN : failure(errno);
}

static enum snapshots_outcome call_sem_clockwait(int limit)
{
	struct timespec until = later(CLOCK_MONOTONIC, limit);

	return sem_clockwait(&semaphore, CLOCK_MONOTONIC, &until) == 0 ? SNAPSHOTS_WOKEN : failure(errno);
}

static enum snapshots_outcome call_cond_timedwait(int limit)
{
	struct timespec until = later(CLOCK_REALTIME, limit);
	int error = 0;

	pthread_mutex_lock(&mutex);
	while (!told && !error)
		error = pthread_cond_timedwait(&condition, &mutex, &until);
	pthread_mutex_unlock(&mutex);
	return error == 0 ? SNAPSHOTS_WOKEN : failure(error);
}

static enum snapshots_outcome call_semtimedop(int limit)
{
	struct sembuf down = {.sem_op = -1};
	struct timespec time = span(limit);

	return semtimedop(semaphores, &down, 1, limit == SNAPSHOTS_FOREVER ? NULL : &time) == 0
		       ? SNAPSHOTS_WOKEN
		       : failure(errno);
}

static enum snapshots_outcome call_semop(int limit)
{
	struct sembuf down = {.sem_op = -1};

	(void)limit;
	return semop(semaphores, &down, 1) == 0 ? SNAPSHOTS_WOKEN : failure(errno);
}

struct message {
	long type;
	char text[1];
};

static enum snapshots_outcome call_msgrcv(int limit)
{
	struct message message;

	(void)limit;
	return msgrcv(messages, &message, 1, 0, 0) == 1 ? SNAPSHOTS_WOKEN : failure(errno);
}

/* Of another one that is blocked. */
static enum snapshots_outcome call_sigtimedwait(int limit)
{
	struct timespec time = span(limit);
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return sigtimedwait(&set, NULL, &time) == SIGUSR1 ? SNAPSHOTS_WOKEN : failure(errno);
}

static enum snapshots_outcome call_sigwaitinfo(int limit)
{
	sigset_t set;

	(void)limit;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return sigwaitinfo(&set, NULL) == SIGUSR1 ? SNAPSHOTS_WOKEN : failure(errno);
}

/* These end for a handler, and for nothing else. */
static enum snapshots_outcome call_pause(int limit)
{
	(void)limit;
	return pause() == -1 && waking ? SNAPSHOTS_WOKEN : failure(errno);
}

static enum snapshots_outcome call_sigsuspend(int limit)
{
	sigset_t none;

	(void)limit;
	sigemptyset(&none);
	return sigsuspend(&none) == -1 && waking ? SNAPSHOTS_WOKEN : failure(errno);
}

static enum snapshots_outcome call_nanosleep(int limit)
{
	const struct timespec time = span(limit);

	return nanosleep(&time, NULL) == 0 ? SNAPSHOTS_TIMED_OUT : failure(errno);
}

static enum snapshots_outcome call_clock_nanosleep(int limit)
{
	const struct timespec time = span(limit);
	int error = clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);

	return error == 0 ? SNAPSHOTS_TIMED_OUT : failure(error);
}

static enum snapshots_outcome call_sleep_until(int limit)
{
	const struct timespec time = later(CLOCK_MONOTONIC, limit);
	int error = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);

	return error == 0 ? SNAPSHOTS_TIMED_OUT : failure(error);
}

static enum snapshots_outcome call_usleep(int limit)
{
	return usleep((useconds_t)limit * 1000) == 0 ? SNAPSHOTS_TIMED_OUT : failure(errno);
}

static enum snapshots_outcome call_sleep(int limit)
{
	return sleep((unsigned)limit / 1000) == 0 ? SNAPSHOTS_TIMED_OUT : SNAPSHOTS_INTERRUPTED;
}

static enum snapshots_outcome call_thrd_sleep(int limit)
{
	const struct timespec time = span(limit);

	return thrd_sleep(&time, NULL) == 0 ? SNAPSHOTS_TIMED_OUT : SNAPSHOTS_INTERRUPTED;
}

/* name, may have no limit, may have one, waits for something, can be interrupted. */
#define CALL(name, ...)                         \
	{                                       \
#name, call_##name, __VA_ARGS__ \
	}
const struct snapshots_call snapshots_calls[] = {
	CALL(poll, true, true, true, true),
	CALL(ppoll, true, true, true, true),
	CALL(epoll_wait, true, true, true, true),
	CALL(epoll_pwait, true, true, true, true),
	CALL(epoll_pwait2, true, true, true, true),
	CALL(select, true, true, true, true),
	CALL(pselect, true, true, true, true),
	CALL(read, true, false, true, true),
	CALL(sem_timedwait, false, true, true, true),
	CALL(sem_clockwait, false, true, true, true),
	CALL(cond_timedwait, false, true, true, false),
	CALL(semtimedop, true, true, true, true),
	CALL(semop, true, false, true, true),
	CALL(msgrcv, true, false, true, true),
	CALL(sigtimedwait, false, true, true, true),
	CALL(sigwaitinfo, true, false, true, true),
	CALL(pause, true, false, true, false),
	CALL(sigsuspend, true, false, true, false),
	CALL(nanosleep, false, true, false, true),
	CALL(clock_nanosleep, false, true, false, true),
	CALL(sleep_until, false, true, false, true),
	CALL(usleep, false, true, false, true),
	CALL(sleep, false, true, false, true),
	CALL(thrd_sleep, false, true, false, true),
	{.call = NULL},
};

static void on_signal(int number)
{
	(void)number;
}

bool snapshots_calls_open(void)
{
	const struct sigaction action = {.sa_handler = on_signal};

	event = eventfd(0, 0);
	semaphores = semget(IPC_PRIVATE, 1, 0600);
	messages = msgget(IPC_PRIVATE, 0600);
	sem_init(&semaphore, 0, 0);
	return sigaction(SIGUSR2, &action, NULL) == 0 && event >= 0 && semaphores >= 0 && messages >= 0 &&
	       pipe(pipe_ends) == 0;
}

void snapshots_calls_close(void)
{
	semctl(semaphores, 0, IPC_RMID);
	msgctl(messages, IPC_RMID, NULL);
}

void snapshots_calls_wake(int count)
{
	const struct message message = {.type = 1};
	struct sembuf up = {.sem_op = 1};
	static const char byte = 0;

	waking = 1;
	eventfd_write(event, 1);
	(void)write(pipe_ends[1], &byte, 1);
	pthread_mutex_lock(&mutex);
	told = 1;
	pthread_cond_broadcast(&condition);
	pthread_mutex_unlock(&mutex);
	for (int i = 0; i < count; i++) {
		sem_post(&semaphore);
		semop(semaphores, &up, 1);
		msgsnd(messages, &message, 1, 0);
	}
}

int snapshots_calls_signal(const struct snapshots_call *call)
{
	if (call->call == call_sigtimedwait || call->call == call_sigwaitinfo)
		return SIGUSR1;
	return call->call == call_pause || call->call == call_sigsuspend ? SIGUSR2 : 0;
}
