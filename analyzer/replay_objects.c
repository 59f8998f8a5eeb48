/* SPDX-License-Identifier: Apache-2.0
 *
 * Annotated objects: birth, counts, links, end, and what the annotations did
 * wrong.
 */
#include <string.h>

#include "replay_state.h"

static struct object_record *record_of_place(struct page_object *place)
{
	return (struct object_record *)((char *)place - offsetof(struct object_record, place));
}

struct object_record *replay_object_record(const struct replay *replay, uint64_t address)
{
	return address_table_find(&replay->objects, address);
}

enum error_code replay_add_object(struct replay *replay, uint64_t address, struct object_record **ret)
{
	struct object_record *record = address_table_insert(&replay->objects, address);

	if (!record)
		return ERROR_MEMORY;
	if (!object_pages_insert(&replay->pages, &record->place, address)) {
		address_table_remove(&replay->objects, address);
		return ERROR_MEMORY;
	}
	*ret = record;
	return ERROR_NONE;
}

void replay_end_object(struct replay *replay, struct object_record *record)
{
	links_free(record);
	passes_count_object(replay, false);
	object_pages_remove(&replay->pages, &record->place);
	address_table_remove(&replay->objects, record->object.address);
}

static enum error_code park(struct last_free *parked, struct object_record *record)
{
	struct object_record *objects = array_reserve(parked->objects, &parked->object_capacity,
						      parked->object_count + 1, sizeof(*objects));

	if (!objects)
		return ERROR_MEMORY;
	parked->objects = objects;
	objects[parked->object_count++] = *record;
	/* The copy owns them now. */
	record->object.links = NULL;
	record->buckets = NULL;
	return ERROR_NONE;
}

static enum error_code end_or_park(struct replay *replay, struct object_record *record,
				   struct last_free *parked)
{
	if (parked && park(parked, record) != ERROR_NONE)
		return ERROR_MEMORY;
	replay_end_object(replay, record);
	return ERROR_NONE;
}

enum error_code replay_end_objects_in(struct replay *replay, const struct replay_block *block,
				      struct last_free *parked)
{
	uint64_t last = block->size > 0 ? block->address + (block->size - 1) : block->address;
	enum error_code code = ERROR_NONE;
	struct object_record *record = NULL;
	struct page_object *place;

	if (replay->objects.used == 0)
		return ERROR_NONE;
	if (last < block->address)
		last = UINT64_MAX;
	/* Mostly an object begins where its block does. */
	if (object_pages_near(&replay->pages, block->address))
		record = replay_object_record(replay, block->address);
	if (record)
		code = end_or_park(replay, record, parked);
	while (code == ERROR_NONE &&
	       (place = object_pages_find(&replay->pages, block->address, last)) != NULL)
		code = end_or_park(replay, record_of_place(place), parked);
	return code;
}

enum error_code replay_unpark_objects(struct replay *replay, struct last_free *parked)
{
	while (parked->object_count > 0) {
		struct object_record *saved = &parked->objects[parked->object_count - 1], *record;

		/* Declared again meanwhile: that one stays. */
		if (replay_object_record(replay, saved->object.address)) {
			links_free(saved);
		} else {
			if (replay_add_object(replay, saved->object.address, &record) != ERROR_NONE)
				return ERROR_MEMORY;
			record->object = saved->object;
			record->buckets = saved->buckets;
			record->bucket_mask = saved->bucket_mask;
			record->inherited_frozen = saved->inherited_frozen;
			passes_count_object(replay, true);
		}
		parked->object_count--;
	}
	return ERROR_NONE;
}

void replay_drop_parked(struct last_free *parked)
{
	while (parked->object_count > 0)
		links_free(&parked->objects[--parked->object_count]);
}

enum error_code replay_misuse_add(struct replay *replay, const struct event *event,
				  enum replay_misuse_kind kind, uint64_t address, uint32_t stack,
				  uint32_t type)
{
	uint64_t key = (uint64_t)stack << 32 | (uint64_t)(type & 0x1fffffff) << 3 | kind;
	struct misuse_key *entry = address_table_find(&replay->misuse_index, key);
	struct replay_misuse *misuses;

	if (entry) {
		replay->misuses[entry->index].count++;
		return ERROR_NONE;
	}
	misuses = array_reserve(replay->misuses, &replay->misuse_capacity, replay->misuse_count + 1,
				sizeof(*misuses));
	if (!misuses)
		return ERROR_MEMORY;
	replay->misuses = misuses;
	entry = address_table_insert(&replay->misuse_index, key);
	if (!entry)
		return ERROR_MEMORY;
	entry->index = replay->misuse_count;
	misuses[replay->misuse_count++] = (struct replay_misuse){.kind = kind,
								 .address = address,
								 .event = event->index,
								 .ticks = event->ticks,
								 .count = 1,
								 .stack = stack,
								 .thread = event->thread,
								 .type = type};
	return ERROR_NONE;
}

