/* SPDX-License-Identifier: Apache-2.0
 *
 * Links between annotated objects.  Runs in the target's threads, under the
 * guard; an owner's links change under the stripe of the owner.  They are in
 * two lists: the owner's, and one of a hash over (target, field), because an
 * owner may have very many and unlink must still be quick.
 */
#include "object.h"

#include "arena.h"
#include "emit.h"
#include "object_internal.h"
#include "pool.h"

#define BUCKETS_BITS 14 /* of each stripe */

struct link {
	uintptr_t owner, target;
	uint32_t field, stack;
	uint32_t next, previous; /* of the owner; previous is newer */
	uint32_t hash_next;
	bool weak;
};

static struct pool s_links = POOL_INIT(s_links, sizeof(struct link));
static uint32_t *s_buckets;

static struct link *link_at(uint32_t index)
{
	return pool_at(&s_links, index);
}

static uint32_t *table(void)
{
	const size_t size = sizeof(uint32_t) * OBJECT_STRIPES << BUCKETS_BITS;
	uint32_t *known = __atomic_load_n(&s_buckets, __ATOMIC_ACQUIRE);
	uint32_t *fresh;

	if (known)
		return known;
	fresh = arena_map(size);
	if (!fresh)
		return NULL;
	if (__atomic_compare_exchange_n(&s_buckets, &known, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return fresh;
	arena_unmap(fresh, size);
	return known;
}

/* A bucket belongs to one stripe, so the owner's lock covers it. */
static uint32_t *bucket(uint32_t *buckets, uintptr_t owner, uintptr_t target, uint32_t field)
{
	uint64_t hash = ((target ^ owner << 17) + field) * UINT64_C(0x9e3779b97f4a7c15);

	return &buckets[(size_t)object_stripe(owner) << BUCKETS_BITS | hash >> (64 - BUCKETS_BITS)];
}

bool object_link(uintptr_t owner, const struct object_link *new)
{
	uint32_t *buckets = table();
	uint32_t index = buckets ? pool_take(&s_links, NULL) : 0;
	uint32_t *head, found = 0;
	struct object *object;
	struct link *link;

	if (!index) {
		limits_count(CASTAWAY_LIMIT_MEMORY, 1, NULL);
		return false;
	}
	link = link_at(index);
	*link = (struct link){.owner = owner,
			      .target = new->target,
			      .field = new->field,
			      .stack = new->stack,
			      .weak = new->weak};
	if (object_lock(owner)) {
		found = object_index(owner);
		if (found) {
			object = object_at(found);
			head = bucket(buckets, owner, new->target, new->field);
			link->hash_next = *head;
			*head = index;
			link->next = object->links;
			if (link->next)
				link_at(link->next)->previous = index;
			object->links = index;
			object->link_count++;
		}
		object_unlock(owner);
	}
	if (!found)
		pool_give(&s_links, NULL, index);
	return found != 0;
}

/* Out of its bucket and back to the pool; not out of the owner's list. */
static void forget(uint32_t index)
{
	struct link *link = link_at(index);
	uint32_t *where = bucket(s_buckets, link->owner, link->target, link->field);

	while (*where && *where != index)
		where = &link_at(*where)->hash_next;
	if (*where)
		*where = link->hash_next;
	pool_give(&s_links, NULL, index);
}

bool object_unlink(uintptr_t owner, uintptr_t target, uint32_t field)
{
	uint32_t *buckets = table();
	uint32_t index, object;

	if (!buckets || !object_lock(owner))
		return false;
	index = *bucket(buckets, owner, target, field);
	while (index) {
		const struct link *link = link_at(index);

		if (link->owner == owner && link->target == target && link->field == field)
			break;
		index = link->hash_next;
	}
	object = index ? object_index(owner) : 0;
	if (object) {
		const struct link *link = link_at(index);

		if (link->previous)
			link_at(link->previous)->next = link->next;
		else
			object_at(object)->links = link->next;
		if (link->next)
			link_at(link->next)->previous = link->previous;
		object_at(object)->link_count--;
		forget(index);
	}
	object_unlock(owner);
	return object != 0;
}

void object_links_drop(struct object *object)
{
	uint32_t index = object->links;

	while (index) {
		uint32_t next = link_at(index)->next;

		forget(index);
		index = next;
	}
	object->links = 0;
	object->link_count = 0;
}

size_t object_links(uintptr_t owner, size_t skip, struct object_link *ret, size_t max)
{
	size_t count = 0;
	uint32_t object, index;

	if (!object_lock(owner))
		return 0;
	object = object_index(owner);
	index = object ? object_at(object)->links : 0;
	for (; index && count < max; index = link_at(index)->next) {
		const struct link *link = link_at(index);

		if (skip) {
			skip--;
			continue;
		}
		ret[count++] = (struct object_link){link->target, link->field, link->stack, link->weak};
	}
	object_unlock(owner);
	return count;
}

bool object_refers_to(uintptr_t owner, uintptr_t target)
{
	uint32_t object, index;

	if (!object_lock(owner))
		return false;
	object = object_index(owner);
	index = object ? object_at(object)->links : 0;
	while (index && (link_at(index)->weak || link_at(index)->target != target))
		index = link_at(index)->next;
	object_unlock(owner);
	return index != 0;
}
