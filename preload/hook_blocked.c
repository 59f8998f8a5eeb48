/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that wait and that no stop of ours may end (blocked.h).  Where a program's
 * main loop waits for something to do is also a moment at which adapters may look
 * around.  Runs in the target's threads; only forwards.
 */
#include <errno.h>

#include "adapters/adapter.h"
#include "blocked.h"
#include "guard.h"
#include "resolve.h"

/* The result of the real call, made again as long as only we interrupted it. */
#define WAIT(limit, failure, real)                       \
	do {                                             \
		(void)resolve_ready();                   \
		blocked_begin(&call, (limit));           \
		do                                       \
			result = (real);                 \
		while (blocked_again(&call, (failure))); \
	} while (0)
#define INTERRUPTED (result == -1 && errno == EINTR)

/* X(result, name, parameters, time limit, arguments of the real call) */
#define CALLS(X)                                                                                             \
	X(int, epoll_wait, (int epoll, struct epoll_event *events, int count, int timeout),                  \
	  blocked_limit_ms(timeout), (epoll, events, count, blocked_ms(&call, timeout)))                     \
	X(int, epoll_pwait,                                                                                  \
	  (int epoll, struct epoll_event *events, int count, int timeout, const sigset_t *mask),             \
	  blocked_limit_ms(timeout), (epoll, events, count, blocked_ms(&call, timeout), mask))               \
	X(int, epoll_pwait2,                                                                                 \
	  (int epoll, struct epoll_event *events, int count, const struct timespec *timeout,                 \
	   const sigset_t *mask),                                                                            \
	  blocked_limit(timeout), (epoll, events, count, blocked_time(&call, timeout), mask))                \
	X(int, ppoll,                                                                                        \
	  (struct pollfd * descriptors, nfds_t count, const struct timespec *timeout, const sigset_t *mask), \
	  blocked_limit(timeout), (descriptors, count, blocked_time(&call, timeout), mask))                  \
	X(int, __ppoll_chk,                                                                                  \
	  (struct pollfd * descriptors, nfds_t count, const struct timespec *timeout, const sigset_t *mask,  \
	   size_t size),                                                                                     \
	  blocked_limit(timeout), (descriptors, count, blocked_time(&call, timeout), mask, size))            \
	X(int, pselect,                                                                                      \
	  (int count, fd_set *readable, fd_set *writable, fd_set *other, const struct timespec *timeout,     \
	   const sigset_t *mask),                                                                            \
	  blocked_limit(timeout), (count, readable, writable, other, blocked_time(&call, timeout), mask))    \
	X(int, nanosleep, (const struct timespec *time, struct timespec *rest), blocked_limit(time),         \
	  (blocked_time(&call, time), rest))                                                                 \
	X(int, pause, (void), BLOCKED_FOREVER, ())                                                           \
	X(int, sigsuspend, (const sigset_t *mask), BLOCKED_FOREVER, (mask))                                  \
	X(int, sigwaitinfo, (const sigset_t *set, siginfo_t *info), BLOCKED_FOREVER, (set, info))            \
	X(int, sigtimedwait, (const sigset_t *set, siginfo_t *info, const struct timespec *timeout),         \
	  blocked_limit(timeout), (set, info, blocked_time(&call, timeout)))                                 \
	X(int, semop, (int id, struct sembuf *operations, size_t count), BLOCKED_FOREVER,                    \
	  (id, operations, count))                                                                           \
	X(int, semtimedop,                                                                                   \
	  (int id, struct sembuf *operations, size_t count, const struct timespec *timeout),                 \
	  blocked_limit(timeout), (id, operations, count, blocked_time(&call, timeout)))                     \
	X(ssize_t, msgrcv, (int id, void *message, size_t size, long type, int flags), BLOCKED_FOREVER,      \
	  (id, message, size, type, flags))                                                                  \
	X(int, msgsnd, (int id, const void *message, size_t size, int flags), BLOCKED_FOREVER,               \
	  (id, message, size, flags))                                                                        \
	X(int, sem_timedwait, (sem_t * semaphore, const struct timespec *until), BLOCKED_FOREVER,            \
	  (semaphore, until))                                                                                \
	X(int, sem_clockwait, (sem_t * semaphore, clockid_t clock, const struct timespec *until),            \
	  BLOCKED_FOREVER, (semaphore, clock, until))

