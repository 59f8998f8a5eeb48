/* SPDX-License-Identifier: Apache-2.0
 *
 * The merge: one cursor per thread over its chunks, the cursors in a binary
 * heap by the time of their next event.  A thread's chunk is decompressed when
 * the merge comes to it and dropped behind its last event, so memory follows
 * the threads that run at the same time.
 */
#include "event.h"

#include <string.h>

#include "event_lane.h"

#define MAX_PREAMBLE (8 + CODEC_VARINT_MAX + 8 + CODEC_VARINT_MAX)

struct event_stream {
	struct trace *trace;
	struct event_part *parts; /* by thread, serial, offset */
	struct event_lane *lanes;
	size_t lane_count;
	struct event_lane **heap; /* smallest first */
	size_t heap_count;
	uint64_t next_index;
};

static const struct event_description descriptions[CASTAWAY_EVENT_LIMIT] = {
#define X(name, opcode, signature, fields) [opcode] = {#name, signature, fields},
	CASTAWAY_EVENTS(X)
#undef X
};

const struct event_description *event_describe(uint8_t opcode)
{
	if (opcode >= CASTAWAY_EVENT_LIMIT || !descriptions[opcode].name)
		return NULL;
	return &descriptions[opcode];
}

static bool lane_before(const struct event_lane *a, const struct event_lane *b)
{
	if (a->key != b->key)
		return a->key < b->key;
	return a->thread < b->thread;
}

static void sift_down(struct event_stream *stream, size_t at)
{
	struct event_lane **heap = stream->heap, *lane = heap[at];

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= stream->heap_count)
			break;
		if (child + 1 < stream->heap_count && lane_before(heap[child + 1], heap[child]))
			child++;
		if (!lane_before(heap[child], lane))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = lane;
}

static int compare_parts(const void *a, const void *b)
{
	const struct event_part *left = a, *right = b;

	if (left->chunk->thread != right->chunk->thread)
		return left->chunk->thread < right->chunk->thread ? -1 : 1;
	if (left->serial != right->serial)
		return left->serial < right->serial ? -1 : 1;
	if (left->offset != right->offset)
		return left->offset < right->offset ? -1 : 1;
	return (left->chunk > right->chunk) - (left->chunk < right->chunk);
}

/* Where a chunk belongs and what it holds, from its first bytes. */
static enum error_code read_preamble(struct trace *trace, struct trace_chunk *chunk, struct event_part *part,
				     bool *good, struct error *error)
{
	uint8_t bytes[MAX_PREAMBLE];
	struct codec_cursor cursor;
	size_t size = 0;
	enum error_code code = chunk_peek(trace, chunk, bytes, sizeof(bytes), &size, error);

	*good = false;
	if (code == ERROR_DAMAGED)
		return trace_mark_damaged(trace, chunk);
	if (code != ERROR_NONE)
		return code;
	cursor = (struct codec_cursor){bytes, bytes + size, false};
	part->chunk = chunk;
	part->serial = codec_get_u64(&cursor);
	part->offset = codec_get_varint(&cursor);
	part->base_ticks = codec_get_u64(&cursor);
	part->count = codec_get_varint(&cursor);
	part->preamble = (uint32_t)(cursor.at - bytes);
	*good = !cursor.failed;
	return *good ? ERROR_NONE : trace_mark_damaged(trace, chunk);
}

static enum error_code collect_parts(struct event_stream *stream, size_t *ret, struct error *error)
{
	struct trace *trace = stream->trace;
	size_t count = 0;

	for (size_t i = 0; i < trace->chunk_count; i++)
		count += trace->chunks[i].type == CASTAWAY_CHUNK_EVENTS;
	stream->parts = calloc(count + 1, sizeof(*stream->parts));
	if (!stream->parts)
		return no_memory(error);
	*ret = 0;
	for (size_t i = 0; i < trace->chunk_count; i++) {
		bool good;
		enum error_code code;

		if (trace->chunks[i].type != CASTAWAY_CHUNK_EVENTS)
			continue;
		code = read_preamble(trace, &trace->chunks[i], &stream->parts[*ret], &good, error);
		if (code != ERROR_NONE)
			return code;
		*ret += good;
	}
	qsort(stream->parts, *ret, sizeof(*stream->parts), compare_parts);
	return ERROR_NONE;
}

static enum error_code make_lanes(struct event_stream *stream, size_t part_count, struct error *error)
{
	size_t count = 0;

	for (size_t i = 0; i < part_count; i++)
		count += i == 0 || stream->parts[i].chunk->thread != stream->parts[i - 1].chunk->thread;
	stream->lanes = calloc(count + 1, sizeof(*stream->lanes));
	stream->heap = calloc(count + 1, sizeof(struct event_lane *));
	if (!stream->lanes || !stream->heap)
		return no_memory(error);
	for (size_t i = 0; i < part_count; i++) {
		const struct event_part *part = &stream->parts[i];

		if (i == 0 || part->chunk->thread != part[-1].chunk->thread)
			event_lane_init(&stream->lanes[stream->lane_count++], stream->trace, part);
		stream->lanes[stream->lane_count - 1].part_count++;
	}
	for (size_t i = 0; i < stream->lane_count; i++)
		stream->heap[stream->heap_count++] = &stream->lanes[i];
	for (size_t i = stream->heap_count / 2; i-- > 0;)
		sift_down(stream, i);
	return ERROR_NONE;
}

enum error_code event_stream_open(struct trace *trace, struct event_stream **ret, struct error *error)
{
	struct event_stream *stream = calloc(1, sizeof(*stream));
	enum error_code code;
	size_t part_count = 0;

	*ret = NULL;
	if (!stream)
		return no_memory(error);
	stream->trace = trace;
	code = collect_parts(stream, &part_count, error);
	if (code == ERROR_NONE)
		code = make_lanes(stream, part_count, error);
	if (code != ERROR_NONE) {
		event_stream_free(stream);
		return code == ERROR_MEMORY ? no_memory(error) : code;
	}
	*ret = stream;
	return ERROR_NONE;
}

int event_stream_next(struct event_stream *stream, struct event *event, struct error *error)
{
	while (stream->heap_count > 0) {
		struct event_lane *lane = stream->heap[0];
		bool ready = lane->ready;
		enum error_code code;

		if (ready)
			*event = lane->event;
		/* The lane goes on to its next event, or to the next moment at
		 * which it may have one. */
		code = event_lane_advance(lane, error);
		if (code != ERROR_NONE)
			return -(int)code;
		if (lane->done)
			stream->heap[0] = stream->heap[--stream->heap_count];
		if (stream->heap_count > 1)
			sift_down(stream, 0);
		if (!ready)
			continue;
		event->index = stream->next_index++;
		return 1;
	}
	return 0;
}

void event_stream_free(struct event_stream *stream)
{
	if (!stream)
		return;
	for (size_t i = 0; i < stream->lane_count; i++)
		free(stream->lanes[i].buffer);
	free(stream->lanes);
	free(stream->parts);
	free(stream->heap);
	free(stream);
}
