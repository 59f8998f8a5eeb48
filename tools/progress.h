/* SPDX-License-Identifier: Apache-2.0
 *
 * A progress bar on stderr, for analysis_options.progress: shown only on a
 * terminal, not under --quiet, and only when the work takes over a second.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* For loops over events: how often to call progress_update. */
#define PROGRESS_EVENTS 65536

struct progress {
	bool enabled, shown;
	uint64_t start_ns, last_ns;
};

void progress_begin(struct progress *progress);

/* `arg` is a struct progress.  False when the user asked to stop. */
bool progress_update(void *arg, const char *phase, double fraction);

/* Wipes the bar: call it before anything else is printed. */
void progress_end(struct progress *progress);

#endif
