/* SPDX-License-Identifier: Apache-2.0
 *
 * Columns of events.  columns_flush() runs in the pump, while the owner of the
 * buffer may go on with it: of such a buffer only the number of whole events is
 * known, and how far the columns go for them is found by going along them.
 */
#include "columns.h"

#include <string.h>

#include "writer_internal.h"

_Static_assert(COLUMNS_SIZE + CASTAWAY_COLUMN_COUNT * CODEC_VARINT_MAX + 64 <= WRITER_STAGING,
	       "a full buffer fits a payload");
_Static_assert(WRITER_STAGING <= CASTAWAY_MAX_EVENTS_RAW, "and a reader takes it");
_Static_assert(WRITER_BUFFER_SIZE <= COLUMNS_SIZE, "and the same memory does for a section");

static const uint32_t k_sizes[CASTAWAY_COLUMN_COUNT] = {
#define X(name, bytes) [CASTAWAY_COLUMN_##name] = COLUMNS_SIZE_##name,
	COLUMNS_ROOMS(X)
#undef X
};

#define X(name, opcode, signature, fields) [opcode] = signature,
const char *const g_columns_signatures[CASTAWAY_EVENT_TIMED] = {CASTAWAY_EVENTS(X)};
#undef X

void columns_begin(struct buffer *buffer)
{
	uint8_t *at = buffer->bytes;

	for (unsigned i = 0; i < CASTAWAY_COLUMN_COUNT; i++) {
		buffer->columns[i] = at;
		at += k_sizes[i];
	}
}

bool columns_have_room(const struct buffer *buffer)
{
	const uint8_t *begin = buffer->bytes;

	for (unsigned i = 0; i < CASTAWAY_COLUMN_COUNT; i++) {
		const size_t share = (size_t)buffer->filled * ((k_sizes[i] - COLUMNS_SLACK) / COLUMNS_EVENTS);

		/* The time's end is looked at wherever there is one. */
		if (i != CASTAWAY_COLUMN_TIME &&
		    (size_t)(buffer->columns[i] - begin) > share + COLUMNS_EXCESS)
			return false;
		begin += k_sizes[i];
	}
	return true;
}

/* What of a column is in a part. */
struct range {
	const uint8_t *begin, *end, *limit;
};

/* A target that writes where it must not may have written here too. */
static void skip_varint(struct range *range)
{
	while (range->end < range->limit && *range->end++ & 0x80)
		;
}

static void go_along(struct range ranges[CASTAWAY_COLUMN_COUNT], uint32_t count)
{
	for (; count > 0; count--) {
		const uint8_t opcode = *ranges[CASTAWAY_COLUMN_OPCODE].end++;
		const char *letter = g_columns_signatures[opcode & ~CASTAWAY_EVENT_TIMED];

		if (opcode & CASTAWAY_EVENT_TIMED)
			skip_varint(&ranges[CASTAWAY_COLUMN_TIME]);
		for (; letter != NULL && *letter != '\0'; letter++)
			skip_varint(&ranges[castaway_column_of(*letter)]);
	}
}

static void find_ranges(const struct buffer *buffer, uint32_t filled, bool whole,
			struct range ranges[CASTAWAY_COLUMN_COUNT])
{
	const uint8_t *at = buffer->bytes;

	for (unsigned i = 0; i < CASTAWAY_COLUMN_COUNT; i++) {
		ranges[i].begin = at + (buffer->flushed == 0 ? 0 : buffer->flushed_bytes[i]);
		ranges[i].end = whole ? buffer->columns[i] : ranges[i].begin;
		at += k_sizes[i];
		ranges[i].limit = at;
	}
	if (!whole)
		go_along(ranges, filled - buffer->flushed);
}

uint8_t *columns_flush(struct buffer *buffer, uint32_t filled, bool whole, uint8_t *out)
{
	struct range ranges[CASTAWAY_COLUMN_COUNT];
	const uint8_t *at = buffer->bytes;

	find_ranges(buffer, filled, whole, ranges);
	out = codec_put_u64(out, buffer->serial);
	out = codec_put_varint(out, buffer->flushed);
	out = codec_put_u64(out, buffer->base_ticks);
	out = codec_put_varint(out, filled - buffer->flushed);
	for (unsigned i = 0; i < CASTAWAY_COLUMN_COUNT; i++)
		out = codec_put_varint(out, (uint64_t)(ranges[i].end - ranges[i].begin));
	for (unsigned i = 0; i < CASTAWAY_COLUMN_COUNT; i++) {
		const size_t size = (size_t)(ranges[i].end - ranges[i].begin);

		memcpy(out, ranges[i].begin, size);
		out += size;
		buffer->flushed_bytes[i] = (uint32_t)(ranges[i].end - at);
		at += k_sizes[i];
	}
	buffer->flushed = filled;
	return out;
}
