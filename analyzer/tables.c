/* SPDX-License-Identifier: Apache-2.0
 *
 * Which chunk is read by which parser, in the order of the file, and what can
 * only be put together when all of them were read.
 */
#include "tables.h"

#include <string.h>

/* Decoded table bytes and ids that are accepted: a constant and a multiple of
 * the file's size, well above what writers reach. */
#define RAW_CONSTANT     (4u << 20)
#define RAW_FACTOR       64u
#define IDS_CONSTANT     196608u
#define IDS_FACTOR       4u
#define MODULES_CONSTANT 4096u
#define BYTES_PER_MODULE 8u

char *tables_string(struct codec_cursor *cursor)
{
	uint64_t length = codec_get_varint(cursor);
	const uint8_t *bytes;

	if (length > CASTAWAY_MAX_STRING)
		cursor->failed = true;
	bytes = codec_get_bytes(cursor, length);
	return bytes ? strndup((const char *)bytes, length) : NULL;
}

uint32_t tables_number(struct codec_cursor *cursor, uint64_t bound)
{
	uint64_t value = codec_get_varint(cursor);

	if (value >= bound)
		cursor->failed = true;
	return cursor->failed ? 0 : (uint32_t)value;
}

static enum error_code read_snapshot(struct table_load *load)
{
	struct trace *trace = load->trace;
	struct trace_snapshot snapshot = {0}, *snapshots;

	snapshot.index = tables_number(&load->cursor, UINT32_MAX);
	snapshot.reason = tables_number(&load->cursor, 256);
	snapshot.method = tables_number(&load->cursor, 256);
	snapshot.ticks = codec_get_u64(&load->cursor);
	snapshot.pause_ns = codec_get_varint(&load->cursor);
	snapshot.name = tables_string(&load->cursor);
	if (!snapshot.name)
		return load->cursor.failed ? ERROR_NONE : no_memory(load->error);
	snapshots = array_reserve(trace->snapshots, &trace->internal->snapshot_capacity,
				  trace->snapshot_count + 1, sizeof(*snapshots));
	if (!snapshots) {
		free(snapshot.name);
		return no_memory(load->error);
	}
	trace->snapshots = snapshots;
	snapshots[trace->snapshot_count++] = snapshot;
	return ERROR_NONE;
}

static enum error_code read_snapshot_end(struct table_load *load)
{
	struct snapshot_total total, *totals;

	total.index = tables_number(&load->cursor, UINT32_MAX);
	total.blocks = codec_get_varint(&load->cursor);
	total.objects = codec_get_varint(&load->cursor);
	total.edges = codec_get_varint(&load->cursor);
	codec_get_u64(&load->cursor);
	total.scan_edges = codec_get_varint(&load->cursor);
	total.roots = codec_get_varint(&load->cursor);
	total.unscanned_bytes = codec_get_varint(&load->cursor);
	if (load->cursor.failed)
		return ERROR_NONE;
	totals = array_reserve(load->totals, &load->total_capacity, load->total_count + 1, sizeof(*totals));
	if (!totals)
		return no_memory(load->error);
	load->totals = totals;
	totals[load->total_count++] = total;
	return ERROR_NONE;
}

static int compare_snapshots(const void *a, const void *b)
{
	const struct trace_snapshot *left = a, *right = b;

	return (left->index > right->index) - (left->index < right->index);
}

/* Sorted by index, each once, each with its totals when it has an end. */
static void finish_snapshots(struct table_load *load)
{
	struct trace *trace = load->trace;
	size_t kept = 0;

	if (trace->snapshot_count == 0)
		return;
	qsort(trace->snapshots, trace->snapshot_count, sizeof(*trace->snapshots), compare_snapshots);
	for (size_t i = 0; i < trace->snapshot_count; i++) {
		if (kept > 0 && trace->snapshots[i].index == trace->snapshots[kept - 1].index)
			free(trace->snapshots[i].name);
		else
			trace->snapshots[kept++] = trace->snapshots[i];
	}
	trace->snapshot_count = kept;
	for (size_t i = 0; i < load->total_count; i++) {
		struct trace_snapshot key = {.index = load->totals[i].index};
		struct trace_snapshot *snapshot =
			bsearch(&key, trace->snapshots, kept, sizeof(key), compare_snapshots);

		if (!snapshot)
			continue;
		snapshot->complete = true;
		snapshot->blocks = load->totals[i].blocks;
		snapshot->objects = load->totals[i].objects;
		snapshot->edges = load->totals[i].edges;
		snapshot->scan_edges = load->totals[i].scan_edges;
		snapshot->roots = load->totals[i].roots;
		snapshot->listed = (trace->header.features & CASTAWAY_FEATURE_LIVE) && snapshot->roots == 0;
		snapshot->unscanned_bytes = load->totals[i].unscanned_bytes;
	}
}

