/* SPDX-License-Identifier: Apache-2.0
 *
 * Moving through time, and what the state is then.
 */
#include "replay.h"

#include "replay_state.h"

static void drop_views(struct replay *replay)
{
	free(replay->block_view);
	free(replay->object_view);
	replay->block_view = replay->object_view = NULL;
}

static struct replay *allocate(struct trace *trace)
{
	struct replay *replay = calloc(1, sizeof(*replay));

	if (!replay)
		return NULL;
	replay->trace = trace;
	address_table_init(&replay->blocks, sizeof(struct replay_block));
	address_table_init(&replay->objects, sizeof(struct object_record));
	address_table_init(&replay->last_frees, sizeof(struct last_free));
	address_table_init(&replay->misuse_index, sizeof(struct misuse_key));
	address_table_init(&replay->layout_index, sizeof(struct misuse_key));
	replay_runtime_init(replay);
	object_pages_init(&replay->pages);
	passes_init(replay);
	return replay;
}

enum error_code replay_new(struct trace *trace, struct replay **ret, struct error *error)
{
	struct replay *replay = allocate(trace);
	enum error_code code;

	*ret = NULL;
	if (!replay)
		return no_memory(error);
	code = event_stream_open(trace, &replay->stream, error);
	if (code == ERROR_NONE)
		code = replay_inherit(replay, error);
	if (code == ERROR_NONE && passes_finish(replay) != ERROR_NONE)
		code = no_memory(error);
	if (code != ERROR_NONE) {
		replay_free(replay);
		return code;
	}
	*ret = replay;
	return ERROR_NONE;
}

static void free_records(struct replay *replay)
{
	struct object_record *object;
	struct last_free *last;
	size_t position = 0;

	while ((object = address_table_next(&replay->objects, &position)) != NULL)
		links_free(object);
	position = 0;
	while ((last = address_table_next(&replay->last_frees, &position)) != NULL) {
		replay_drop_parked(last);
		free(last->objects);
	}
}

void replay_clear_state(struct replay *replay)
{
	free_records(replay);
	address_table_clear(&replay->blocks);
	address_table_clear(&replay->objects);
	address_table_clear(&replay->last_frees);
	object_pages_clear(&replay->pages);
	address_table_init(&replay->blocks, sizeof(struct replay_block));
	address_table_init(&replay->objects, sizeof(struct object_record));
	address_table_init(&replay->last_frees, sizeof(struct last_free));
	object_pages_init(&replay->pages);
	replay->last_free = NULL;
	replay->block_bytes = 0;
}

void replay_free(struct replay *replay)
{
	if (!replay)
		return;
	drop_views(replay);
	free_records(replay);
	address_table_clear(&replay->blocks);
	address_table_clear(&replay->objects);
	address_table_clear(&replay->last_frees);
	address_table_clear(&replay->misuse_index);
	address_table_clear(&replay->layout_index);
	address_table_clear(&replay->runtime_objects);
	object_pages_clear(&replay->pages);
	passes_free(replay);
	event_stream_free(replay->stream);
	free(replay->misuses);
	free(replay->layouts);
	free(replay);
}

static void update_frozen(struct replay *replay)
{
	struct object_record *record;
	size_t position = 0;

	while ((record = address_table_next(&replay->objects, &position)) != NULL) {
		bool inherited = record->inherited_frozen;

		record->object.frozen =
			record->object.birth_event < replay->frozen_until || (inherited && !replay->unfrozen);
		record->object.oldest =
			record->object.birth_event < replay->thawed_until || (inherited && replay->unfrozen);
	}
}

/* What is worked out once per run and not once per event. */
static enum error_code settle(struct replay *replay)
{
	struct trace *trace = replay->trace;
	enum error_code code = passes_finish(replay);

	if (code == ERROR_NONE && (replay->freeze_changed || replay->thawed_until || replay->frozen_until))
		update_frozen(replay);
	replay->freeze_changed = false;
	if (code == ERROR_NONE && replay->unknown_frees > 0)
		code = trace_set_limit(trace, CASTAWAY_LIMIT_UNKNOWN_FREE, replay->unknown_frees,
				       "found in the events");
	if (code == ERROR_NONE && replay->bad_events > 0)
		code = trace_set_limit(trace, CASTAWAY_LIMIT_DAMAGED, replay->bad_events,
				       "events of impossible values");
	return code;
}

