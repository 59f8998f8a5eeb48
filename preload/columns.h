/* SPDX-License-Identifier: Apache-2.0
 *
 * The columns of an event buffer.  Each has its own part of the buffer's memory,
 * of which only what is used is ever touched.
 */
#ifndef COLUMNS_H
#define COLUMNS_H

#include "castaway/codec.h"
#include "castaway/format.h"
#include "writer.h"

#define COLUMNS_EVENTS 16384u /* in a buffer, at most */

/* Bytes that an event may take in a column without a look at what is left there:
 * an address below 2^47, a size below 2^49, any stack.  X(COLUMN, bytes) */
#define COLUMNS_ROOMS(X) \
	X(OPCODE, 1)     \
	X(TIME, 2)       \
	X(BLOCK, 7)      \
	X(OBJECT, 7)     \
	X(NUMBER, 7)     \
	X(STACK, 5)      \
	X(STRING, 1)     \
	X(INTEGER, 1)

/* For the events that may take more: what they can take beyond that before the buffer
 * ends, and one of them, and what an encoder writes beyond its value. */
#define COLUMNS_EXCESS 1024u
#define COLUMNS_SLACK  (COLUMNS_EXCESS + CASTAWAY_EVENT_MAX_FIELDS * CODEC_VARINT_MAX + 14u)

#define COLUMNS_ADDRESS_MAX ((UINT64_C(1) << 47) - 1)
#define COLUMNS_NUMBER_MAX  ((UINT64_C(1) << 48) - 1)

enum {
#define X(name, bytes) COLUMNS_SIZE_##name = COLUMNS_EVENTS * (bytes) + COLUMNS_SLACK,
	COLUMNS_ROOMS(X)
#undef X
#define X(name, bytes) COLUMNS_SIZE_##name +
		COLUMNS_SIZE = COLUMNS_ROOMS(X) 0
#undef X
};

/* Of an event by its opcode, as in CASTAWAY_EVENTS; NULL: no such event. */
extern const char *const g_columns_signatures[CASTAWAY_EVENT_TIMED];

/* All columns begin anew. */
void columns_begin(struct buffer *buffer);

/* Whether one more event fits, whatever it holds, and all that may follow without a
 * look at it. */
bool columns_have_room(const struct buffer *buffer);

/* Whether one more time does, however long nothing was recorded. */
static inline bool columns_have_time(const struct buffer *buffer)
{
	_Static_assert(CASTAWAY_COLUMN_OPCODE == 0 && CASTAWAY_COLUMN_TIME == 1, "where the times end");

	return buffer->columns[CASTAWAY_COLUMN_TIME] + CODEC_VARINT_MAX <=
	       buffer->bytes + COLUMNS_SIZE_OPCODE + COLUMNS_SIZE_TIME;
}

/* The part [buffer->flushed, filled) of the events as an EVENTS payload, which
 * takes at most WRITER_STAGING bytes; it counts as flushed.  `whole`: nobody adds
 * to the buffer any more, and `filled` is all of it.  Returns the payload's end. */
uint8_t *columns_flush(struct buffer *buffer, uint32_t filled, bool whole, uint8_t *out);

#endif
