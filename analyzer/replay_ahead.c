/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking ahead in the event stream.  A replay spends its time waiting for
 * memory: each event needs an entry of a large table and then a record.  Both
 * are asked for while earlier events are applied.
 */
#include "replay_state.h"

#define RECORD_AHEAD (REPLAY_AHEAD / 2)

static const struct event *event_at(const struct replay *replay, size_t position)
{
	return &replay->ahead[position % REPLAY_AHEAD];
}

static void want_slots(const struct replay *replay, const struct event *event)
{
	bool block = event->opcode <= CASTAWAY_EVENT_ALLOC_MANAGED;

	address_table_prefetch_slot(block ? &replay->blocks : &replay->objects, event->field[0]);
	if (replay->objects.used > 0)
		object_pages_prefetch(&replay->pages, event->field[0], false);
}

static void want_records(const struct replay *replay, const struct event *event)
{
	bool block = event->opcode <= CASTAWAY_EVENT_ALLOC_MANAGED;

	address_table_prefetch_record(block ? &replay->blocks : &replay->objects, event->field[0]);
	if (replay->objects.used > 0)
		object_pages_prefetch(&replay->pages, event->field[0], true);
}

/* An error of the stream is told when the events before it were applied. */
static void fill(struct replay *replay)
{
	while (!replay->at_end && replay->read < replay->applied + REPLAY_AHEAD) {
		struct event *event = &replay->ahead[replay->read % REPLAY_AHEAD];
		int got = event_stream_next(replay->stream, event, &replay->failure);

		replay->at_end = got <= 0;
		if (got < 0)
			replay->failed = (enum error_code) - got;
		if (got <= 0)
			break;
		want_slots(replay, event);
		replay->read++;
		if (replay->read > replay->applied + RECORD_AHEAD)
			want_records(replay, event_at(replay, replay->read - RECORD_AHEAD - 1));
	}
}

const struct event *replay_peek(struct replay *replay)
{
	fill(replay);
	return replay->applied < replay->read ? event_at(replay, replay->applied) : NULL;
}
