/* SPDX-License-Identifier: Apache-2.0
 *
 * A fork child's trace begins with what the parent left it: its live blocks
 * and its annotated objects, as a snapshot of reason INHERIT.
 */
#include "snapshot_reader.h"

#include "replay_state.h"

struct inheriting {
	struct replay *replay;
	bool no_memory;
};

static bool add_block(void *arg, const struct snapshot_block_record *record)
{
	struct inheriting *in = arg;
	const struct replay_block block = {.address = record->address,
					   .size = record->size,
					   .birth_ticks = record->birth_ticks,
					   .stack = record->stack,
					   .birth_pass = record->birth_pass,
					   .thread = record->thread,
					   .runtime = record->runtime};

	passes_start_at(&in->replay->generations[CASTAWAY_DOMAIN_BLOCKS], record->birth_pass);
	in->no_memory = replay_add_block(in->replay, &block) != ERROR_NONE;
	return !in->no_memory;
}

static bool add_links(struct object_record *owner, const struct snapshot_object_record *record,
		      const struct snapshot_edge_record *edges)
{
	for (uint32_t i = 0; i < record->edge_count; i++) {
		unsigned strength = edges[i].flags & CASTAWAY_EDGE_STRENGTH;
		const struct replay_link link = {.target = edges[i].target,
						 .field = edges[i].field,
						 .stack = edges[i].stack,
						 .weak = strength != CASTAWAY_STRONG};

		if (links_add(owner, &link) != ERROR_NONE)
			return false;
	}
	return true;
}

static bool add_object(void *arg, const struct snapshot_object_record *record,
		       const struct snapshot_edge_record *edges)
{
	struct inheriting *in = arg;
	struct replay *replay = in->replay;
	struct object_record *object;

	if (record->runtime != CASTAWAY_RUNTIME_NATIVE || replay_object_record(replay, record->address))
		return true;
	in->no_memory = replay_add_object(replay, record->address, &object) != ERROR_NONE;
	if (in->no_memory)
		return false;
	object->object.inherited = true;
	object->object.size = record->size;
	object->object.count = record->refcount;
	object->object.type = record->type;
	object->object.stack = record->stack;
	object->object.birth_pass = record->birth_pass;
	object->object.birth_ticks = replay->trace->header.start_ticks;
	if (record->generation == 3 || record->flags & CASTAWAY_OBJECT_PERMANENT)
		object->inherited_frozen = replay->freeze_changed = true;
	passes_start_at(&replay->generations[CASTAWAY_DOMAIN_OBJECTS], record->birth_pass);
	in->no_memory = !add_links(object, record, edges);
	return !in->no_memory;
}

static bool target_exists(void *arg, const struct replay_link *link)
{
	return replay_object_record(arg, link->target) != NULL;
}

/* Links to what had ended before the fork say nothing in this trace. */
static void drop_dangling(struct replay *replay)
{
	struct object_record *object;
	size_t position = 0;

	while ((object = address_table_next(&replay->objects, &position)) != NULL)
		links_keep_if(object, target_exists, replay);
}

enum error_code replay_inherit(struct replay *replay, struct error *error)
{
	const struct trace *trace = replay->trace;
	const struct trace_snapshot *snapshot = NULL;
	struct inheriting in = {replay, false};
	enum error_code code;

	for (size_t i = 0; i < trace->snapshot_count && !snapshot; i++)
		if (trace->snapshots[i].reason == CASTAWAY_REASON_INHERIT)
			snapshot = &trace->snapshots[i];
	replay->inherited = snapshot || (trace->header.features & CASTAWAY_FEATURE_INHERITED);
	if (!snapshot)
		return ERROR_NONE;
	replay->begin = snapshot->ticks;
	code = snapshot_read_blocks(replay->trace, snapshot, add_block, &in, error);
	if (code == ERROR_NONE)
		code = snapshot_read_objects(replay->trace, snapshot, add_object, &in, error);
	if (in.no_memory)
		return no_memory(error);
	drop_dangling(replay);
	return code;
}
