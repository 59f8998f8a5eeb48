/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the intact chunks are.  Walks the file from header to header; behind
 * anything wrong it searches for the next header that hashes right.  Reads the
 * whole file once, in pieces of bounded size.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdio.h>
#include <string.h>

#include "trace_internal.h"

#define HEADER_SIZE sizeof(struct castaway_chunk_header)
#define PIECE_SIZE  (256u << 10)

struct walk {
	struct trace *trace;
	struct source *source;
	uint64_t offset, size;
	/* Headers that hash right, but claim payloads that do not, can overlap;
	 * this bounds the work on them to a multiple of the file's size. */
	uint64_t hash_budget;
	bool truncated;
	uint32_t *sequences;
	size_t sequence_count, sequence_capacity;
	struct error *error;
	uint8_t piece[PIECE_SIZE];
};

enum payload { PAYLOAD_GOOD, PAYLOAD_BAD, PAYLOAD_CUT_OFF, PAYLOAD_FAILED };

static bool header_right(const struct castaway_chunk_header *header)
{
	return header->magic == CASTAWAY_CHUNK_MAGIC &&
	       header->header_hash == XXH32(header, offsetof(struct castaway_chunk_header, header_hash), 0);
}

static enum payload check_payload(struct walk *w, const struct castaway_chunk_header *header)
{
	uint64_t at = w->offset + HEADER_SIZE, left = header->stored_size;
	XXH32_state_t state;

	if (!chunk_header_sane(header))
		return PAYLOAD_BAD;
	if (left > w->size - at)
		return PAYLOAD_CUT_OFF;
	if (left > w->hash_budget)
		return PAYLOAD_BAD;
	w->hash_budget -= left;
	XXH32_reset(&state, 0);
	while (left > 0) {
		size_t part = left < PIECE_SIZE ? (size_t)left : PIECE_SIZE;

		if (source_read(w->source, at, w->piece, part, w->error) != ERROR_NONE)
			return PAYLOAD_FAILED;
		XXH32_update(&state, w->piece, part);
		at += part;
		left -= part;
	}
	return XXH32_digest(&state) == header->payload_hash ? PAYLOAD_GOOD : PAYLOAD_BAD;
}

/* The first header in the piece [at, at + size) that is right. */
static bool search_piece(struct walk *w, uint64_t at, size_t size, uint64_t *found)
{
	const uint32_t magic = CASTAWAY_CHUNK_MAGIC;
	struct castaway_chunk_header header;
	size_t from = 0;

	while (size - from >= HEADER_SIZE) {
		const uint8_t *hit = memmem(w->piece + from, size - from, &magic, sizeof(magic));
		size_t position;

		if (!hit)
			return false;
		position = (size_t)(hit - w->piece);
		if (size - position < HEADER_SIZE)
			return false;
		memcpy(&header, hit, HEADER_SIZE);
		if (header_right(&header)) {
			*found = at + position;
			return true;
		}
		from = position + 1;
	}
	return false;
}

/* Moves to the next right header at or after `from`, or to the end. */
static enum error_code search(struct walk *w, uint64_t from, bool *found)
{
	enum error_code code;

	*found = false;
	while (from < w->size && w->size - from >= HEADER_SIZE) {
		uint64_t left = w->size - from;
		size_t part = left < PIECE_SIZE ? (size_t)left : PIECE_SIZE;

		code = source_read(w->source, from, w->piece, part, w->error);
		if (code != ERROR_NONE)
			return code;
		*found = search_piece(w, from, part, &w->offset);
		if (*found)
			return ERROR_NONE;
		/* A header may lie across the border of two pieces. */
		from += part - (HEADER_SIZE - 1);
	}
	w->offset = w->size;
	return ERROR_NONE;
}

static enum error_code add_chunk(struct walk *w, const struct castaway_chunk_header *header)
{
	struct trace *trace = w->trace;
	struct trace_chunk *chunks = array_reserve(trace->chunks, &trace->internal->chunk_capacity,
						   trace->chunk_count + 1, sizeof(*chunks));

	if (!chunks)
		return no_memory(w->error);
	trace->chunks = chunks;
	chunks[trace->chunk_count++] = (struct trace_chunk){
		.offset = w->offset,
		.stored_size = header->stored_size,
		.raw_size = header->raw_size,
		.thread = header->thread,
		.sequence = header->sequence,
		.payload_hash = header->payload_hash,
		.type = header->type,
		.flags = header->flags,
	};
	w->offset += HEADER_SIZE + header->stored_size;
	return ERROR_NONE;
}

