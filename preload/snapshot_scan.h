/* SPDX-License-Identifier: Apache-2.0
 *
 * The contents of a heap snapshot: live blocks, the pointers between them, and
 * the pointers to them from roots.  Runs in the snapshot child: one thread, on
 * a copy of the target's memory, with raw system calls and arena memory.
 */
#ifndef SNAPSHOT_SCAN_H
#define SNAPSHOT_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps.h"
#include "scan.h"
#include "stop.h"

struct snapshot_scan_totals {
	uint64_t blocks, edges, roots;
	uint64_t objects;         /* of adapters */
	uint64_t unscanned_bytes; /* of blocks and roots that could not be read */
};

/* What adapters look at: the blocks have their numbers, and nothing changes. */
struct snapshot_view {
	const struct scan_index *index;
	const struct maps *maps;
	uint32_t snapshot;
	uint64_t objects; /* written so far */
};

/* Writes BLOCKS, SCAN_EDGES and ROOTS chunks of snapshot `index` with
 * writer_file_chunk().  False when memory ran out or the blocks could not be
 * read: then the snapshot is not complete. */
bool snapshot_scan(uint32_t index, const struct stopped_thread *threads, size_t count,
		   struct snapshot_scan_totals *totals);

#endif
