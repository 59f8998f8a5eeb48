/* SPDX-License-Identifier: Apache-2.0
 *
 * References of runtimes that count by themselves.  The replay keeps no counts
 * for them; it only sees to it that what is taken or given back was there: a
 * reference to an object whose block has ended is one unref too many, earlier.
 */
#include "replay_state.h"

/* How far into its block an object may begin, and the granule of blocks. */
#define LOOK_BACK 65536u
#define GRANULE   16u

struct runtime_object {
	uint64_t address; /* its first member is the key */
	uint64_t block, birth_ticks;
	bool known; /* was in a block when it was first referred to */
};

static const struct replay_block *find_block(const struct replay *replay, uint64_t address)
{
	uint64_t start = address / GRANULE * GRANULE;

	for (uint64_t back = 0; back <= LOOK_BACK && back <= start; back += GRANULE) {
		const struct replay_block *block = address_table_find(&replay->blocks, start - back);

		if (block)
			return address - block->address < block->size ? block : NULL;
	}
	return NULL;
}

/* Memory that is no block (GLib's slabs, a library's data) is not judged. */
static enum error_code add(struct replay *replay, uint64_t address)
{
	const struct replay_block *block = find_block(replay, address);
	struct runtime_object *object = address_table_insert(&replay->runtime_objects, address);

	if (!object)
		return ERROR_MEMORY;
	object->known = block != NULL;
	object->block = block ? block->address : 0;
	object->birth_ticks = block ? block->birth_ticks : 0;
	return ERROR_NONE;
}

void replay_runtime_init(struct replay *replay)
{
	address_table_init(&replay->runtime_objects, sizeof(struct runtime_object));
}

enum error_code replay_runtime_event(struct replay *replay, const struct event *event)
{
	bool up = event->opcode == CASTAWAY_EVENT_RUNTIME_REF;
	uint64_t address = event->field[0];
	struct runtime_object *object = address_table_find(&replay->runtime_objects, address);
	const struct replay_block *block;

	if (!object)
		return add(replay, address);
	if (!object->known)
		return ERROR_NONE;
	block = address_table_find(&replay->blocks, object->block);
	if (block && block->birth_ticks == object->birth_ticks)
		return ERROR_NONE;
	block = find_block(replay, address);
	if (!block)
		return replay_misuse_add(replay, event, up ? REPLAY_REF_UNKNOWN : REPLAY_UNREF_UNKNOWN,
					 address, (uint32_t)event->field[1], 0);
	object->block = block->address;
	object->birth_ticks = block->birth_ticks;
	return ERROR_NONE;
}
