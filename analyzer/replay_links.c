/* SPDX-License-Identifier: Apache-2.0
 *
 * An object's outgoing links: an array, and for owners of many links (large
 * containers) chains through it by target and field, so that taking one away
 * does not walk over all.
 */
#include <string.h>

#include "replay_state.h"

#define CHAINED_FROM 48u
#define NO_LINK      UINT32_MAX

static uint32_t bucket_of(const struct object_record *owner, const struct replay_link *link)
{
	uint64_t hash = (link->target ^ (uint64_t)link->field << 48) * 0x9e3779b97f4a7c15u;

	return (uint32_t)(hash >> 32) & owner->bucket_mask;
}

static void chain(struct object_record *owner, uint32_t at)
{
	struct replay_link *links = owner->object.links;
	uint32_t *head = &owner->buckets[bucket_of(owner, &links[at])];

	links[at].next = *head;
	links[at].previous = NO_LINK;
	if (*head != NO_LINK)
		links[*head].previous = at;
	*head = at;
}

static void unchain(struct object_record *owner, uint32_t at)
{
	struct replay_link *links = owner->object.links;

	if (links[at].previous != NO_LINK)
		links[links[at].previous].next = links[at].next;
	else
		owner->buckets[bucket_of(owner, &links[at])] = links[at].next;
	if (links[at].next != NO_LINK)
		links[links[at].next].previous = links[at].previous;
}

static bool make_buckets(struct object_record *owner, uint32_t count)
{
	uint32_t *buckets = malloc(count * sizeof(*buckets));

	if (!buckets)
		return false;
	memset(buckets, 0xff, count * sizeof(*buckets));
	free(owner->buckets);
	owner->buckets = buckets;
	owner->bucket_mask = count - 1;
	/* In their order, so that the newest of equal ones comes first. */
	for (uint32_t i = 0; i < owner->object.link_count; i++)
		chain(owner, i);
	return true;
}

enum error_code links_add(struct object_record *owner, const struct replay_link *link)
{
	struct replay_object *object = &owner->object;
	size_t capacity = object->link_capacity;
	struct replay_link *links;

	if (object->link_count == NO_LINK - 1)
		return ERROR_MEMORY;
	if (object->link_count == capacity) {
		capacity = capacity ? 2 * capacity : 4;
		links = realloc(object->links, capacity * sizeof(*links));
		if (!links)
			return ERROR_MEMORY;
		object->links = links;
		object->link_capacity = (uint32_t)(capacity < NO_LINK ? capacity : NO_LINK);
	}
	object->links[object->link_count++] = *link;
	if (!owner->buckets && object->link_count < CHAINED_FROM)
		return ERROR_NONE;
	if (owner->buckets && object->link_count <= owner->bucket_mask + 1) {
		chain(owner, object->link_count - 1);
		return ERROR_NONE;
	}
	return make_buckets(owner, owner->buckets ? 2 * (owner->bucket_mask + 1) : 64) ? ERROR_NONE
										       : ERROR_MEMORY;
}

static uint32_t find(const struct object_record *owner, uint64_t target, uint32_t field)
{
	const struct replay_link key = {.target = target, .field = field};
	const struct replay_link *links = owner->object.links;
	uint32_t at;

	if (owner->buckets) {
		for (at = owner->buckets[bucket_of(owner, &key)]; at != NO_LINK; at = links[at].next)
			if (links[at].target == target && links[at].field == field)
				break;
		return at;
	}
	for (at = owner->object.link_count; at-- > 0;)
		if (links[at].target == target && links[at].field == field)
			return at;
	return NO_LINK;
}

/* The last link takes the place of the one that goes. */
static void remove_at(struct object_record *owner, uint32_t at)
{
	struct replay_object *object = &owner->object;
	uint32_t last = object->link_count - 1;
	struct replay_link *links = object->links;

	if (owner->buckets) {
		unchain(owner, at);
		if (at != last && links[last].previous != NO_LINK)
			links[links[last].previous].next = at;
		else if (at != last)
			owner->buckets[bucket_of(owner, &links[last])] = at;
		if (at != last && links[last].next != NO_LINK)
			links[links[last].next].previous = at;
	}
	links[at] = links[last];
	object->link_count--;
}

bool links_remove(struct object_record *owner, uint64_t target, uint32_t field)
{
	uint32_t at = find(owner, target, field);

	if (at == NO_LINK)
		return false;
	remove_at(owner, at);
	return true;
}

void links_keep_if(struct object_record *owner, bool (*keep)(void *arg, const struct replay_link *link),
		   void *arg)
{
	for (uint32_t i = owner->object.link_count; i-- > 0;)
		if (!keep(arg, &owner->object.links[i]))
			remove_at(owner, i);
}

void links_free(struct object_record *owner)
{
	free(owner->object.links);
	free(owner->buckets);
	owner->object.links = NULL;
	owner->object.link_count = owner->object.link_capacity = 0;
	owner->buckets = NULL;
}
