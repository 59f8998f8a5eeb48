/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes heap snapshots.  Runs in the helper process: the target is stopped,
 * the helper forks, the target goes on, and the child looks through its copy
 * of the memory at leisure.
 */
#ifndef TAKER_H
#define TAKER_H

#include <stdbool.h>
#include <stdint.h>

/* One step: begins what was asked for, or takes in what a child has finished.
 * Never waits for a child. */
void taker_step(uint64_t now);

/* Whatever was asked for is in the trace, or handed to the writer. */
bool taker_is_idle(void);

/* Nanoseconds after which the next step is due, at most `longest`. */
uint64_t taker_sleep(uint64_t longest);

/* Before the trace ends: waits for the child, answers the rest. */
void taker_finish(void);

/* What somebody outside asked for; control_answer() tells how it went. */
void taker_request(const char *name);

/* In a fork child: nothing is being taken. */
void taker_reset(void);

#endif
