/* SPDX-License-Identifier: Apache-2.0
 *
 * The snapshot that the helper is taking, shared by the files of this name.
 */
#ifndef TAKER_INTERNAL_H
#define TAKER_INTERNAL_H

#include "request.h"
#include "snapshot_scan.h"
#include "taker.h"

#define TAKER_FIRST_POLL_NS 200000u

struct taker {
	struct request request; /* a copy: the requester goes on */
	bool from_outside;
	enum castaway_snapshot_method method;
	uint64_t ticks, pause_ns;
	struct snapshot_scan_totals totals;
	/* The child, 0 = none, and the file that it writes to. */
	pid_t child;
	int fd;
	uint64_t poll_ns, grown_ns;
	int64_t size;
	/* What to take next. */
	uint64_t next_ns;
	bool wanted;
	uint64_t second_ns; /* when to take the second of two; 0 = the first is not taken */
	bool stragglers;    /* threads that are still to be let go */
	uint64_t mapped_here;
	uint32_t names; /* that children gave so far */
	/* An own one that waits for a thread of the target to make it. */
	bool waiting;
	struct request delegated;
	bool delegated_outside;
	uint64_t patience_ns, retry_ns;
	char wanted_name[REQUEST_NAME_MAX];
};
extern struct taker g_taker;

/* Makes the child that writes the snapshot into a file of its own. */
bool taker_child_fork(const struct stop *stop);
/* One look at the child; true when it has ended and all is written. */
bool taker_child_has_ended(void);

/* The snapshot's record, and the answer to who asked from outside.  Without the
 * heap's part, which `failure` explains, it is still a moment. */
void taker_write(bool scanned, const char *failure);

#endif
