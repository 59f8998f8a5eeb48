/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshot sections into the trace (FORMAT.md, "Snapshots").
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "castaway/codec.h"
#include "writer.h"

struct snapshot {
	uint32_t index;
	struct section section; /* current OBJECTS or BLOCKS section */
	uint64_t last_address;  /* decoder state of the section */
	uint64_t blocks, objects, edges;
	bool failed;
	enum castaway_snapshot_reason reason;
	enum castaway_snapshot_method method;
	const char *name; /* must live until snapshot_end() */
	uint64_t ticks, start_ns;
};

/* Events before this are in the trace before the snapshot's time. */
void snapshot_begin(struct snapshot *snapshot, enum castaway_snapshot_reason reason,
		    enum castaway_snapshot_method method, const char *name);

struct snapshot_object {
	uint64_t address, size, block_offset;
	int64_t refcount;
	uint32_t type, generation, flags, birth_pass, stack;
	uint8_t runtime;
};
struct snapshot_edge {
	uint64_t target;
	uint32_t field; /* string id, 0 = none */
	uint32_t stack; /* 0 = none */
	int64_t offset; /* -1 = none */
	uint8_t strength;
	bool scanned; /* found in memory: nobody says that it is a reference */
	bool held;    /* ... and other memory of C code has the target's address, too */
};
/* Writes one object with all its edges; splits chunks between objects. */
void snapshot_object(struct snapshot *snapshot, const struct snapshot_object *object,
		     const struct snapshot_edge *edges, size_t count);

/* The shadow's live blocks (INHERIT snapshots). */
void snapshot_blocks(struct snapshot *snapshot);

struct snapshot_generation {
	uint64_t count, threshold, collections, collected, uncollectable;
};
struct snapshot_runtime {
	enum castaway_runtime runtime;
	const char *version, *note; /* each of less than SNAPSHOT_TEXT_MAX bytes */
	enum castaway_runtime_status status;
	bool enabled;
	const struct snapshot_generation *generations;
	size_t count; /* at most 8 */
	uint64_t frozen;
};
void snapshot_runtime(struct snapshot *snapshot, const struct snapshot_runtime *runtime);

/* What a runtime's collector does not learn from instances of a type. */
struct snapshot_type {
	uint32_t type, base; /* string ids: base, perhaps the same, is where the traits come from */
	uint32_t traits;     /* enum castaway_type_trait */
};
void snapshot_type(struct snapshot *snapshot, const struct snapshot_type *type);

/* What the program calls an object; in the order of the objects or in any other. */
struct snapshot_name {
	uint64_t address;
	uint32_t name; /* string id */
};
void snapshot_name(struct snapshot *snapshot, const struct snapshot_name *name);

/* The same entries for who has a buffer of its own; both return the end. */
#define SNAPSHOT_TEXT_MAX            1024u
#define SNAPSHOT_OBJECT_BYTES(edges) (1 + 11 * CODEC_VARINT_MAX + (edges) * (1 + 4 * CODEC_VARINT_MAX))
#define SNAPSHOT_RUNTIME_BYTES       (2 * SNAPSHOT_TEXT_MAX + (8 + 5 * 8) * CODEC_VARINT_MAX)
uint8_t *snapshot_put_object(uint8_t *out, const struct snapshot_object *object,
			     const struct snapshot_edge *edges, size_t count, uint64_t *last_address);
#define SNAPSHOT_TYPE_BYTES (3 * CODEC_VARINT_MAX)
uint8_t *snapshot_put_type(uint8_t *out, const struct snapshot_type *type);
#define SNAPSHOT_NAME_BYTES (2 * CODEC_VARINT_MAX)
uint8_t *snapshot_put_name(uint8_t *out, const struct snapshot_name *name, uint64_t *last_address);
uint8_t *snapshot_put_runtime(uint8_t *out, const struct snapshot_runtime *runtime);

/* Instead of writing: the helper's child lets the adapters describe what there
 * is at this moment, and scans the heap if asked to.  True when it is being
 * done; the snapshot is then over.  Bounded wait. */
bool snapshot_hand_over(const struct snapshot *snapshot, bool scan);

/* With the heap's part where that is taken: then the helper writes it, and the
 * header and the end, and all of it may come later. */
void snapshot_end(struct snapshot *snapshot);

/* Where nothing took a snapshot at the exit moment: an empty one, so that a
 * reader knows where the program's own teardown begins. */
void snapshot_mark_exit(void);

/* At a moment that the target names; true when a snapshot is being made. */
bool snapshot_take(enum castaway_snapshot_reason reason, const char *name);

uint32_t snapshot_next_index(void);

/* The payloads of SNAPSHOT and SNAPSHOT_END; both return the end. */
struct snapshot_header {
	uint32_t index;
	enum castaway_snapshot_reason reason;
	enum castaway_snapshot_method method;
	uint64_t ticks, pause_ns;
	const char *name;
};
struct snapshot_totals {
	uint32_t index;
	uint64_t blocks, objects, edges;
	uint64_t scan_edges, roots, unscanned_bytes;
};
uint8_t *snapshot_put_header(uint8_t *out, const struct snapshot_header *header);
uint8_t *snapshot_put_end(uint8_t *out, const struct snapshot_totals *totals);

void snapshot_after_fork(void);

#endif
