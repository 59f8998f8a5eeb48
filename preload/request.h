/* SPDX-License-Identifier: Apache-2.0
 *
 * A thread of the target asks the helper for a snapshot of the heap, and waits
 * until its memory is copied: from there on the helper works on the copy.
 */
#ifndef REQUEST_H
#define REQUEST_H

#include "arch.h"
#include "castaway/format.h"
#include "stop.h"

#define REQUEST_NAME_MAX 1024u

struct request {
	enum castaway_snapshot_reason reason;
	uint32_t index;
	uint64_t start_ns;
	bool scan;      /* the heap too, not only what adapters describe */
	bool delegated; /* made by a thread of the target on the helper's behalf */
	bool stands;    /* the helper's answer: nothing of the target moved meanwhile */
	struct stopped_thread requester;
	char name[REQUEST_NAME_MAX];
};

/* The caller's state, to be told in the hook that the target called: what lies
 * deeper in the stack is castaway's own.  Until request_leave(). */
#define REQUEST_ENTER()                            \
	struct stopped_thread request_here_ = {0}; \
	arch_own_state(&request_here_);            \
	request_set_here(&request_here_)
#define REQUEST_LEAVE() request_set_here(NULL)
void request_set_here(struct stopped_thread *here);

/* Whether there is somebody who takes snapshots. */
bool request_possible(void);

/* True when the snapshot is being made; the helper then writes its SNAPSHOT and
 * SNAPSHOT_END too.  Bounded wait.  Call with the guard held. */
bool request_snapshot(enum castaway_snapshot_reason reason, uint32_t index, const char *name,
		      uint64_t start_ns, bool scan);
/* The same for who has it written down; its requester is filled in. */
bool request_make(const struct request *what);

/* writer_tick(): some thread of the target looks after what the helper wants. */
void request_attend(void);
void request_after_fork(void);

/* ---- the helper's side ------------------------------------------------------ */

/* The oldest request, or NULL; it must be answered. */
const struct request *request_next(void);
/* The memory is copied, or that has failed. */
void request_answer(const struct request *request, bool taken);
/* Lets the requester (NULL: any thread) install the handler; bounded wait. */
bool request_install(const struct request *request);

#endif
