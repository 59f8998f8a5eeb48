/* SPDX-License-Identifier: Apache-2.0
 *
 * The shadow of the target's heap: every live block, found by its address
 * through a page map (three levels, one 4-byte slot per 16 bytes of address
 * space, only touched pages are resident).  No lock: whoever owns a block owns
 * its slot.
 */
#ifndef SHADOW_H
#define SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "thread.h"

struct shadow_block {
	uintptr_t address;
	uint64_t size;
	uint32_t stack;
	uint32_t birth_pass; /* 0 for managed blocks (managed.h) */
	uint8_t runtime;
};

/* A block was born (after the real call). */
void shadow_insert(struct thread *thread, uintptr_t address, uint64_t size, uint32_t stack, uint8_t runtime);

/* A block dies (before the real call); false when it was not known.  Fills
 * *former (may be NULL), so that a failed realloc can put it back. */
bool shadow_remove(struct thread *thread, uintptr_t address, struct shadow_block *former);
void shadow_restore(struct thread *thread, const struct shadow_block *former);

/* A block dies where nothing may be recorded: inside castaway's own calls (libc
 * frees what the target's last dlerror() left), or in a signal handler that came
 * into one.  It must not stay alive; its record is never used again. */
void shadow_forget(uintptr_t address);

bool shadow_find(uintptr_t address, struct shadow_block *ret); /* start address only */

/* Visits live blocks in address order; blocks born or dead meanwhile may or
 * may not be seen.  Stops when visit returns false. */
void shadow_for_each(bool (*visit)(const struct shadow_block *block, void *arg), void *arg);

uint64_t shadow_count(void); /* slow where there are managed blocks */

#endif
