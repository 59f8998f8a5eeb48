/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a trace: the file header, then the index of chunks, then the tables,
 * then what is missing.  Only a file in which nothing can be used is an error.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdio.h>
#include <string.h>

#include "trace_internal.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "headers are copied as they are in the file");

#define HEADER_SIZE_MAX 65536u
#define CLOCK_SHIFT_MAX 32u

/* The version comes before the hash: a later format may hash differently, and
 * then "too new" is the truth. */
static enum error_code check_version(const struct castaway_file_header *header, struct error *error)
{
	if (header->min_reader > CASTAWAY_FORMAT_VERSION)
		return error_set_at(error, ERROR_VERSION, offsetof(struct castaway_file_header, min_reader),
				    "a trace of format version %u that needs a reader of version %u; this "
				    "castaway reads version %u",
				    header->version, header->min_reader, CASTAWAY_FORMAT_VERSION);
	if (header->pointer_size != 8)
		return error_set_at(error, ERROR_VERSION, offsetof(struct castaway_file_header, pointer_size),
				    "pointers of %u bytes; this castaway reads traces with 8",
				    header->pointer_size);
	if (header->endian != 1)
		return error_set_at(error, ERROR_VERSION, offsetof(struct castaway_file_header, endian),
				    "not a little-endian trace");
	return ERROR_NONE;
}

static enum error_code check_header(const struct castaway_file_header *header, struct error *error)
{
	const size_t hash_at = offsetof(struct castaway_file_header, header_hash);
	enum error_code code;

	if (memcmp(header->magic, CASTAWAY_FORMAT_MAGIC, sizeof(header->magic)) != 0)
		return error_set_at(error, ERROR_NOT_A_TRACE, 0, "not a castaway trace");
	code = check_version(header, error);
	if (code != ERROR_NONE)
		return code;
	if (header->header_hash != XXH32(header, hash_at, 0))
		return error_set_at(error, ERROR_DAMAGED, hash_at,
				    "the file header is damaged: its hash is wrong");
	if (header->header_size < sizeof(*header) || header->header_size > HEADER_SIZE_MAX)
		return error_set_at(error, ERROR_DAMAGED, offsetof(struct castaway_file_header, header_size),
				    "a file header of %u bytes", header->header_size);
	if (header->clock_shift > CLOCK_SHIFT_MAX)
		return error_set_at(error, ERROR_DAMAGED, offsetof(struct castaway_file_header, clock_shift),
				    "a clock shift of %u", header->clock_shift);
	return ERROR_NONE;
}

static enum error_code read_header(struct trace *trace, struct error *error)
{
	uint64_t size = source_size(trace->source);
	enum error_code code;

	if (size == 0)
		return error_set(error, ERROR_EMPTY, "the file is empty");
	if (size < sizeof(trace->header))
		return error_set_at(error, ERROR_NOT_A_TRACE, 0,
				    "not a castaway trace: shorter than its header");
	code = source_read(trace->source, 0, &trace->header, sizeof(trace->header), error);
	return code == ERROR_NONE ? check_header(&trace->header, error) : code;
}

static enum error_code check_chunks(const struct trace *trace, struct error *error)
{
	uint64_t size = source_size(trace->source), first = trace->header.header_size;

	if (trace->chunk_count > 0)
		return ERROR_NONE;
	if (trace->internal->damage_count > 0)
		return error_set_at(error, ERROR_DAMAGED, trace->internal->damage_offset,
				    "damaged: no part of it can be read");
	return error_set_at(error, ERROR_EMPTY, first < size ? first : size,
			    "the trace holds nothing: it ends before its first whole chunk");
}

static bool has_limit(const struct trace *trace, enum castaway_limit limit)
{
	for (size_t i = 0; i < trace->limit_count; i++)
		if (trace->limits[i].limit == limit)
			return true;
	return false;
}

static enum error_code judge(struct trace *trace, struct error *error)
{
	uint64_t unfinished = 0;
	enum error_code code = ERROR_NONE;
	bool finished = trace->has_end && trace->end_reason != CASTAWAY_END_VANISHED;

	for (size_t i = 0; i < trace->snapshot_count; i++)
		unfinished += !trace->snapshots[i].complete;
	if (unfinished > 0)
		code = trace_add_limit(trace, CASTAWAY_LIMIT_INCOMPLETE_SNAPSHOT, unfinished, "");
	if (code == ERROR_NONE && !finished)
		code = trace_add_limit(trace, CASTAWAY_LIMIT_INCOMPLETE, 1, "");
	trace->complete = finished && trace->internal->damage_count == 0 &&
			  !has_limit(trace, CASTAWAY_LIMIT_TRUNCATED) &&
			  !has_limit(trace, CASTAWAY_LIMIT_MISSING_CHUNKS);
	return code == ERROR_MEMORY ? no_memory(error) : code;
}

static enum error_code read_trace(struct trace *trace, struct error *error)
{
	enum error_code code = read_header(trace, error);

	if (code == ERROR_NONE)
		code = chunk_index_build(trace, error);
	if (code == ERROR_NONE)
		code = check_chunks(trace, error);
	if (code == ERROR_NONE)
		code = tables_load(trace, error);
	if (code == ERROR_NONE)
		code = judge(trace, error);
	return code;
}

static struct trace *trace_new(struct source *source, const char *path)
{
	struct trace *trace = calloc(1, sizeof(*trace));

	if (!trace)
		return NULL;
	trace->internal = calloc(1, sizeof(*trace->internal));
	trace->path = strdup(path);
	if (!trace->internal || !trace->path) {
		free(trace->internal);
		free(trace->path);
		free(trace);
		return NULL;
	}
	trace->source = source;
	return trace;
}

enum error_code trace_open(struct source *source, const char *path, struct trace **ret, struct error *error)
{
	struct trace *trace = trace_new(source, path);
	enum error_code code;

	*ret = NULL;
	if (!trace) {
		source_free(source);
		return no_memory(error);
	}
	code = read_trace(trace, error);
	if (code != ERROR_NONE) {
		trace_free(trace);
		return code;
	}
	*ret = trace;
	return ERROR_NONE;
}

enum error_code trace_open_file(const char *path, struct trace **ret, struct error *error)
{
	struct source *source;
	enum error_code code = source_open_file(path, &source, error);

	*ret = NULL;
	return code == ERROR_NONE ? trace_open(source, path, ret, error) : code;
}
