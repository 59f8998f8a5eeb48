/* SPDX-License-Identifier: Apache-2.0
 *
 * Between stack.c and the unwinder in use.
 */
#ifndef UNWIND_H
#define UNWIND_H

#include <stddef.h>
#include <stdint.h>

#include "thread.h"

#define UNWIND_OWN_FRAMES 24u /* at most so many frames of castaway and libunwind below a hook */

/* A thread's part, zeroed at first; at the start of *thread->unwind. */
struct unwind_thread {
	void *frames; /* libunwind's frame cache of this thread */
	uint32_t epoch;
	uintptr_t *pcs; /* scratch with room for the own frames too */
	size_t room;
};

/* Loads the unwinder and warms it up; guard held. */
void unwind_init(void);

/* Puts functions of ours in the place of some that libunwind imports; `known`
 * is the address of any function in it. */
void unwind_patch(void *known);
/* What it learnt at runtime about one address is wrong since a module went. */
void unwind_forget_frames(struct unwind_thread *own);

#endif
