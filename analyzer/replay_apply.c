/* SPDX-License-Identifier: Apache-2.0
 *
 * What each event does to the state (FORMAT.md, "Meaning").  Blocks are here,
 * because most events are ALLOC and FREE.
 */
#include <string.h>

#include "replay_state.h"

static void remove_block(struct replay *replay, const struct replay_block *block)
{
	replay->block_bytes -= block->size;
	address_table_remove(&replay->blocks, block->address);
}

enum error_code replay_add_block(struct replay *replay, const struct replay_block *block)
{
	struct replay_block *record = address_table_find(&replay->blocks, block->address);

	if (record) {
		/* Its end was missed. */
		if (replay_end_objects_in(replay, record, NULL) != ERROR_NONE)
			return ERROR_MEMORY;
		replay->block_bytes -= record->size;
	} else {
		record = address_table_insert(&replay->blocks, block->address);
	}
	if (!record)
		return ERROR_MEMORY;
	*record = *block;
	replay->block_bytes += block->size;
	return ERROR_NONE;
}

static enum error_code on_alloc(struct replay *replay, const struct event *event, uint64_t runtime)
{
	const struct replay_block block = {.address = event->field[0],
					   .size = event->field[1],
					   .birth_ticks = event->ticks,
					   .stack = (uint32_t)event->field[2],
					   .birth_pass = passes_now(replay, CASTAWAY_DOMAIN_BLOCKS),
					   .thread = event->thread,
					   .runtime = runtime < 256 ? (uint8_t)runtime : 0};

	return replay_add_block(replay, &block);
}

static struct last_free *last_free_of(struct replay *replay, uint32_t thread)
{
	struct last_free *last = replay->last_free;

	if (last && last->thread == thread)
		return last;
	last = address_table_find(&replay->last_frees, thread);
	if (!last)
		last = address_table_insert(&replay->last_frees, thread);
	replay->last_free = last;
	return last;
}

static enum error_code on_free(struct replay *replay, const struct event *event)
{
	struct last_free *last = last_free_of(replay, event->thread);
	struct replay_block *block = address_table_find(&replay->blocks, event->field[0]);

	if (!last)
		return ERROR_MEMORY;
	replay_drop_parked(last);
	last->valid = block != NULL;
	if (!block) {
		replay->unknown_frees++;
		return ERROR_NONE;
	}
	last->block = *block;
	remove_block(replay, &last->block);
	return replay_end_objects_in(replay, &last->block, last);
}

/* The block is as before, and so is what was in it. */
static enum error_code on_realloc_failed(struct replay *replay, const struct event *event)
{
	struct last_free *last = last_free_of(replay, event->thread);

	if (!last)
		return ERROR_MEMORY;
	if (!last->valid || last->block.address != event->field[0] ||
	    address_table_find(&replay->blocks, last->block.address))
		return ERROR_NONE;
	last->valid = false;
	if (replay_add_block(replay, &last->block) != ERROR_NONE)
		return ERROR_MEMORY;
	return replay_unpark_objects(replay, last);
}

static enum error_code on_layout(struct replay *replay, const struct event *event)
{
	struct misuse_key *entry = address_table_find(&replay->layout_index, event->field[0]);
	struct replay_layout *layouts;

	if (event->field[1] > UINT32_MAX || event->field[2] > 8) {
		replay->bad_events++;
		return ERROR_NONE;
	}
	if (!entry) {
		layouts = array_reserve(replay->layouts, &replay->layout_capacity, replay->layout_count + 1,
					sizeof(*layouts));
		if (!layouts)
			return ERROR_MEMORY;
		replay->layouts = layouts;
		entry = address_table_insert(&replay->layout_index, event->field[0]);
		if (!entry)
			return ERROR_MEMORY;
		entry->index = replay->layout_count++;
	}
	replay->layouts[entry->index] =
		(struct replay_layout){(uint32_t)event->field[0], (uint32_t)event->field[1],
				       (uint32_t)event->field[2], (int64_t)event->field[3]};
	return ERROR_NONE;
}

enum error_code replay_apply(struct replay *replay, const struct event *event)
{
	switch (event->opcode) {
	case CASTAWAY_EVENT_ALLOC:
		return on_alloc(replay, event, CASTAWAY_RUNTIME_NONE);
	case CASTAWAY_EVENT_ALLOC_MANAGED:
		return on_alloc(replay, event, event->field[3]);
	case CASTAWAY_EVENT_FREE:
		return on_free(replay, event);
	case CASTAWAY_EVENT_REALLOC_FAILED:
		return on_realloc_failed(replay, event);
	case CASTAWAY_EVENT_LAYOUT:
		return on_layout(replay, event);
	case CASTAWAY_EVENT_PASS:
		return passes_add(replay, event);
	case CASTAWAY_EVENT_GC_CONTROL:
		passes_control(replay, event);
		return ERROR_NONE;
	case CASTAWAY_EVENT_RUNTIME_REF:
	case CASTAWAY_EVENT_RUNTIME_UNREF:
		return replay_runtime_event(replay, event);
	case CASTAWAY_EVENT_MARK:
	case CASTAWAY_EVENT_RUNTIME_CALL:
		return ERROR_NONE;
	default:
		return replay_object_event(replay, event);
	}
}
