/* SPDX-License-Identifier: Apache-2.0
 *
 * Payloads: from the stored bytes of one chunk to its raw bytes.  Sizes were
 * bounded when the chunk was indexed, the file still is not trusted to hold
 * what it held then.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zstd.h>

#include <string.h>

#include "trace_internal.h"

/* No writer needs a window larger than the largest chunk. */
#define WINDOW_LOG_MAX 26

bool chunk_header_sane(const struct castaway_chunk_header *header)
{
	uint32_t max_raw =
		header->type == CASTAWAY_CHUNK_EVENTS ? CASTAWAY_MAX_EVENTS_RAW : CASTAWAY_MAX_CHUNK_RAW;

	if (header->flags & ~CASTAWAY_CHUNK_ZSTD || header->raw_size > max_raw)
		return false;
	if (header->flags & CASTAWAY_CHUNK_ZSTD)
		return header->stored_size <= ZSTD_compressBound(CASTAWAY_MAX_CHUNK_RAW);
	return header->stored_size == header->raw_size;
}

static enum error_code damaged(const struct trace_chunk *chunk, struct error *error)
{
	return error_set_at(error, ERROR_DAMAGED, chunk->offset, "a damaged chunk of type %u", chunk->type);
}

/* The stored bytes, in internal->stored. */
static enum error_code read_stored(const struct trace *trace, const struct trace_chunk *chunk,
				   struct error *error)
{
	struct trace_internal *internal = trace->internal;
	uint8_t *stored = array_reserve(internal->stored, &internal->stored_capacity,
					(size_t)chunk->stored_size + 1, 1);

	if (!stored)
		return no_memory(error);
	internal->stored = stored;
	return source_read(trace->source, chunk->offset + sizeof(struct castaway_chunk_header), stored,
			   chunk->stored_size, error);
}

static enum error_code prepare_zstd(struct trace_internal *internal, struct error *error)
{
	if (!internal->zstd) {
		internal->zstd = ZSTD_createDCtx();
		if (!internal->zstd)
			return no_memory(error);
		ZSTD_DCtx_setParameter(internal->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	}
	ZSTD_DCtx_reset(internal->zstd, ZSTD_reset_session_only);
	return ERROR_NONE;
}

static enum error_code decompress(const struct trace *trace, const struct trace_chunk *chunk, uint8_t *out,
				  struct error *error)
{
	struct trace_internal *internal = trace->internal;
	size_t size;
	enum error_code code = prepare_zstd(internal, error);

	if (code != ERROR_NONE)
		return code;
	if (ZSTD_findFrameCompressedSize(internal->stored, chunk->stored_size) != chunk->stored_size)
		return damaged(chunk, error);
	size = ZSTD_decompressDCtx(internal->zstd, out, chunk->raw_size, internal->stored,
				   chunk->stored_size);
	if (ZSTD_isError(size) || size != chunk->raw_size)
		return damaged(chunk, error);
	return ERROR_NONE;
}

enum error_code trace_read_chunk(const struct trace *trace, const struct trace_chunk *chunk, uint8_t **buffer,
				 size_t *capacity, size_t *size, struct error *error)
{
	enum error_code code = read_stored(trace, chunk, error);
	uint8_t *out;

	if (code != ERROR_NONE)
		return code;
	if (XXH32(trace->internal->stored, chunk->stored_size, 0) != chunk->payload_hash)
		return damaged(chunk, error);
	out = array_reserve(*buffer, capacity, (size_t)chunk->raw_size + 1, 1);
	if (!out)
		return no_memory(error);
	*buffer = out;
	*size = chunk->raw_size;
	if (chunk->flags & CASTAWAY_CHUNK_ZSTD)
		return decompress(trace, chunk, out, error);
	memcpy(out, trace->internal->stored, chunk->raw_size);
	return ERROR_NONE;
}

enum error_code chunk_peek(const struct trace *trace, const struct trace_chunk *chunk, uint8_t *out,
			   size_t want, size_t *got, struct error *error)
{
	enum error_code code = read_stored(trace, chunk, error);
	ZSTD_inBuffer in = {trace->internal->stored, chunk->stored_size, 0};
	ZSTD_outBuffer result = {out, want < chunk->raw_size ? want : chunk->raw_size, 0};

	if (code == ERROR_NONE)
		code = prepare_zstd(trace->internal, error);
	if (code != ERROR_NONE)
		return code;
	if (!(chunk->flags & CASTAWAY_CHUNK_ZSTD)) {
		memcpy(out, in.src, result.size);
		*got = result.size;
		return ERROR_NONE;
	}
	while (result.pos < result.size) {
		size_t left = ZSTD_decompressStream(trace->internal->zstd, &result, &in);

		if (ZSTD_isError(left))
			return damaged(chunk, error);
		/* With all input given, only a full output ends a frame early. */
		if (left == 0 || (in.pos == in.size && result.pos < result.size))
			break;
	}
	*got = result.pos;
	return ERROR_NONE;
}

void chunk_free(struct trace_internal *internal)
{
	ZSTD_freeDCtx(internal->zstd);
	free(internal->stored);
}
