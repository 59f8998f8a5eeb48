/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the target itself holds pointers: registers, stacks, thread-local
 * storage, module data, other writable memory.  And where it only seems to:
 * what the allocator, castaway and dead threads left behind is not a root.
 * Runs in the snapshot child.
 */
#ifndef ROOTS_H
#define ROOTS_H

#include "castaway/format.h"
#include "maps.h"
#include "scan.h"
#include "stop.h"

struct root_hit {
	enum castaway_root_kind kind;
	uint32_t where;   /* kernel tid or module number, see FORMAT.md */
	uint64_t address; /* of the slot; register number for registers */
	uint32_t to;      /* block */
	uint64_t interior;
};
typedef void (*roots_sink)(void *arg, const struct root_hit *hit);

/* Returns the bytes that should have been looked at but could not be read. */
uint64_t roots_scan(const struct scan_index *index, const struct maps *maps,
		    const struct stopped_thread *threads, size_t count, roots_sink sink, void *arg);

/* Target's thread: pthread_create made a thread with this descriptor.  glibc
 * keeps stacks of dead threads for reuse; only their descriptors tell. */
void roots_note_thread(uintptr_t descriptor);

/* Target's thread: a block of the target's heap that is no block of the trace:
 * from before tracing, or allocated on castaway's behalf (a library that it
 * opens: its entry in the loader's list leads to others).  What it points to is
 * held.  Lock-free; what does not fit is not noted. */
void roots_note_hidden(const void *block, size_t size);
void roots_forget_hidden(const void *block);

#endif
