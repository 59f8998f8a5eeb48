/* SPDX-License-Identifier: Apache-2.0
 *
 * The moments of a process's end, as the exit and exec hooks see them.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>

#include "castaway/format.h"

/* Starts tracing; once. */
void main_set_up(char **environment);

/* The program means to end, nothing is torn down yet: the runtimes' objects
 * are read.  Recording goes on: destructors are still to come. */
void process_exit_moment(enum castaway_end_reason reason);

/* The destructors have run. */
void process_late_moment(void);

/* From the exit moment on the program is being torn down, by one thread.  What
 * another one would see then is neither alive nor dead. */
bool process_is_ending(void);
#define PROCESS_IS_ENDING "heap: the program was ending"
/* True when the calling thread is the one that ends it. */
bool process_claim_end(void);
bool process_may_look(void);
void process_after_fork(void);

/* Nothing of the program runs any more after this. */
void process_end(enum castaway_end_reason reason);

#endif
