/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of trace files: the pattern that the preload gets in CASTAWAY_OUTPUT,
 * and the file that comes of it.
 */
#ifndef RECORDING_H
#define RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The pattern for `output` (as -o gives it; NULL: PROGRAM.PID.castaway here),
 * made absolute.  Refuses a file that exists, unless `force`: then it is
 * removed.  Prints what is wrong; NULL = failed; the caller frees. */
char *recording_pattern(const char *output, const char *command, bool force);

/* Whether `output` may be written: it does not exist, or `force`. */
bool recording_may_write(const char *output, bool force);

/* `path` with its percent signs doubled: as a literal part of a pattern. */
char *recording_escape(const char *path);

/* The trace file of process `pid`: %p, %e and %% expanded; the caller frees. */
char *recording_path(const char *pattern, pid_t pid, const char *program);

struct recording_file {
	uint64_t start; /* CLOCK_REALTIME, nanoseconds */
	char *path;
};
struct recording_files {
	struct recording_file *file; /* the earliest first */
	size_t count;
};

/* The traces of process `pid` that began at `since` or later.  Neither their
 * program's name is known here (python3 runs python3.11), nor whether another
 * file had the name that was wanted; and a process that executes another
 * program leaves a trace of each.  So the headers decide. */
void recording_find(const char *pattern, pid_t pid, uint64_t since, struct recording_files *ret);
void recording_free(struct recording_files *files);

#endif
