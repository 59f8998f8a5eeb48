/* SPDX-License-Identifier: Apache-2.0
 *
 * castaway_gc_collect(): a snapshot is in the trace, and the analyzer is asked
 * how many of its objects are stranded.  The analyzer is a program of its own,
 * which the helper runs: the target neither forks nor waits, has no child that
 * it could see, and the cycle pass stands in one place only.
 */
#ifndef COLLECT_H
#define COLLECT_H

#include <stdint.h>

/* Notes where to look for the castaway program at the first request:
 * $CASTAWAY_EXE, else from where this library is.  In main_set_up(). */
void collect_init(char **environment, const char *library);

/* Objects of `generation` and younger that are stranded in snapshot `index`, or
 * -errno: ENOTSUP (no helper), ENODATA (events were lost), EAGAIN (a signal
 * handler that interrupted another call), ENOENT (no castaway program), EIO (it
 * failed), ECANCELED (the process ends).  Waits for as long as the analyzer
 * takes.  Call without the guard, after writer_flush(). */
int64_t collect_ask(uint32_t index, int generation);

void collect_after_fork(void);

/* ---- the helper's side ------------------------------------------------------ */

/* Starts what was asked for, or takes the result; never waits. */
void collect_step(void);
uint64_t collect_sleep(uint64_t longest);
/* Before the trace ends. */
void collect_finish(void);

#endif