static enum error_code add_sequence(struct walk *w, uint32_t sequence)
{
	uint32_t *sequences =
		array_reserve(w->sequences, &w->sequence_capacity, w->sequence_count + 1, sizeof(*sequences));

	if (!sequences)
		return no_memory(w->error);
	w->sequences = sequences;
	sequences[w->sequence_count++] = sequence;
	return ERROR_NONE;
}

/* The rest of the file is shorter than a header: the begin of one, or not. */
static enum error_code walk_tail(struct walk *w)
{
	const uint32_t magic = CASTAWAY_CHUNK_MAGIC;
	size_t left = (size_t)(w->size - w->offset);
	enum error_code code = source_read(w->source, w->offset, w->piece, left, w->error);

	if (code != ERROR_NONE)
		return code;
	w->truncated = memcmp(w->piece, &magic, left < sizeof(magic) ? left : sizeof(magic)) == 0;
	code = w->truncated ? ERROR_NONE : trace_count_damage(w->trace, w->offset);
	if (w->truncated)
		return ERROR_NONE;
	w->offset = w->size;
	return code;
}

/* Something is wrong at w->offset: go on behind it, from `from`. */
static enum error_code walk_damage(struct walk *w, uint64_t from, bool cut_off)
{
	uint64_t at = w->offset;
	bool found;
	enum error_code code = search(w, from, &found);

	if (code != ERROR_NONE)
		return code;
	if (cut_off && !found) {
		w->truncated = true;
		w->offset = at;
		return ERROR_NONE;
	}
	return trace_count_damage(w->trace, at);
}

static enum error_code walk_step(struct walk *w)
{
	struct castaway_chunk_header header;
	enum error_code code;
	enum payload payload;

	if (w->size - w->offset < HEADER_SIZE)
		return walk_tail(w);
	code = source_read(w->source, w->offset, &header, HEADER_SIZE, w->error);
	if (code != ERROR_NONE)
		return code;
	if (!header_right(&header))
		return walk_damage(w, w->offset + 1, false);
	code = add_sequence(w, header.sequence);
	if (code != ERROR_NONE)
		return code;
	payload = check_payload(w, &header);
	if (payload == PAYLOAD_FAILED)
		return ERROR_IO;
	if (payload == PAYLOAD_GOOD)
		return add_chunk(w, &header);
	return walk_damage(w, w->offset + HEADER_SIZE, payload == PAYLOAD_CUT_OFF);
}

static int compare_sequences(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

/* Chunks are numbered from 0 over the file: what is not there was lost.  A
 * chunk whose header alone is right is damage and not loss. */
static enum error_code count_missing(struct walk *w)
{
	uint64_t missing = 0, expected = 0, first = 0;
	char detail[48];

	if (w->sequence_count > 1)
		qsort(w->sequences, w->sequence_count, sizeof(*w->sequences), compare_sequences);
	for (size_t i = 0; i < w->sequence_count; i++) {
		if (w->sequences[i] > expected) {
			if (missing == 0)
				first = expected;
			missing += w->sequences[i] - expected;
		}
		expected = (uint64_t)w->sequences[i] + 1;
	}
	if (missing == 0)
		return ERROR_NONE;
	snprintf(detail, sizeof(detail), "first is number %llu", (unsigned long long)first);
	return trace_set_limit(w->trace, CASTAWAY_LIMIT_MISSING_CHUNKS, missing, detail);
}

static enum error_code finish(struct walk *w)
{
	char detail[48];
	enum error_code code = count_missing(w);

	if (code != ERROR_NONE || !w->truncated)
		return code;
	snprintf(detail, sizeof(detail), "at offset %llu", (unsigned long long)w->offset);
	return trace_set_limit(w->trace, CASTAWAY_LIMIT_TRUNCATED, 1, detail);
}

enum error_code chunk_index_build(struct trace *trace, struct error *error)
{
	struct walk *w = calloc(1, sizeof(*w));
	enum error_code code = ERROR_NONE;

	if (!w)
		return no_memory(error);
	w->trace = trace;
	w->source = trace->source;
	w->size = source_size(trace->source);
	w->offset = trace->header.header_size;
	w->hash_budget = 8 * w->size + CASTAWAY_MAX_CHUNK_RAW;
	w->error = error;
	while (code == ERROR_NONE && w->offset < w->size && !w->truncated)
		code = walk_step(w);
	if (code == ERROR_NONE)
		code = finish(w);
	free(w->sequences);
	free(w);
	return code == ERROR_MEMORY ? no_memory(error) : code;
}
