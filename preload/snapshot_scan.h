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

#include "castaway/format.h"
#include "maps.h"
#include "scan.h"
#include "stop.h"

/* What an adapter could not see: the child's own counts go with it. */
struct snapshot_limit {
	enum castaway_limit limit;
	uint64_t count;
	const char *detail; /* static, or NULL */
};
#define SNAPSHOT_LIMITS_MAX 16u

struct snapshot_scan_totals {
	uint64_t blocks, edges, roots;
	uint64_t objects, exact_edges; /* of adapters, and annotated ones */
	uint64_t unscanned_bytes;      /* of blocks and roots that could not be read */
	uint32_t names;                /* that the child gave */
	uint32_t limits;
	struct snapshot_limit limit[SNAPSHOT_LIMITS_MAX];
};

/* What adapters look at: nothing changes. */
struct snapshot_view {
	const struct scan_index *index; /* the blocks with their numbers; NULL: the heap is not scanned */
	const struct maps *maps;
	const struct stopped_thread *threads;
	size_t thread_count;
	uintptr_t requester_tls; /* thread pointer of who asked, 0 = somebody outside */
	bool stands;             /* nothing moved while the memory was copied */
	uint32_t snapshot;
	enum castaway_snapshot_reason reason;
	struct snapshot_scan_totals *totals; /* what is written adds to it */
};

void snapshot_view_limit(struct snapshot_view *view, enum castaway_limit limit, uint64_t count,
			 const char *detail);

struct request;

/* Writes what adapters describe and, unless only that is wanted, BLOCKS,
 * SCAN_EDGES and ROOTS chunks of the requested snapshot with writer_file_chunk();
 * where no event tells the state, all of that: BLOCKS and annotated objects.
 * False when memory ran out or the blocks could not be read: then the snapshot is
 * not complete. */
bool snapshot_scan(const struct request *request, const struct stopped_thread *threads, size_t count,
		   struct snapshot_scan_totals *totals);

#endif
