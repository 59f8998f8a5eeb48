/* SPDX-License-Identifier: Apache-2.0
 *
 * The event clock.  As long as one thread has events there is no other to be in
 * order with: its events take the time from a word that the helper renews every
 * few milliseconds, since reading the processor's counter can cost more than all
 * the rest of an event.  From the second thread on each event reads the counter.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "castaway/format.h"

/* Values of g_clock_now that are no time. */
#define CLOCK_UNSEEN  0u               /* never in it: what an event compares with at first */
#define CLOCK_PRECISE UINT64_MAX       /* every event reads the counter */
#define CLOCK_IDLE    (UINT64_MAX - 1) /* nobody renews it: the next event wakes the helper */

#define CLOCK_RENEW_NS 10000000u

extern uint64_t g_clock_now;

/* An event at or after this calls writer_tick(): where no helper writes, or a
 * fork child has not begun its trace.  UINT64_MAX: never. */
extern uint64_t g_clock_deadline;

void clock_init(void); /* chooses the source, before the first event */
enum castaway_clock_source clock_source(void);
uint8_t clock_shift(void);

/* The counter itself. */
uint64_t clock_ticks(void);

/* The same, at a moment between events: what was recorded before is not later,
 * and what comes after it is. */
uint64_t clock_moment(void);

/* The time of an event, given what g_clock_now held; *seen becomes the value of it
 * that means the same time. */
uint64_t clock_event(uint64_t now, uint64_t *seen);

/* A helper is there to renew the word; does nothing when there are several threads. */
void clock_begin_coarse(void);
void clock_set_precise(void);

/* In the helper: renews the word, or, if the target is not `busy` recording, lets
 * it be until that is.  True: call again in CLOCK_RENEW_NS. */
bool clock_renew(bool busy);

#endif
