/* SPDX-License-Identifier: Apache-2.0
 *
 * A buffer that becomes a chunk when it is full.  Runs in the snapshot child.
 */
#include "snapshot_payload.h"

#include <string.h>

#include "arena.h"
#include "castaway/codec.h"
#include "strings.h"
#include "writer_internal.h"

#define NAME_BYTES (1024u + CODEC_VARINT_MAX) /* of one string, at most */

static uint32_t s_strings; /* of the child's names, how many are written */

/* The names that this child gave: they go before what refers to them. */
static bool write_strings(void)
{
	const uint32_t count = strings_child_count();
	uint8_t *const start = writer_file_staging();
	uint32_t length;

	while (s_strings < count) {
		uint8_t *at = codec_put_varint(start, strings_child_first() + s_strings);

		while (s_strings < count && at + NAME_BYTES < start + WRITER_STAGING) {
			const char *text = strings_child_text(s_strings++, &length);

			at = codec_put_varint(at, length);
			memcpy(at, text, length);
			at += length;
		}
		if (!writer_file_chunk(CASTAWAY_CHUNK_STRINGS, 0, start, (size_t)(at - start)))
			return false;
	}
	return true;
}

static void payload_start(struct payload *payload)
{
	payload->at = payload->bytes != NULL ? codec_put_varint(payload->bytes, payload->snapshot) : NULL;
	payload->last_address = payload->last_from = payload->last_to = 0;
}

bool payload_begin(struct payload *payload, uint32_t snapshot, enum castaway_chunk_type type)
{
	memset(payload, 0, sizeof(*payload));
	payload->type = type;
	payload->snapshot = snapshot;
	payload->capacity = SNAPSHOT_PAYLOAD_MAX;
	payload->bytes = arena_map(payload->capacity);
	payload->failed = payload->bytes == NULL;
	if (!payload->failed)
		payload_start(payload);
	return !payload->failed;
}

static void payload_flush(struct payload *payload)
{
	/* No reader takes more. */
	if (!payload->failed &&
	    ((size_t)(payload->at - payload->bytes) > CASTAWAY_MAX_CHUNK_RAW || !write_strings() ||
	     !writer_file_chunk(payload->type, 0, payload->bytes, (size_t)(payload->at - payload->bytes))))
		payload->failed = true;
	payload_start(payload);
}

/* An entry that is larger than a chunk ought to be is one by itself. */
static void grow(struct payload *payload, size_t size)
{
	uint8_t *bytes = arena_map(size);

	if (bytes == NULL) {
		payload->failed = true;
		return;
	}
	arena_unmap(payload->bytes, payload->capacity);
	payload->bytes = bytes;
	payload->capacity = size;
	payload_start(payload);
}

bool payload_room(struct payload *payload, size_t size)
{
	if ((size_t)(payload->at - payload->bytes) + size > SNAPSHOT_PAYLOAD_MAX)
		payload_flush(payload);
	if (!payload->failed && size + CODEC_VARINT_MAX > payload->capacity)
		grow(payload, size + CODEC_VARINT_MAX);
	return !payload->failed;
}

bool payload_end(struct payload *payload)
{
	payload_flush(payload);
	if (payload->bytes != NULL)
		arena_unmap(payload->bytes, payload->capacity);
	return !payload->failed;
}
