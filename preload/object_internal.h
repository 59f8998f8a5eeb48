/* SPDX-License-Identifier: Apache-2.0
 *
 * What object.c and object_link.c share: the record of an annotated object.
 * Everything but the stripe functions needs the stripe of the object.
 */
#ifndef OBJECT_INTERNAL_H
#define OBJECT_INTERNAL_H

#include "object.h"

#define OBJECT_STRIPES 64u

struct object {
	uintptr_t address;
	uint64_t size;
	int64_t count;
	struct generation_stamp stamp;
	uint32_t type, stack;
	uint32_t next;  /* in its granule */
	uint32_t links; /* newest */
	uint32_t link_count;
};

uint32_t object_stripe(uintptr_t address);
bool object_lock(uintptr_t address);
void object_unlock(uintptr_t address);

struct object *object_at(uint32_t index);
/* By address, 0 = none. */
uint32_t object_index(uintptr_t address);

/* The object ends: its links end with it. */
void object_links_drop(struct object *object);

#endif
