/* SPDX-License-Identifier: Apache-2.0
 *
 * Annotated objects: birth, end, counts, lookup.  Runs in the target's threads,
 * under the guard, in the annotation hooks and where a block dies.  An object
 * and its links change under the stripe of its address only.
 */
#include "object.h"

#include "emit.h"
#include "hot.h"
#include "object_internal.h"
#include "pagemap.h"
#include "pool.h"
#include "shadow.h"
#include "spin.h"

static struct pagemap s_map;
static struct pool s_objects = POOL_INIT(s_objects, sizeof(struct object));
HOT_WRITTEN uint32_t g_object_count;

static struct {
	struct spin spin;
	char pad[60]; /* one to a cache line */
} s_stripes[OBJECT_STRIPES] __attribute__((aligned(64)));

uint32_t object_stripe(uintptr_t address)
{
	return (uint32_t)((address >> PAGEMAP_GRANULE_BITS) * UINT64_C(0x9e3779b97f4a7c15) >> 58);
}

bool object_lock(uintptr_t address)
{
	return spin_lock(&s_stripes[object_stripe(address)].spin);
}

void object_unlock(uintptr_t address)
{
	spin_unlock(&s_stripes[object_stripe(address)].spin);
}

void object_after_fork(void)
{
	spin_after_fork();
}

struct object *object_at(uint32_t index)
{
	return pool_at(&s_objects, index);
}

uint32_t object_index(uintptr_t address)
{
	uint32_t index = pagemap_get(&s_map, address);

	while (index && object_at(index)->address != address)
		index = object_at(index)->next;
	return index;
}

/* Takes it out of its granule's chain; the caller holds the stripe. */
static bool remove_locked(uintptr_t address, struct generation_stamp *stamp)
{
	uint32_t *where = pagemap_peek(&s_map, address);
	uint32_t index = object_index(address);
	struct object *dead;

	if (!index)
		return false;
	while (*where != index)
		where = &object_at(*where)->next;
	dead = object_at(index);
	__atomic_store_n(where, dead->next, __ATOMIC_RELEASE);
	object_links_drop(dead);
	*stamp = dead->stamp;
	pool_give(&s_objects, NULL, index);
	__atomic_sub_fetch(&g_object_count, 1, __ATOMIC_RELAXED);
	return true;
}

bool object_end(struct thread *thread, uintptr_t address)
{
	struct generation_stamp stamp;
	bool found;

	if (!object_lock(address))
		return false;
	found = remove_locked(address, &stamp);
	object_unlock(address);
	if (found)
		generation_object_died(thread, &stamp);
	return found;
}

void object_born(struct thread *thread, uintptr_t address, uint64_t size, uint32_t type, uint32_t stack)
{
	struct generation_stamp stamp;
	struct object *object;
	uint32_t index, *slot;

	object_end(thread, address);
	generation_object_born(thread, &stamp);
	slot = pagemap_slot(&s_map, address);
	index = slot ? pool_take(&s_objects, NULL) : 0;
	if (!index) {
		generation_object_died(thread, &stamp);
		limits_count(CASTAWAY_LIMIT_MEMORY, 1, NULL);
		return;
	}
	object = object_at(index);
	*object = (struct object){
		.address = address, .size = size, .count = 1, .stamp = stamp, .type = type, .stack = stack};
	if (!object_lock(address)) {
		pool_give(&s_objects, NULL, index);
		generation_object_died(thread, &stamp);
		return;
	}
	object->next = *slot;
	__atomic_store_n(slot, index, __ATOMIC_RELEASE);
	object_unlock(address);
	__atomic_add_fetch(&g_object_count, 1, __ATOMIC_RELAXED);
}

bool object_count_add(uintptr_t address, int64_t change)
{
	uint32_t index;

	/* The lock, lest the object ends and its record becomes another one. */
	if (!object_lock(address))
		return false;
	index = object_index(address);
	if (index)
		object_at(index)->count += change;
	object_unlock(address);
	return index != 0;
}

static void describe(const struct object *object, struct object_view *ret)
{
	*ret = (struct object_view){
		.address = object->address,
		.size = object->size,
		.count = object->count,
		.type = object->type,
		.stack = object->stack,
		.links = object->link_count,
		.stamp = object->stamp,
	};
}

bool object_find(uintptr_t address, struct object_view *ret)
{
	uint32_t index;

	if (!pagemap_get(&s_map, address) || !object_lock(address))
		return false;
	index = object_index(address);
	if (index)
		describe(object_at(index), ret);
	object_unlock(address);
	return index != 0;
}

/* Objects in one granule are chained in no order: the lowest at or above. */
static bool next_in_granule(uintptr_t granule, uintptr_t address, struct object_view *ret)
{
	bool found = false;

	if (!object_lock(granule))
		return false;
	for (uint32_t index = pagemap_get(&s_map, granule); index; index = object_at(index)->next) {
		const struct object *object = object_at(index);

		if (object->address < address || (found && object->address > ret->address))
			continue;
		describe(object, ret);
		found = true;
	}
	object_unlock(granule);
	return found;
}

static bool next_before(uintptr_t address, uintptr_t end, struct object_view *ret)
{
	uintptr_t at = address;
	uint32_t value;

	while (pagemap_next(&s_map, &at, end, &value)) {
		if (next_in_granule(at, address, ret))
			return ret->address < end;
		at += 1u << PAGEMAP_GRANULE_BITS;
	}
	return false;
}

bool object_next(uintptr_t address, struct object_view *ret)
{
	return next_before(address, UINTPTR_MAX, ret);
}

void object_block_freed(struct thread *thread, uintptr_t address, uint64_t size)
{
	uintptr_t at = address, end = address + size;
	struct object_view view;

	if (end < address)
		return;
	while (next_before(at, end, &view)) {
		object_end(thread, view.address);
		at = view.address + 1;
	}
}
