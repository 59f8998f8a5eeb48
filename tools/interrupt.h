/* SPDX-License-Identifier: Apache-2.0
 *
 * Ctrl-C while a command works on its own: the first one asks for an orderly
 * end, so that temporary files go away; the second one kills.
 */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include <stdbool.h>

void interrupt_catch(void);

/* The number of the signal that came, or 0. */
int interrupt_pending(void);

#endif
