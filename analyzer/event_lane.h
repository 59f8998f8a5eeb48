/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread's events in order: its buffers by serial, their parts by offset.
 */
#ifndef EVENT_LANE_H
#define EVENT_LANE_H

#include "castaway/codec.h"
#include "event.h"
#include "trace_internal.h"

/* An EVENTS chunk and its preamble. */
struct event_part {
	struct trace_chunk *chunk;
	uint64_t serial, offset, base_ticks, count;
	uint32_t preamble; /* its length */
};

struct event_lane {
	struct trace *trace;
	const struct event_part *parts;
	size_t part_count, next_part;
	uint32_t thread;

	bool ready; /* `event` is the next one */
	bool done;
	uint64_t key; /* time of `event`; else no event comes before that */
	struct event event;

	/* The chunk that is being decoded. */
	const struct event_part *part; /* NULL: none */
	uint8_t *buffer;
	size_t capacity;
	struct codec_cursor columns[CASTAWAY_COLUMN_COUNT];
	uint64_t left; /* events of it */
	bool failed, bad_id;

	/* Decoder state, which parts of one buffer hand on. */
	bool valid; /* the buffer could be decoded up to `offset` */
	bool started;
	uint64_t serial, offset;
	uint64_t ticks, block, object;
	uint32_t stack;
};

void event_lane_init(struct event_lane *lane, struct trace *trace, const struct event_part *parts);

/* To the next event of the chunk at hand; behind its end, only to the chunk
 * that follows (then `ready` is false); behind the last, to `done`. */
enum error_code event_lane_advance(struct event_lane *lane, struct error *error);

#endif
