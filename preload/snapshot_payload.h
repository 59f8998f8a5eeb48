/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunks of a snapshot, filled entry by entry.  Runs in the snapshot child:
 * arena memory, raw system calls.
 */
#ifndef SNAPSHOT_PAYLOAD_H
#define SNAPSHOT_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "castaway/format.h"

#define SNAPSHOT_PAYLOAD_MAX (256u << 10)

/* One chunk under construction. */
struct payload {
	enum castaway_chunk_type type;
	uint32_t snapshot;
	uint8_t *bytes, *at;
	size_t capacity;
	/* What the next entry's numbers are relative to. */
	uint64_t last_address, last_from, last_to;
	bool failed;
};

bool payload_begin(struct payload *payload, uint32_t snapshot, enum castaway_chunk_type type);

/* Before each entry of at most `size` bytes, which goes to payload->at. */
bool payload_room(struct payload *payload, size_t size);

/* False when a part of it could not be written. */
bool payload_end(struct payload *payload);

#endif
