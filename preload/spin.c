/* SPDX-License-Identifier: Apache-2.0
 *
 * The contended case of the bounded lock.  Runs in the target's threads, under
 * the guard.  Its holder needs a few instructions, unless it was preempted: so
 * after a while the processor is offered to it, and in the end (it may have been
 * stopped by a signal handler or a debugger) it is not waited for any longer.
 */
#include "spin.h"

#include <sched.h>
#include <time.h>

#define SPIN_TRIES  1024u
#define PATIENCE_NS 100000000

uint32_t g_spin_epoch = 1;

static int64_t nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

bool spin_lock_slow(struct spin *spin)
{
	int64_t end;

	for (unsigned i = 0; i < SPIN_TRIES; i++) {
		if (spin_try(spin))
			return true;
		__builtin_ia32_pause();
	}
	end = nanoseconds() + PATIENCE_NS;
	do {
		sched_yield();
		if (spin_try(spin))
			return true;
	} while (nanoseconds() < end);
	return false;
}
