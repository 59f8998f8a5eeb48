/* SPDX-License-Identifier: Apache-2.0
 *
 * The moments of a process's end, as the exit and exec hooks see them.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include "castaway/format.h"

/* Starts tracing; once. */
void main_set_up(char **environment);

/* The program means to end, nothing is torn down yet: the runtimes' objects
 * are read.  Recording goes on: destructors are still to come. */
void process_exit_moment(enum castaway_end_reason reason);

/* Nothing of the program runs any more after this. */
void process_end(enum castaway_end_reason reason);

#endif
