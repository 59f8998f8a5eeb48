/* SPDX-License-Identifier: Apache-2.0
 *
 * What a snapshot's chunks hold (FORMAT.md, "Snapshots"), one record at a time
 * and in the order of the file.  Chunks that are damaged are skipped, ids that
 * no table has become 0; both are counted in the trace's limits.
 */
#ifndef SNAPSHOT_READER_H
#define SNAPSHOT_READER_H

#include "trace.h"

struct snapshot_object_record {
	uint64_t address, size;
	uint64_t block_offset; /* address minus the start of its block */
	int64_t refcount;
	uint32_t type; /* string id */
	uint32_t generation;
	uint32_t flags; /* enum castaway_object_flag */
	uint32_t birth_pass;
	uint32_t stack;
	uint32_t edge_count;
	uint8_t runtime; /* may be one that this reader does not know */
};

struct snapshot_edge_record {
	uint64_t target; /* address */
	int64_t offset;  /* in the owner; -1 = not recorded */
	uint32_t field;  /* string id */
	uint32_t stack;  /* of its acquisition */
	uint8_t flags;   /* CASTAWAY_EDGE_*: of FIELD, OFFSET and STACK, those that survived the checks */
};

struct snapshot_block_record {
	uint64_t address, size;
	uint64_t birth_ticks; /* 0 = not known */
	uint32_t stack, birth_pass, thread;
	uint8_t runtime;
};

struct snapshot_generation_record {
	uint64_t count, threshold, collections, collected, uncollectable;
};

struct snapshot_type_record {
	uint32_t type, base; /* string ids */
	uint32_t traits;     /* enum castaway_type_trait */
};

struct snapshot_name_record {
	uint64_t address;
	uint32_t name; /* string id */
};

#define SNAPSHOT_MAX_GENERATIONS 8u

/* The strings end with the callback. */
struct snapshot_runtime_record {
	const char *version, *note; /* NUL-terminated, never NULL */
	uint64_t frozen;
	struct snapshot_generation_record generations[SNAPSHOT_MAX_GENERATIONS];
	uint32_t generation_count;
	uint8_t runtime;
	enum castaway_runtime_status status;
	bool enabled;
};

/* A pointer that the scan found in block `from`. */
struct snapshot_pointer_record {
	uint64_t offset;   /* from the start of the block */
	uint64_t interior; /* of the target, from its start */
	uint32_t to;       /* block */
};

struct snapshot_root_record {
	uint64_t address; /* of the pointer; for registers the register's number */
	uint64_t interior;
	uint32_t where; /* kernel tid or module number, see FORMAT.md */
	uint32_t to;    /* block */
	uint8_t kind;   /* enum castaway_root_kind, or one that this reader does not know */
};

/* A callback that returns false ends the reading with ERROR_CANCELLED.
 * Records, and the `edges` (record->edge_count of them), end with the call. */
typedef bool (*snapshot_object_fn)(void *arg, const struct snapshot_object_record *object,
				   const struct snapshot_edge_record *edges);
typedef bool (*snapshot_block_fn)(void *arg, const struct snapshot_block_record *block);
/* `count` > 0 pointers of one block, in the order of their offsets; a block
 * may come in several parts, which follow each other. */
typedef bool (*snapshot_pointers_fn)(void *arg, uint32_t from, const struct snapshot_pointer_record *pointers,
				     uint32_t count);
typedef bool (*snapshot_root_fn)(void *arg, const struct snapshot_root_record *root);
typedef bool (*snapshot_type_fn)(void *arg, const struct snapshot_type_record *type);
typedef bool (*snapshot_name_fn)(void *arg, const struct snapshot_name_record *name);
typedef bool (*snapshot_runtime_fn)(void *arg, const struct snapshot_runtime_record *runtime);

/* `snapshot` is one of trace->snapshots.  Fewer records than its totals say
 * are a limit (incomplete-snapshot), not an error. */
enum error_code snapshot_read_objects(struct trace *trace, const struct trace_snapshot *snapshot,
				      snapshot_object_fn visit, void *arg, struct error *error);
enum error_code snapshot_read_blocks(struct trace *trace, const struct trace_snapshot *snapshot,
				     snapshot_block_fn visit, void *arg, struct error *error);
/* Block numbers that are not below `blocks` are damage, and left out. */
enum error_code snapshot_read_pointers(struct trace *trace, const struct trace_snapshot *snapshot,
				       uint32_t blocks, snapshot_pointers_fn visit, void *arg,
				       struct error *error);
enum error_code snapshot_read_roots(struct trace *trace, const struct trace_snapshot *snapshot,
				    uint32_t blocks, snapshot_root_fn visit, void *arg, struct error *error);
enum error_code snapshot_read_runtimes(struct trace *trace, const struct trace_snapshot *snapshot,
				       snapshot_runtime_fn visit, void *arg, struct error *error);
enum error_code snapshot_read_names(struct trace *trace, const struct trace_snapshot *snapshot,
				    snapshot_name_fn visit, void *arg, struct error *error);
enum error_code snapshot_read_types(struct trace *trace, const struct trace_snapshot *snapshot,
				    snapshot_type_fn visit, void *arg, struct error *error);

#endif
