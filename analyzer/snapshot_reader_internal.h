/* SPDX-License-Identifier: Apache-2.0
 *
 * One reading of a snapshot's chunks, shared by snapshot_reader.c and
 * snapshot_reader_heap.c.
 */
#ifndef SNAPSHOT_READER_INTERNAL_H
#define SNAPSHOT_READER_INTERNAL_H

#include "snapshot_reader.h"
#include "tables.h"

struct snapshot_reading {
	struct trace *trace;
	const struct trace_snapshot *snapshot;
	struct codec_cursor cursor;
	struct error *error;
	bool cancelled;
	bool bad_id; /* in the chunk at hand */
	uint64_t records, edges_read;
	struct snapshot_edge_record *edges;
	size_t edge_capacity;
	struct snapshot_pointer_record *pointers;
	size_t pointer_capacity;
	uint32_t blocks; /* block numbers are below */
	uint32_t unit;   /* of pointers' offsets, in bytes */
	union {
		snapshot_object_fn object;
		snapshot_block_fn block;
		snapshot_pointers_fn pointers;
		snapshot_root_fn root;
		snapshot_runtime_fn runtime;
		snapshot_type_fn type;
		snapshot_name_fn name;
	} visit;
	void *arg;
};

/* Consumes the payload behind the snapshot's index. */
typedef enum error_code (*snapshot_payload_reader)(struct snapshot_reading *r);

/* All chunks of the type that are the snapshot's; frees what the reading holds. */
enum error_code snapshot_reader_all(struct snapshot_reading *r, uint16_t type,
				    snapshot_payload_reader reader);

/* Its chunks were lost, or its writer was cut short: what is left must not be
 * taken for the whole. */
enum error_code snapshot_reader_check(struct snapshot_reading *r, const char *what, uint64_t got,
				      uint64_t expected);

/* 0 for one that is not known, which makes the chunk a damaged one. */
uint32_t snapshot_reader_stack(struct snapshot_reading *r);

#endif