#define X(type, name, parameters, limit, arguments)              \
	HOOK_EXPORT type name parameters                         \
	{                                                        \
		struct blocked_call call;                        \
		type result;                                     \
                                                                 \
		WAIT(limit, INTERRUPTED, g_real.name arguments); \
		return result;                                   \
	}
CALLS(X)
#undef X

static void look_around(uintptr_t caller, int timeout)
{
	struct guard guard;

	if (guard_enter(&guard))
		adapter_on_poll(caller, timeout);
	guard_leave(&guard);
}

HOOK_EXPORT int poll(struct pollfd *descriptors, nfds_t count, int timeout)
{
	struct blocked_call call;
	int result;

	look_around((uintptr_t)__builtin_return_address(0), timeout);
	WAIT(blocked_limit_ms(timeout), INTERRUPTED,
	     g_real.poll(descriptors, count, blocked_ms(&call, timeout)));
	return result;
}

/* As programs call it that are built with _FORTIFY_SOURCE. */
HOOK_EXPORT int __poll_chk(struct pollfd *descriptors, nfds_t count, int timeout, size_t size)
{
	struct blocked_call call;
	int result;

	look_around((uintptr_t)__builtin_return_address(0), timeout);
	WAIT(blocked_limit_ms(timeout), INTERRUPTED,
	     g_real.__poll_chk(descriptors, count, blocked_ms(&call, timeout), size));
	return result;
}

/* It tells what is left, and so does this when it is made again. */
static struct timeval *shorten(const struct blocked_call *call, struct timeval *timeout)
{
	const struct timespec *left;

	if (timeout != NULL && call->repeated) {
		left = blocked_time(call, &(struct timespec){timeout->tv_sec, timeout->tv_usec * 1000});
		timeout->tv_sec = left->tv_sec;
		timeout->tv_usec = left->tv_nsec / 1000;
	}
	return timeout;
}

HOOK_EXPORT int select(int count, fd_set *readable, fd_set *writable, fd_set *other, struct timeval *timeout)
{
	const struct timespec limit = {.tv_sec = timeout ? timeout->tv_sec : 0,
				       .tv_nsec = timeout ? timeout->tv_usec * 1000 : 0};
	struct blocked_call call;
	int result;

	WAIT(timeout ? blocked_limit(&limit) : BLOCKED_FOREVER, INTERRUPTED,
	     g_real.select(count, readable, writable, other, shorten(&call, timeout)));
	return result;
}

/* A point of time is the same when it is waited for again. */
HOOK_EXPORT int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time,
				struct timespec *rest)
{
	const bool is_point = (flags & TIMER_ABSTIME) != 0;
	struct blocked_call call;
	int result;

	WAIT(is_point ? BLOCKED_FOREVER : blocked_limit(time), result == EINTR,
	     g_real.clock_nanosleep(clock, flags, blocked_time(&call, time), rest));
	return result;
}

HOOK_EXPORT int thrd_sleep(const struct timespec *time, struct timespec *rest)
{
	struct blocked_call call;
	int result;

	WAIT(blocked_limit(time), result == -1, g_real.thrd_sleep(blocked_time(&call, time), rest));
	return result;
}

HOOK_EXPORT int usleep(useconds_t time)
{
	const struct timespec limit = {.tv_sec = time / 1000000, .tv_nsec = time % 1000000 * 1000};
	struct blocked_call call;
	int result;

	WAIT(blocked_limit(&limit), INTERRUPTED,
	     call.repeated ? g_real.nanosleep(blocked_time(&call, &limit), NULL) : g_real.usleep(time));
	return result;
}

/* Of the rest it tells whole seconds only: 0 may be an interrupted one. */
static unsigned sleep_on(const struct blocked_call *call, const struct timespec *limit)
{
	struct timespec rest = {0};

	return g_real.nanosleep(blocked_time(call, limit), &rest) == 0 ? 0 : (unsigned)rest.tv_sec;
}

HOOK_EXPORT unsigned sleep(unsigned seconds)
{
	const struct timespec limit = {.tv_sec = seconds};
	struct blocked_call call;
	unsigned result;

	WAIT(blocked_limit(&limit), true, call.repeated ? sleep_on(&call, &limit) : g_real.sleep(seconds));
	return result;
}
