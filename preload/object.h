/* SPDX-License-Identifier: Apache-2.0
 *
 * The annotated objects that live now, with their counts and links, so that the
 * live gc functions can answer and a fork child can write what it inherited.
 * The trace does not depend on it: the analyzer replays the events.
 *
 * Call with the guard held.  Nothing waits: an operation that cannot get its
 * bounded lock in time is left out here (see spin.h).
 */
#ifndef OBJECT_H
#define OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "generation.h"
#include "snapshot.h"
#include "thread.h"

struct object_view {
	uintptr_t address;
	uint64_t size;
	int64_t count;
	uint32_t type, stack;
	size_t links;
	struct generation_stamp stamp;
};

struct object_link {
	uintptr_t target;
	uint32_t field, stack;
	bool weak;
};

extern uint32_t g_object_count;
static inline uint32_t object_count(void)
{
	return __atomic_load_n(&g_object_count, __ATOMIC_RELAXED);
}

/* Born with count 1.  Where an object lives already, that one ends. */
void object_born(struct thread *thread, uintptr_t address, uint64_t size, uint32_t type, uint32_t stack);
bool object_end(struct thread *thread, uintptr_t address);
/* The block [address, address + size) is freed: what lived in it ends. */
void object_block_freed(struct thread *thread, uintptr_t address, uint64_t size);

bool object_count_add(uintptr_t address, int64_t change);
bool object_link(uintptr_t owner, const struct object_link *link);
bool object_unlink(uintptr_t owner, uintptr_t target, uint32_t field);

bool object_find(uintptr_t address, struct object_view *ret);
/* The first object at *address or above; false when there is none. */
bool object_next(uintptr_t address, struct object_view *ret);
/* Copies up to max links of an object, without the first `skip`, newest first. */
size_t object_links(uintptr_t owner, size_t skip, struct object_link *ret, size_t max);
bool object_refers_to(uintptr_t owner, uintptr_t target);

/* How to read a type's count from memory: sizeof 1, 2, 4 or 8 at offset; the
 * count is the signed value plus bias.  The newest layout of a type holds. */
struct object_layout {
	uint32_t type, offset, width;
	int64_t bias;
};
void object_layout_add(const struct object_layout *layout);
/* False when the type has no layout, or one that does not fit the object. */
bool object_memory_count(const struct object_view *object, int64_t *ret);

/* Everything above as OBJECTS (in a fork child: nobody else changes it). */
void object_write_snapshot(struct snapshot *snapshot);

void object_after_fork(void);

#endif
