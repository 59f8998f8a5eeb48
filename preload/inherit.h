/* SPDX-License-Identifier: Apache-2.0
 *
 * Fork children.  A child gets a trace of its own, but not before it has shown
 * that it does more than exec: with its first full buffer, when events have
 * waited as long as they may, when it makes a thread, or when it ends.  The
 * trace then begins with what the child inherited and did so far.
 */
#ifndef INHERIT_H
#define INHERIT_H

#include <stdbool.h>

void inherit_init(void); /* constructor; registers the fork handlers */

/* Starts a pending child's trace; guard held. */
void inherit_begin(void);

/* A copy of the process that was made without the fork handlers (clone,
 * _Fork)?  Then it is made a proper child.  Cheap; guard held. */
void inherit_check_copy(void);

/* This memory is a process's own, not borrowed by a vfork child. */
bool inherit_is_owner(void);

#endif
