/* SPDX-License-Identifier: Apache-2.0
 *
 * A private directory for the traces of one `castaway run`: the program's own
 * and those of its children.
 */
#ifndef TRACES_H
#define TRACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct traces_file {
	char *path;
	pid_t pid;         /* 0 = unreadable */
	uint64_t start_ns; /* realtime */
};

struct traces {
	char *directory;
	char *pattern; /* for CASTAWAY_OUTPUT */
	struct traces_file *files;
	size_t count;
};

/* Makes the directory: beside `keep` when that is given (so that traces can be
 * renamed to it), else in TMPDIR.  Prints what is wrong. */
bool traces_create(struct traces *traces, const char *keep);

/* After the target's end: lists what is there, `pid` first, then by start. */
bool traces_list(struct traces *traces, pid_t pid);

/* Moves the traces to `keep` (%p and %e expanded; a name that is taken gets the
 * pid appended) and prints where they are.  Returns the exit status. */
int traces_keep(struct traces *traces, const char *keep);

/* Removes what is left, and the directory. */
void traces_remove(struct traces *traces);

#endif
