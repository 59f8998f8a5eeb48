/* SPDX-License-Identifier: Apache-2.0
 *
 * A last snapshot when a signal ends the program: of its own making
 * (snapshot-at-crash) or SIGTERM (snapshot-at-term).  Only where the program
 * left the signal alone when it started; a handler that it installs later is its
 * own, and takes ours away.
 */
#ifndef FATAL_H
#define FATAL_H

#include <signal.h>
#include <stdbool.h>

void fatal_init(void);

/* What a program asks about a signal that it has not touched: hides ours. */
void fatal_hide(struct sigaction *former);

#endif
