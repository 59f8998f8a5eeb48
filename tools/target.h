/* SPDX-License-Identifier: Apache-2.0
 *
 * Starting a program under the preload and waiting for it and for its trace.
 */
#ifndef TARGET_H
#define TARGET_H

#include <stdbool.h>
#include <sys/types.h>

struct target {
	char **command;
	const char *output;   /* for CASTAWAY_OUTPUT: %p and %e allowed */
	const char *settings; /* for CASTAWAY_OPTIONS; NULL = as inherited */
	pid_t pid;            /* set by target_run */
	int status;           /* exit status as a shell has it: 128+N on signal N */
};

/* Runs it to its end.  False: it could not be executed, which has been
 * printed; `status` is then 126 or 127, or 2 when castaway's own part failed. */
bool target_run(struct target *target);

/* Waits until nothing writes to the trace any more, at most `seconds` from
 * now.  The writer holds an exclusive flock.  False: it still does. */
bool target_wait_trace(const char *path, unsigned seconds);

#endif
