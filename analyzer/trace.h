/* SPDX-License-Identifier: Apache-2.0
 *
 * A trace in memory: the header, the tables, and an index of the event and
 * snapshot chunks, which stay on disk until something reads them.  Every id
 * that a table entry holds has been checked against its table when the trace
 * was opened; ids inside events and snapshots are checked by their readers.
 */
#ifndef TRACE_H
#define TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "castaway/format.h"
#include "error.h"
#include "source.h"

struct trace_string {
	const char *text; /* NUL-terminated copy; length excludes the NUL */
	uint32_t length;
};

struct trace_module {
	uint32_t number;
	uint64_t load_bias, start, end;
	uint64_t load_ticks, unload_ticks; /* unload 0 = still loaded */
	char *path;
	uint8_t build_id[64];
	uint32_t build_id_size;
};

/* One stack node: the frame, and the rest of the stack as its parent. */
struct trace_frame {
	uint32_t parent; /* 0 = bottom */
	uint32_t tag;    /* CASTAWAY_FRAME_*; for modules, 2 + the module number */
	union {
		uint64_t address; /* RAW: pc.  MODULE: offset from the load bias */
		struct {
			uint32_t function, file; /* SCRIPT: string ids */
		};
	};
	uint32_t line; /* SCRIPT */
};

struct trace_thread {
	uint32_t number, kernel_tid;
	uint64_t start_ticks;
	char name[32];
};

struct trace_limit {
	uint32_t limit; /* enum castaway_limit; unknown numbers are kept */
	uint64_t count;
	char *detail; /* may be "" */
};

struct trace_chunk {
	uint64_t offset; /* of the chunk header in the file */
	uint32_t stored_size, raw_size, thread, sequence, payload_hash;
	uint16_t type, flags;
	bool damaged; /* found to be so by whoever decoded it; counted in the limits */
};

struct trace_snapshot {
	uint32_t index;
	enum castaway_snapshot_reason reason;
	enum castaway_snapshot_method method;
	uint64_t ticks, pause_ns;
	char *name;
	bool complete; /* its SNAPSHOT_END was read */
	bool listed;   /* events=live: its blocks were listed, but not looked through */
	/* What its SNAPSHOT_END says; 0 without one. */
	uint64_t blocks, objects, edges;
	uint64_t scan_edges, roots, unscanned_bytes; /* heap snapshots only */
};

struct trace_clock_point {
	uint64_t ticks, monotonic_ns, realtime_ns;
};

struct trace {
	char *path; /* as given; "<memory>" for memory sources */
	struct source *source;
	struct castaway_file_header header;

	char *exe;
	char **argv;
	size_t argc;
	char *options;
	char **option_errors;
	size_t option_error_count;

	struct trace_clock_point *clock; /* sorted by ticks */
	size_t clock_count;
	struct trace_string *strings; /* [0] is "" */
	uint32_t string_count;
	struct trace_frame *frames; /* [0] is unused */
	uint32_t frame_count;
	struct trace_module *modules; /* [number - 1] */
	uint32_t module_count;
	struct trace_thread *threads;
	size_t thread_count;
	struct trace_limit *limits; /* the target's own, and what the reader found (damage, truncation) */
	size_t limit_count;
	struct trace_snapshot *snapshots;
	size_t snapshot_count;
	struct trace_chunk *chunks; /* every chunk whose hashes are right, in file order */
	size_t chunk_count;

	bool has_end;
	enum castaway_end_reason end_reason;
	uint64_t end_ticks, end_events, end_dropped;
	bool complete; /* has an END that is not VANISHED, and no damage */

	struct trace_internal *internal; /* the reader's own (trace_internal.h) */
};

/* Opens and reads the tables.  A truncated or damaged trace opens as far as it
 * is intact, with entries in `limits`.  Takes ownership of `source` even on
 * failure. */
enum error_code trace_open(struct source *source, const char *path, struct trace **ret, struct error *error);
enum error_code trace_open_file(const char *path, struct trace **ret, struct error *error);
void trace_free(struct trace *trace);

/* Reads and decompresses one chunk into *buffer (grown with realloc; the
 * caller frees it).  ERROR_DAMAGED when it does not hash or decode. */
enum error_code trace_read_chunk(const struct trace *trace, const struct trace_chunk *chunk, uint8_t **buffer,
				 size_t *capacity, size_t *size, struct error *error);

/* "" for 0 and for ids out of range. */
const char *trace_text(const struct trace *trace, uint32_t string);

/* Nanoseconds since the start of the trace. */
uint64_t trace_time_ns(const struct trace *trace, uint64_t ticks);

/* Adds to (or creates) a limit; set: replaces its count. */
enum error_code trace_add_limit(struct trace *trace, enum castaway_limit limit, uint64_t count,
				const char *detail);
enum error_code trace_set_limit(struct trace *trace, uint32_t limit, uint64_t count, const char *detail);

/* `chunk` (of trace->chunks) is not what FORMAT.md says.  Counts each chunk once, however often it is
 * read. */
enum error_code trace_mark_damaged(struct trace *trace, struct trace_chunk *chunk);

/* Report code and message of a limit number ("unknown" for unknown ones). */
const char *trace_limit_code(uint32_t limit);
const char *trace_limit_message(uint32_t limit);

/* Name of a runtime in reports: "none", "native", "cpython" ... */
const char *trace_runtime_name(uint32_t runtime);

#endif
