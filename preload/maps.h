/* SPDX-License-Identifier: Apache-2.0
 *
 * /proc/self/maps, read with raw system calls into arena memory.  In the
 * snapshot child, whose maps are those that the target had at the fork.
 */
#ifndef MAPS_H
#define MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum maps_kind {
	MAPS_ANONYMOUS,
	MAPS_FILE,
	MAPS_HEAP,    /* [heap]: brk */
	MAPS_STACK,   /* [stack]: the first thread's */
	MAPS_SPECIAL, /* [vvar], [vdso], [vsyscall] */
};

struct maps_entry {
	uint64_t start, end;
	bool readable, writable, shared;
	uint8_t kind; /* enum maps_kind */
};

struct maps {
	struct maps_entry *entries; /* by address */
	size_t count, capacity;
	bool failed;                   /* no memory: entries are missing */
	uint64_t gone_start, gone_end; /* was there for the reading only, and is in an entry */
};

/* False when there is no memory or no /proc. */
bool maps_read(struct maps *maps);

/* Only the entry that holds the address; false when there is none.  For any
 * thread of the target: takes next to no stack. */
bool maps_read_one(uint64_t address, struct maps_entry *ret);

/* The entry that holds the address, or NULL. */
const struct maps_entry *maps_find(const struct maps *maps, uint64_t address);

/* Can all of [start, end) be read?  Ranges may span entries. */
bool maps_readable(const struct maps *maps, uint64_t start, uint64_t end);

#endif