static enum error_code read_end(struct table_load *load)
{
	struct trace *trace = load->trace;
	uint64_t ticks = codec_get_u64(&load->cursor);
	uint32_t reason = tables_number(&load->cursor, 256);
	uint64_t events = codec_get_varint(&load->cursor);
	uint64_t dropped = codec_get_varint(&load->cursor);

	if (load->cursor.failed)
		return ERROR_NONE;
	trace->has_end = true;
	trace->end_reason = reason;
	trace->end_ticks = ticks;
	trace->end_events = events;
	trace->end_dropped = dropped;
	return ERROR_NONE;
}

typedef enum error_code (*table_reader)(struct table_load *load);

static table_reader reader_of(uint16_t type)
{
	switch (type) {
	case CASTAWAY_CHUNK_PROCESS:
		return tables_process;
	case CASTAWAY_CHUNK_CLOCK:
		return tables_clock;
	case CASTAWAY_CHUNK_MODULES:
		return tables_modules;
	case CASTAWAY_CHUNK_STRINGS:
		return tables_strings;
	case CASTAWAY_CHUNK_STACKS:
		return tables_stacks;
	case CASTAWAY_CHUNK_THREADS:
		return tables_threads;
	case CASTAWAY_CHUNK_LIMITS:
		return tables_limits;
	case CASTAWAY_CHUNK_SNAPSHOT:
		return read_snapshot;
	case CASTAWAY_CHUNK_SNAPSHOT_END:
		return read_snapshot_end;
	case CASTAWAY_CHUNK_END:
		return read_end;
	default:
		return NULL;
	}
}

/* What an END must not be followed by: then it was not the end (an exec that
 * failed), and the real one may be missing. */
static bool is_recording(uint16_t type)
{
	switch (type) {
	case CASTAWAY_CHUNK_EVENTS:
	case CASTAWAY_CHUNK_SNAPSHOT:
	case CASTAWAY_CHUNK_BLOCKS:
	case CASTAWAY_CHUNK_OBJECTS:
	case CASTAWAY_CHUNK_RUNTIME:
	case CASTAWAY_CHUNK_SNAPSHOT_END:
	case CASTAWAY_CHUNK_SCAN_EDGES:
	case CASTAWAY_CHUNK_SCAN_EDGES_FINE:
	case CASTAWAY_CHUNK_ROOTS:
	case CASTAWAY_CHUNK_TYPES:
	case CASTAWAY_CHUNK_NAMES:
		return true;
	default:
		return false;
	}
}

static enum error_code load_chunk(struct table_load *load, struct trace_chunk *chunk, uint8_t **buffer,
				  size_t *capacity)
{
	table_reader reader = reader_of(chunk->type);
	size_t size;
	enum error_code code;

	if (is_recording(chunk->type))
		load->trace->has_end = false;
	if (!reader)
		return ERROR_NONE;
	if (chunk->raw_size > load->raw_budget)
		return trace_mark_damaged(load->trace, chunk);
	load->raw_budget -= chunk->raw_size;
	code = trace_read_chunk(load->trace, chunk, buffer, capacity, &size, load->error);
	if (code == ERROR_DAMAGED)
		return trace_mark_damaged(load->trace, chunk);
	if (code != ERROR_NONE)
		return code;
	load->cursor = (struct codec_cursor){*buffer, *buffer + size, false};
	code = reader(load);
	if (code == ERROR_NONE && load->cursor.failed)
		code = trace_mark_damaged(load->trace, chunk);
	return code;
}

static void set_bounds(struct table_load *load)
{
	uint64_t size = source_size(load->trace->source);
	uint64_t ids = IDS_CONSTANT + IDS_FACTOR * size;
	uint64_t modules = MODULES_CONSTANT + size / BYTES_PER_MODULE;

	load->raw_budget = RAW_CONSTANT + RAW_FACTOR * size;
	load->max_ids = ids < UINT32_MAX ? (uint32_t)ids : UINT32_MAX;
	load->max_modules = modules < UINT32_MAX ? (uint32_t)modules : UINT32_MAX;
}

enum error_code tables_load(struct trace *trace, struct error *error)
{
	struct table_load load = {.trace = trace, .error = error};
	enum error_code code = ERROR_NONE;
	uint8_t *buffer = NULL;
	size_t capacity = 0;

	set_bounds(&load);
	for (size_t i = 0; code == ERROR_NONE && i < trace->chunk_count; i++)
		code = load_chunk(&load, &trace->chunks[i], &buffer, &capacity);
	free(buffer);
	if (code == ERROR_NONE)
		code = tables_finish_clock(&load);
	if (code == ERROR_NONE)
		code = tables_finish_threads(&load);
	if (code == ERROR_NONE)
		code = tables_check_frames(&load);
	finish_snapshots(&load);
	free(load.totals);
	return code == ERROR_MEMORY ? no_memory(error) : code;
}
