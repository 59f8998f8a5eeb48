/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding one thread's events.  The hot path of every command: no call per
 * field but the varint's, and nothing is allocated per event.
 */
#include "event_lane.h"

#include <string.h>

/* Signatures as a compact program: one letter per field, 0 at the end. */
static const char signatures[CASTAWAY_EVENT_TIMED][CASTAWAY_EVENT_MAX_FIELDS + 1] = {
#define X(name, opcode, signature, fields) [opcode] = signature,
	CASTAWAY_EVENTS(X)
#undef X
};

void event_lane_init(struct event_lane *lane, struct trace *trace, const struct event_part *parts)
{
	lane->trace = trace;
	lane->parts = parts;
	lane->thread = parts->chunk->thread;
	lane->key = parts->offset == 0 ? parts->base_ticks : 0;
}

static uint64_t check_id(struct event_lane *lane, uint64_t id, uint32_t count)
{
	if (__builtin_expect(id < count, 1))
		return id;
	lane->bad_id = true;
	return 0;
}

static uint64_t get(struct event_lane *lane, enum castaway_column column)
{
	struct codec_cursor *cursor = &lane->columns[column];
	const uint64_t value = codec_get_varint(cursor);

	lane->failed |= cursor->failed;
	return value;
}

static uint64_t get_stack(struct event_lane *lane, uint64_t value)
{
	const uint64_t stack = lane->stack + (uint64_t)codec_unzigzag(value);

	lane->failed |= stack > UINT32_MAX;
	lane->stack = (uint32_t)stack;
	return check_id(lane, stack, lane->trace->frame_count);
}

static uint64_t get_field(struct event_lane *lane, char kind)
{
	const uint64_t value = get(lane, castaway_column_of(kind));

	switch (kind) {
	case 'b':
		lane->block += (uint64_t)codec_unzigzag(value) * 8;
		return lane->block;
	case 'o':
		lane->object += (uint64_t)codec_unzigzag(value);
		return lane->object;
	case 's':
		return get_stack(lane, value);
	case 't':
		return check_id(lane, value, lane->trace->string_count);
	case 'i':
		return (uint64_t)codec_unzigzag(value);
	default:
		return value;
	}
}

/* False at the end of the part, or when the rest cannot be decoded. */
static bool decode(struct event_lane *lane)
{
	struct event *event = &lane->event;
	const char *signature;
	uint8_t fields = 0, opcode;

	if (lane->left == 0)
		return false;
	lane->left--;
	opcode = codec_get_u8(&lane->columns[CASTAWAY_COLUMN_OPCODE]);
	if (opcode & CASTAWAY_EVENT_TIMED)
		lane->ticks += get(lane, CASTAWAY_COLUMN_TIME) << lane->trace->header.clock_shift;
	event->opcode = opcode & (uint8_t)~CASTAWAY_EVENT_TIMED;
	signature = signatures[event->opcode];
	if (*signature == 0)
		lane->failed = true;
	for (; signature[fields] != 0; fields++)
		event->field[fields] = get_field(lane, signature[fields]);
	event->field_count = fields;
	event->ticks = lane->ticks;
	event->thread = lane->thread;
	return !lane->failed;
}

/* Behind the last event of a part; what could not be decoded ends its buffer. */
static enum error_code leave_part(struct event_lane *lane)
{
	const struct event_part *part = lane->part;
	enum error_code code = ERROR_NONE;

	if (lane->failed || lane->bad_id)
		code = trace_mark_damaged(lane->trace, part->chunk);
	if (lane->failed)
		lane->valid = false;
	lane->offset = part->offset + part->count;
	lane->part = NULL;
	free(lane->buffer);
	lane->buffer = NULL;
	lane->capacity = 0;
	return code;
}

/* The decoder's state at the begin of `part`, or false: a part before it is
 * missing, or it is there twice. */
static bool begin_state(struct event_lane *lane, const struct event_part *part)
{
	bool same = lane->started && part->serial == lane->serial;

	if (part->offset > 0)
		return same && lane->valid && part->offset == lane->offset;
	if (same)
		return false;
	lane->started = lane->valid = true;
	lane->serial = part->serial;
	lane->offset = 0;
	lane->ticks = part->base_ticks;
	lane->block = lane->object = lane->stack = 0;
	return true;
}

/* The columns of the chunk, which fill it; its events have one opcode each. */
static bool split(struct event_lane *lane, struct codec_cursor *payload)
{
	uint64_t sizes[CASTAWAY_COLUMN_COUNT];

	(void)codec_get_bytes(payload, lane->part->preamble);
	for (unsigned i = 0; i < CASTAWAY_COLUMN_COUNT; i++)
		sizes[i] = codec_get_varint(payload);
	for (unsigned i = 0; i < CASTAWAY_COLUMN_COUNT; i++) {
		const uint8_t *bytes = codec_get_bytes(payload, sizes[i]);

		if (bytes == NULL)
			return false;
		lane->columns[i] = (struct codec_cursor){bytes, bytes + sizes[i], false};
	}
	return codec_left(payload) == 0 && sizes[CASTAWAY_COLUMN_OPCODE] == lane->part->count;
}

static enum error_code enter_part(struct event_lane *lane, const struct event_part *part, struct error *error)
{
	size_t size;
	enum error_code code;

	if (!begin_state(lane, part))
		return trace_mark_damaged(lane->trace, part->chunk);
	code = trace_read_chunk(lane->trace, part->chunk, &lane->buffer, &lane->capacity, &size, error);
	if (code == ERROR_DAMAGED) {
		lane->valid = false;
		return trace_mark_damaged(lane->trace, part->chunk);
	}
	if (code != ERROR_NONE)
		return code;
	lane->part = part;
	lane->left = part->count;
	lane->bad_id = false;
	lane->failed = !split(lane, &(struct codec_cursor){lane->buffer, lane->buffer + size, false});
	if (lane->failed)
		lane->left = 0;
	return ERROR_NONE;
}

/* Behind a chunk: the next one's own time says when to look into it. */
static void wait_for_next_part(struct event_lane *lane)
{
	lane->ready = false;
	lane->done = lane->next_part == lane->part_count;
	if (!lane->done)
		lane->key = lane->parts[lane->next_part].offset == 0 ? lane->parts[lane->next_part].base_ticks
								     : lane->ticks;
}

enum error_code event_lane_advance(struct event_lane *lane, struct error *error)
{
	enum error_code code = ERROR_NONE;

	if (!lane->part) {
		code = enter_part(lane, &lane->parts[lane->next_part++], error);
		if (code != ERROR_NONE || !lane->part) {
			wait_for_next_part(lane);
			return code;
		}
	}
	if (decode(lane)) {
		lane->ready = true;
		lane->key = lane->ticks;
		return ERROR_NONE;
	}
	code = leave_part(lane);
	wait_for_next_part(lane);
	return code;
}
