/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of the target that wait, and that the kernel ends with EINTR for a stop
 * of ours: the hooks of hook_blocked.c say where the thread waits and until when,
 * so that it waits on.  A tracer has the kernel begin the call again, with what
 * is left of its time (stop_ptrace.c): the kernel alone knows whether a signal of
 * the target's came meanwhile, which the target must learn of.  Where a signal
 * stopped the thread (stop_signal.c) its hook makes the call again: a signal that
 * comes while it stands is taken as if it had come just before.
 */
#ifndef BLOCKED_H
#define BLOCKED_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "guard.h"

#define BLOCKED_NS UINT64_C(1000000000)

struct blocked {
	uintptr_t frame;      /* the hook's; 0 = none */
	uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0 = none */
	struct timespec left; /* what calls are given that take a limit by reference */
	uint32_t interrupted; /* by a signal of ours */
};
extern __thread struct blocked t_blocked GUARD_TLS;

/* Deep enough for what libc puts between a hook and the kernel; the frame of a
 * signal's handler takes more. */
#define BLOCKED_DEPTH 1024u

/* A thread with this stack pointer is in the call that the hook made. */
static inline bool blocked_is_in(uintptr_t frame, uintptr_t sp)
{
	return frame - sp < BLOCKED_DEPTH;
}

/* One call of a hook, which may be in a signal's handler that interrupts another. */
struct blocked_call {
	struct blocked outer;
	int saved_errno;
	bool repeated;
};

/* Around the call: `do result = real(); while (blocked_again(&call, ...))`, with
 * whether it failed as an interrupted one does. */
void blocked_begin_at(struct blocked_call *call, uintptr_t frame, uint64_t limit_ns);
bool blocked_again(struct blocked_call *call, bool failed);
#define BLOCKED_FOREVER UINT64_MAX
#define blocked_begin(call, limit_ns) \
	blocked_begin_at((call), (uintptr_t)__builtin_frame_address(0), (limit_ns))

/* Limits as the functions take them: before the call, as they are given; when it
 * is made again, what is left. */
uint64_t blocked_limit_ms(int milliseconds); /* negative: none */
int blocked_ms(const struct blocked_call *call, int milliseconds);
uint64_t blocked_limit(const struct timespec *time); /* NULL: none */
const struct timespec *blocked_time(const struct blocked_call *call, const struct timespec *time);

#endif
