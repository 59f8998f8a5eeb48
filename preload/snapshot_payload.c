/* SPDX-License-Identifier: Apache-2.0
 *
 * A buffer that becomes a chunk when it is full.  Runs in the snapshot child.
 */
#include "snapshot_payload.h"

#include <string.h>

#include "arena.h"
#include "castaway/codec.h"
#include "writer_internal.h"

static void payload_start(struct payload *payload)
{
	payload->at = codec_put_varint(payload->bytes, payload->snapshot);
	payload->last_address = payload->last_from = payload->last_to = 0;
}

bool payload_begin(struct payload *payload, uint32_t snapshot, enum castaway_chunk_type type)
{
	memset(payload, 0, sizeof(*payload));
	payload->type = type;
	payload->snapshot = snapshot;
	payload->bytes = arena_map(SNAPSHOT_PAYLOAD_MAX);
	payload->failed = payload->bytes == NULL;
	if (!payload->failed)
		payload_start(payload);
	return !payload->failed;
}

static void payload_flush(struct payload *payload)
{
	if (!payload->failed &&
	    !writer_file_chunk(payload->type, 0, payload->bytes, (size_t)(payload->at - payload->bytes)))
		payload->failed = true;
	payload_start(payload);
}

bool payload_room(struct payload *payload, size_t size)
{
	if ((size_t)(payload->at - payload->bytes) + size > SNAPSHOT_PAYLOAD_MAX)
		payload_flush(payload);
	return !payload->failed;
}

bool payload_end(struct payload *payload)
{
	payload_flush(payload);
	arena_unmap(payload->bytes, SNAPSHOT_PAYLOAD_MAX);
	return !payload->failed;
}