enum error_code replay_run(struct replay *replay, uint64_t ticks, struct error *error)
{
	const struct event *event;
	enum error_code code;

	drop_views(replay);
	while ((event = replay_peek(replay)) != NULL && event->ticks <= ticks) {
		/* What a fork child did before its first snapshot is in it. */
		bool contained = event->ticks < replay->begin && event->opcode != CASTAWAY_EVENT_LAYOUT;

		if (!contained && replay_apply(replay, event) != ERROR_NONE)
			return no_memory(error);
		replay->now = event->ticks;
		replay->applied++;
	}
	if (!event && replay->failed != ERROR_NONE) {
		if (error)
			*error = replay->failure;
		return replay->failed;
	}
	code = replay_load_state(replay, ticks, error);
	if (code == ERROR_NONE && settle(replay) != ERROR_NONE)
		code = no_memory(error);
	return code;
}

uint64_t replay_begin(const struct replay *replay)
{
	return replay->begin;
}

const struct replay_block *replay_find_block(const struct replay *replay, uint64_t address)
{
	return address_table_find(&replay->blocks, address);
}

const struct replay_object *replay_find_object(const struct replay *replay, uint64_t address)
{
	const struct object_record *record = replay_object_record(replay, address);

	return record ? &record->object : NULL;
}

const struct replay_object *replay_link_target(const struct replay *replay, const struct replay_link *link)
{
	const struct replay_object *target = replay_find_object(replay, link->target);

	return target && target->birth_event <= link->event ? target : NULL;
}

size_t replay_block_count(const struct replay *replay)
{
	return replay->blocks.used;
}

uint64_t replay_block_bytes(const struct replay *replay)
{
	return replay->block_bytes;
}

/* The sorted view of a table, made at the first question. */
static void **view(const struct address_table *table, void ***kept, size_t *count, struct error *error)
{
	void **sorted, **scratch;

	*count = table->used;
	if (*kept || table->used == 0)
		return *kept;
	sorted = malloc(table->used * sizeof(*sorted));
	scratch = malloc(table->used * sizeof(*scratch));
	if (sorted && scratch) {
		address_table_sort(table, sorted, scratch);
		*kept = sorted;
	} else {
		free(sorted);
		*count = 0;
		no_memory(error);
	}
	free(scratch);
	return *kept;
}

const struct replay_block *const *replay_blocks(struct replay *replay, size_t *count, struct error *error)
{
	return (const struct replay_block *const *)view(&replay->blocks, &replay->block_view, count, error);
}

/* A record begins with its public part. */
const struct replay_object *const *replay_objects(struct replay *replay, size_t *count, struct error *error)
{
	return (const struct replay_object *const *)view(&replay->objects, &replay->object_view, count,
							 error);
}

const struct replay_misuse *replay_misuses(const struct replay *replay, size_t *count)
{
	*count = replay->misuse_count;
	return replay->misuses;
}

const struct replay_layout *replay_layouts(const struct replay *replay, size_t *count)
{
	*count = replay->layout_count;
	return replay->layouts;
}

const struct replay_generations *replay_generations(const struct replay *replay, enum castaway_domain domain)
{
	return &replay->generations[domain];
}

uint64_t replay_event_count(const struct replay *replay)
{
	return replay->applied;
}

uint64_t replay_now(const struct replay *replay)
{
	return replay->now;
}

const char *replay_misuse_text(enum replay_misuse_kind kind)
{
	switch (kind) {
	case REPLAY_REF_UNKNOWN:
		return "ref of an unknown or ended object";
	case REPLAY_UNREF_UNKNOWN:
		return "unref of an unknown or ended object";
	case REPLAY_BELOW_ZERO:
		return "count below zero";
	case REPLAY_UNLINK_MISSING:
		return "unlink without a link";
	case REPLAY_LINK_UNKNOWN:
		return "link from or to an unknown object";
	case REPLAY_END_UNKNOWN:
		return "end of an unknown object";
	case REPLAY_DECLARED_TWICE:
		return "object declared twice";
	}
	return "unknown";
}
