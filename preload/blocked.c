/* SPDX-License-Identifier: Apache-2.0
 *
 * What is left of the time of a call that waits.  Runs in the target's threads.
 */
#include "blocked.h"

#include <limits.h>

__thread struct blocked t_blocked GUARD_TLS;

/* By the vDSO: a system call for it would cost as much as many of the calls do. */
static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * BLOCKED_NS + (uint64_t)now.tv_nsec;
}

void blocked_begin_at(struct blocked_call *call, uintptr_t frame, uint64_t limit_ns)
{
	uint64_t deadline = 0;

	call->outer = t_blocked;
	call->saved_errno = errno;
	call->repeated = false;
	/* What only looks is never interrupted. */
	if (limit_ns == 0 || !__atomic_load_n(&g_tracing, __ATOMIC_RELAXED))
		frame = 0;
	else if (limit_ns != BLOCKED_FOREVER)
		deadline = now_ns() + limit_ns;
	t_blocked = (struct blocked){.frame = frame, .deadline_ns = deadline};
}

bool blocked_again(struct blocked_call *call, bool failed)
{
	if (failed && t_blocked.interrupted != 0) {
		t_blocked.interrupted = 0;
		errno = call->saved_errno;
		call->repeated = true;
		return true;
	}
	t_blocked = call->outer;
	return false;
}

static uint64_t left_ns(void)
{
	const uint64_t now = now_ns();

	return t_blocked.deadline_ns > now ? t_blocked.deadline_ns - now : 0;
}

uint64_t blocked_limit_ms(int milliseconds)
{
	return milliseconds < 0 ? BLOCKED_FOREVER : (uint64_t)milliseconds * 1000000u;
}

int blocked_ms(const struct blocked_call *call, int milliseconds)
{
	/* At most what it was. */
	return call->repeated && t_blocked.deadline_ns != 0 ? (int)((left_ns() + 999999u) / 1000000u)
							    : milliseconds;
}

/* Of what is no time the call itself will tell the target. */
uint64_t blocked_limit(const struct timespec *time)
{
	if (time == NULL || time->tv_sec < 0 || time->tv_sec > INT_MAX || time->tv_nsec < 0)
		return BLOCKED_FOREVER;
	return (uint64_t)time->tv_sec * BLOCKED_NS + (uint64_t)time->tv_nsec;
}

const struct timespec *blocked_time(const struct blocked_call *call, const struct timespec *time)
{
	uint64_t left;

	if (time == NULL)
		return NULL;
	t_blocked.left = *time;
	if (call->repeated && t_blocked.deadline_ns != 0) {
		left = left_ns();
		t_blocked.left.tv_sec = (time_t)(left / BLOCKED_NS);
		t_blocked.left.tv_nsec = (long)(left % BLOCKED_NS);
	}
	return &t_blocked.left;
}
