/* SPDX-License-Identifier: Apache-2.0
 *
 * A set of address ranges: collected in any order, then sorted and merged.  In
 * the snapshot child; arena memory.
 */
#ifndef RANGES_H
#define RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
	uint64_t start, end;
};

struct ranges {
	struct range *ranges;
	size_t count, capacity;
	bool failed; /* no memory: some are missing */
};

void ranges_add(struct ranges *ranges, uint64_t start, uint64_t end); /* empty ones are ignored */
void ranges_sort(struct ranges *ranges);

/* Calls visit with each part of [start, end) that is in no range; sorted. */
void ranges_outside(const struct ranges *ranges, uint64_t start, uint64_t end,
		    void (*visit)(void *arg, uint64_t start, uint64_t end), void *arg);

#endif
