/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the tracee `snapshots`.
 */
#ifndef SNAPSHOTS_H
#define SNAPSHOTS_H

#include <stdbool.h>

/* snapshots_filter.c: runs a command without a system call ("ptrace" or
 * "clone": the clones that copy memory). */
int snapshots_filter(const char *kind, char **command);

/* snapshots_waiters.c: threads in calls that wait, while snapshots are taken, so
 * many at least; prints for each how often it came back with EINTR, whether it
 * ended as it ought to, and after how many milliseconds.  With 0 others take
 * them: prints its pid and waits for the end of its input. */
int snapshots_waiters(int snapshots);

/* ---- snapshots_calls.c ------------------------------------------------------ */

enum snapshots_outcome { SNAPSHOTS_WOKEN, SNAPSHOTS_TIMED_OUT, SNAPSHOTS_INTERRUPTED, SNAPSHOTS_FAILED };

#define SNAPSHOTS_FOREVER (-1)

struct snapshots_call {
	const char *name;
	enum snapshots_outcome (*call)(int limit); /* milliseconds, or FOREVER */
	bool forever, limit;                       /* may be without a limit, may have one */
	bool waits;                                /* for something that may happen */
	bool ends;                                 /* INTERRUPTED when a handler has run, for SIGUSR2 */
};
extern const struct snapshots_call snapshots_calls[]; /* the last has no call */

bool snapshots_calls_open(void);
void snapshots_calls_close(void);
/* What so many threads wait for. */
void snapshots_calls_wake(int count);
/* The signal that a call waits for, 0 for none. */
int snapshots_calls_signal(const struct snapshots_call *call);

#endif
