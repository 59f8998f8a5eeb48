/* SPDX-License-Identifier: Apache-2.0
 *
 * Between tables.c (which chunk is read how), tables_process.c and
 * tables_symbols.c (modules, strings, stacks).  A parser consumes one payload; it leaves
 * cursor.failed set when the payload is not what FORMAT.md says, and what it
 * read until then stays.
 */
#ifndef TABLES_H
#define TABLES_H

#include "castaway/codec.h"
#include "trace_internal.h"

struct snapshot_total {
	uint32_t index;
	uint64_t blocks, objects, edges, scan_edges, roots, unscanned_bytes;
};

struct table_load {
	struct trace *trace;
	struct codec_cursor cursor;
	struct error *error;
	/* What a file of this size can justify; damage must not become memory. */
	uint64_t raw_budget;
	uint32_t max_ids, max_modules;
	struct snapshot_total *totals;
	size_t total_count, total_capacity;
};

enum error_code tables_process(struct table_load *load);
enum error_code tables_clock(struct table_load *load);
enum error_code tables_threads(struct table_load *load);
enum error_code tables_limits(struct table_load *load);
enum error_code tables_modules(struct table_load *load);
enum error_code tables_strings(struct table_load *load);
enum error_code tables_stacks(struct table_load *load);
/* After all chunks.  Frames: what refers to something that is not there becomes
 * "not known", and counts as damage once. */
enum error_code tables_check_frames(struct table_load *load);
enum error_code tables_finish_clock(struct table_load *load);
enum error_code tables_finish_threads(struct table_load *load);

/* The next string; a new NUL-terminated copy, or NULL (then cursor.failed or
 * no memory).  NUL bytes inside it end the copy early. */
char *tables_string(struct codec_cursor *cursor);
/* The next number, which must be below `bound`. */
uint32_t tables_number(struct codec_cursor *cursor, uint64_t bound);

#endif
