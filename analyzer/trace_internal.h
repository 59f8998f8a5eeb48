/* SPDX-License-Identifier: Apache-2.0
 *
 * What only the files that make up a struct trace see: reader.c (header and
 * order of work), chunk_index.c (where the chunks are), chunk.c (their
 * payloads), tables.c (what they say), trace.c (life and queries).
 */
#ifndef TRACE_INTERNAL_H
#define TRACE_INTERNAL_H

#include <stdlib.h>

#include "trace.h"

struct text_block {
	struct text_block *next;
	char text[];
};

struct trace_internal {
	/* chunk.c: one decompressor and one buffer of stored bytes for all. */
	void *zstd;
	uint8_t *stored;
	size_t stored_capacity;

	/* tables.c */
	struct text_block *texts;
	size_t clock_capacity, string_capacity, frame_capacity, module_capacity, thread_capacity;
	size_t argv_capacity, snapshot_capacity, limit_capacity, chunk_capacity, option_error_capacity;

	/* Damage: how many parts, and where the first one is in the file. */
	uint64_t damage_count, damage_offset;
};

/* realloc in steps of one and a half; NULL when there is no memory, and then
 * `array` is as before. */
static inline void *array_reserve(void *array, size_t *capacity, size_t need, size_t element)
{
	size_t grown = *capacity + *capacity / 2;
	void *moved;

	if (need <= *capacity)
		return array;
	if (grown < need)
		grown = need;
	if (grown < 16)
		grown = 16;
	if (grown > SIZE_MAX / element)
		return NULL;
	moved = realloc(array, grown * element);
	if (moved)
		*capacity = grown;
	return moved;
}

/* A damaged part of the file, at `offset`. */
enum error_code trace_count_damage(struct trace *trace, uint64_t offset);

/* chunk_index.c: finds the chunks; fills trace->chunks. */
enum error_code chunk_index_build(struct trace *trace, struct error *error);

/* chunk.c: the first `want` bytes of the payload at most. */
enum error_code chunk_peek(const struct trace *trace, const struct trace_chunk *chunk, uint8_t *out,
			   size_t want, size_t *got, struct error *error);
bool chunk_header_sane(const struct castaway_chunk_header *header);
void chunk_free(struct trace_internal *internal);

/* tables.c: reads the table chunks and checks the ids in them. */
enum error_code tables_load(struct trace *trace, struct error *error);

static inline enum error_code no_memory(struct error *error)
{
	return error_set(error, ERROR_MEMORY, "out of memory");
}

#endif
