/* SPDX-License-Identifier: Apache-2.0
 *
 * Traces made by hand, in memory, for tests of the analyzer.  The builder
 * writes what FORMAT.md says and shares only the codec with the preload, so it
 * is a second writer to hold the reader against.  Out of memory aborts.
 *
 *	struct builder *b = builder_new();
 *	uint32_t type = builder_string(b, "Node");
 *	uint32_t stack = builder_frame(b, 0, builder_module(b, "/bin/x", 0x1000, 0x1000, 0x9000), 0x42);
 *	builder_event(b, 1, 100, ALLOC, 0x5000, 64, stack);
 *	builder_event(b, 1, 110, OBJECT, 0x5000, 64, type, stack);
 *	builder_end(b, CASTAWAY_END_EXIT, 200);
 *	struct trace *trace = builder_open(b);    ... trace_free(trace); builder_free(b);
 */
#ifndef TRACE_BUILDER_H
#define TRACE_BUILDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "castaway/format.h"
#include "snapshot_reader.h"
#include "trace.h"

struct builder;

struct builder *builder_new(void);
void builder_free(struct builder *b); /* NULL is fine; the bytes go with it */

/* The header as it will be written; the hash is set by builder_finish.  The
 * defaults: source MONOTONIC, shift 0, all starts 0. */
struct castaway_file_header *builder_header(struct builder *b);
void builder_compress(struct builder *b, bool on); /* for the chunks after this; off at first */

/* Tables.  Ids count from 1; equal strings and frames get equal ids. */
uint32_t builder_string(struct builder *b, const char *text);
uint32_t builder_module(struct builder *b, const char *path, uint64_t load_bias, uint64_t start,
			uint64_t end);
void builder_unload(struct builder *b, uint32_t module, uint64_t ticks);
uint32_t builder_frame(struct builder *b, uint32_t parent, uint32_t module, uint64_t offset);
uint32_t builder_frame_raw(struct builder *b, uint32_t parent, uint64_t pc);
uint32_t builder_frame_script(struct builder *b, uint32_t parent, const char *function, const char *file,
			      uint32_t line);
/* A stack of script frames, outermost first: "main", "parse", NULL. */
uint32_t builder_stack(struct builder *b, const char *outermost, ...) __attribute__((sentinel));
void builder_thread(struct builder *b, uint32_t thread, uint32_t kernel_tid, const char *name);
void builder_process(struct builder *b, enum castaway_process_key key, const char *value);
void builder_clock(struct builder *b, uint64_t ticks, uint64_t monotonic_ns, uint64_t realtime_ns);
void builder_limit(struct builder *b, uint32_t limit, uint64_t count, const char *detail);

/* One event; the fields in signature order.  Each thread has a buffer of its
 * own, begun at its first event. */
#define builder_event(b, thread, ticks, EVENT, ...)                          \
	builder_event_fields((b), (thread), (ticks), CASTAWAY_EVENT_##EVENT, \
			     (const uint64_t[CASTAWAY_EVENT_MAX_FIELDS]){__VA_ARGS__})
void builder_event_fields(struct builder *b, uint32_t thread, uint64_t ticks, enum castaway_event opcode,
			  const uint64_t *fields);
/* Ends the thread's chunk here; its next events continue the buffer. */
void builder_part(struct builder *b, uint32_t thread);
/* Ends the thread's buffer here; its next events begin another. */
void builder_next_buffer(struct builder *b, uint32_t thread);

/* Snapshots: an index, in which blocks, objects and runtimes are put until the
 * end writes them and the totals.  One that is not ended stays incomplete. */
uint32_t builder_snapshot(struct builder *b, enum castaway_snapshot_reason reason, uint64_t ticks,
			  const char *name);
void builder_block(struct builder *b, uint32_t snapshot, const struct snapshot_block_record *block);
/* `edges`: object->edge_count of them; flags FIELD, OFFSET and STACK are set
 * here from what the edge holds. */
void builder_object(struct builder *b, uint32_t snapshot, const struct snapshot_object_record *object,
		    const struct snapshot_edge_record *edges);
/* Of a scan: pointers of block number `from`, whose offsets ascend, and roots.
 * Blocks must have come in the order of their addresses. */
void builder_pointers(struct builder *b, uint32_t snapshot, uint32_t from,
		      const struct snapshot_pointer_record *pointers, uint32_t count);
/* Before the first of them: their offsets are no multiples of 8. */
void builder_fine(struct builder *b, uint32_t snapshot);
void builder_root(struct builder *b, uint32_t snapshot, const struct snapshot_root_record *root);
void builder_runtime(struct builder *b, uint32_t snapshot, const struct snapshot_runtime_record *runtime);
void builder_type(struct builder *b, uint32_t snapshot, const struct snapshot_type_record *type);
void builder_name(struct builder *b, uint32_t snapshot, uint64_t address, uint32_t name);
void builder_snapshot_end(struct builder *b, uint32_t snapshot, uint64_t ticks);

/* Writes out everything pending, then END.  `events` is counted. */
void builder_end(struct builder *b, enum castaway_end_reason reason, uint64_t ticks);

/* Writes out everything pending as chunks: tables, events by thread number. */
void builder_flush(struct builder *b);

/* Deliberate damage. */
void builder_chunk(struct builder *b, uint16_t type, uint32_t thread, const void *payload, size_t size);
void builder_garbage(struct builder *b, const void *bytes, size_t size); /* no chunk at all */
void builder_skip_sequence(struct builder *b, uint32_t chunks);          /* lost chunks */
size_t builder_chunk_count(const struct builder *b);                     /* written so far */
size_t builder_chunk_offset(const struct builder *b, size_t chunk);      /* in the file */

/* The whole file; flushes first.  May be changed in place by the caller and
 * belongs to the builder. */
uint8_t *builder_finish(struct builder *b, size_t *size);
/* Sets the chunk or file header's hash right again after such a change. */
void builder_rehash_header(uint8_t *file);
void builder_rehash_chunk(uint8_t *file, size_t chunk_offset);

/* Opens the finished bytes; fails the process when the reader refuses them. */
struct trace *builder_open(struct builder *b);

#endif
