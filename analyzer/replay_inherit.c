/* SPDX-License-Identifier: Apache-2.0
 *
 * A fork child's trace begins with what the parent left it: its live blocks
 * and its annotated objects, as a snapshot of reason INHERIT.
 */
#include <string.h>

#include "snapshot_reader.h"

#include "replay_state.h"

struct inheriting {
	struct replay *replay;
	bool without_managed;
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

	/* Blocks whose end no event will tell would live for ever. */
	if (in->without_managed && record->runtime == CASTAWAY_RUNTIME_CPYTHON)
		return true;
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

/* Of a runtime's own blocks there are events only where they were asked for. */
static bool tells_managed(const struct trace *trace, const struct trace_snapshot *start)
{
	return start->reason != CASTAWAY_REASON_ROTATE ||
	       (trace->options && strstr(trace->options, "python-events=yes") != NULL);
}

static enum error_code load(struct replay *replay, const struct trace_snapshot *snapshot, struct error *error)
{
	struct inheriting in = {.replay = replay, .without_managed = !tells_managed(replay->trace, snapshot)};
	enum error_code code = snapshot_read_blocks(replay->trace, snapshot, add_block, &in, error);

	if (code == ERROR_NONE)
		code = snapshot_read_objects(replay->trace, snapshot, add_object, &in, error);
	if (in.no_memory)
		return no_memory(error);
	drop_dangling(replay);
	return code;
}

static bool is_live(const struct trace *trace)
{
	return trace->header.features & CASTAWAY_FEATURE_LIVE;
}

enum error_code replay_load_state(struct replay *replay, uint64_t ticks, struct error *error)
{
	const struct trace *trace = replay->trace;
	const struct trace_snapshot *last = NULL;

	for (size_t i = 0; i < trace->snapshot_count && is_live(trace); i++) {
		const struct trace_snapshot *snapshot = &trace->snapshots[i];

		if (snapshot->complete && snapshot->ticks <= ticks &&
		    (!last || snapshot->ticks >= last->ticks))
			last = snapshot;
	}
	if (!last || last == replay->state)
		return ERROR_NONE;
	replay_clear_state(replay);
	replay->state = last;
	return load(replay, last, error);
}

/* What the events go on from. */
static bool is_start(const struct trace *trace, const struct trace_snapshot *snapshot)
{
	if (trace->header.features & CASTAWAY_FEATURE_ROTATED)
		return snapshot->reason == CASTAWAY_REASON_ROTATE && snapshot->complete;
	return snapshot->reason == CASTAWAY_REASON_INHERIT;
}

#define STARTED (CASTAWAY_FEATURE_INHERITED | CASTAWAY_FEATURE_ROTATED)

enum error_code replay_inherit(struct replay *replay, struct error *error)
{
	const struct trace *trace = replay->trace;
	const struct trace_snapshot *snapshot = NULL;

	for (size_t i = 0; i < trace->snapshot_count && !snapshot; i++)
		if (is_start(trace, &trace->snapshots[i]))
			snapshot = &trace->snapshots[i];
	replay->inherited = snapshot || (trace->header.features & STARTED);
	if (!snapshot || is_live(trace))
		return ERROR_NONE;
	replay->begin = snapshot->ticks;
	return load(replay, snapshot, error);
}