static enum error_code on_object(struct replay *replay, const struct event *event)
{
	uint64_t address = event->field[0];
	uint32_t type = (uint32_t)event->field[2], stack = (uint32_t)event->field[3];
	struct object_record *record = replay_object_record(replay, address);
	enum error_code code = ERROR_NONE;

	if (record) {
		code = replay_misuse_add(replay, event, REPLAY_DECLARED_TWICE, address, stack, type);
		replay_end_object(replay, record);
	}
	if (code == ERROR_NONE)
		code = replay_add_object(replay, address, &record);
	if (code != ERROR_NONE)
		return code;
	passes_count_object(replay, true);
	record->object.size = event->field[1];
	record->object.count = 1;
	record->object.type = type;
	record->object.stack = stack;
	record->object.birth_pass = passes_now(replay, CASTAWAY_DOMAIN_OBJECTS);
	record->object.thread = event->thread;
	record->object.birth_event = event->index;
	record->object.birth_ticks = event->ticks;
	return ERROR_NONE;
}

static enum error_code on_object_end(struct replay *replay, const struct event *event)
{
	struct object_record *record = replay_object_record(replay, event->field[0]);

	if (!record)
		return replay_misuse_add(replay, event, REPLAY_END_UNKNOWN, event->field[0],
					 (uint32_t)event->field[1], 0);
	replay_end_object(replay, record);
	return ERROR_NONE;
}

static enum error_code on_count(struct replay *replay, const struct event *event, bool up)
{
	struct object_record *record = replay_object_record(replay, event->field[0]);
	uint32_t stack = (uint32_t)event->field[1];

	if (!record)
		return replay_misuse_add(replay, event, up ? REPLAY_REF_UNKNOWN : REPLAY_UNREF_UNKNOWN,
					 event->field[0], stack, 0);
	record->object.count += up ? 1 : -1;
	if (up || record->object.count >= 0)
		return ERROR_NONE;
	return replay_misuse_add(replay, event, REPLAY_BELOW_ZERO, event->field[0], stack,
				 record->object.type);
}

static enum error_code on_link(struct replay *replay, const struct event *event, bool weak)
{
	uint64_t owner = event->field[0], target = event->field[1];
	struct object_record *record = replay_object_record(replay, owner);
	bool target_known = replay_object_record(replay, target) != NULL;
	const struct replay_link link = {.target = target,
					 .field = (uint32_t)event->field[2],
					 .stack = (uint32_t)event->field[3],
					 .event = event->index,
					 .weak = weak};
	enum error_code code = ERROR_NONE;

	if (!record || !target_known)
		code = replay_misuse_add(replay, event, REPLAY_LINK_UNKNOWN, record ? target : owner,
					 link.stack, record ? record->object.type : 0);
	if (code == ERROR_NONE && record)
		code = links_add(record, &link);
	return code;
}

static enum error_code on_unlink(struct replay *replay, const struct event *event)
{
	uint64_t owner = event->field[0];
	struct object_record *record = replay_object_record(replay, owner);

	if (record && links_remove(record, event->field[1], (uint32_t)event->field[2]))
		return ERROR_NONE;
	return replay_misuse_add(replay, event, REPLAY_UNLINK_MISSING, owner, (uint32_t)event->field[3],
				 record ? record->object.type : 0);
}

enum error_code replay_object_event(struct replay *replay, const struct event *event)
{
	switch (event->opcode) {
	case CASTAWAY_EVENT_OBJECT:
		return on_object(replay, event);
	case CASTAWAY_EVENT_OBJECT_END:
		return on_object_end(replay, event);
	case CASTAWAY_EVENT_REF:
	case CASTAWAY_EVENT_UNREF:
		return on_count(replay, event, event->opcode == CASTAWAY_EVENT_REF);
	case CASTAWAY_EVENT_LINK:
	case CASTAWAY_EVENT_WEAK:
		return on_link(replay, event, event->opcode == CASTAWAY_EVENT_WEAK);
	default:
		return on_unlink(replay, event);
	}
}
