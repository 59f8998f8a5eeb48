/* SPDX-License-Identifier: Apache-2.0
 *
 * Sections of snapshots: payloads built in a writer's buffer and handed over
 * whole.  Runs in a thread of the target with the guard held.
 */
#include <string.h>

#include "arena.h"
#include "writer_internal.h"

static struct buffer s_direct; /* the one who writes directly has only one section at a time */

static struct buffer *take_direct(void)
{
	if (s_direct.bytes == NULL)
		s_direct.bytes = arena_map(WRITER_BUFFER_SIZE);
	if (s_direct.bytes == NULL)
		return NULL;
	if (s_direct.capacity == 0)
		s_direct.capacity = WRITER_BUFFER_SIZE;
	s_direct.filled = 0;
	return &s_direct;
}

void section_begin(struct section *section, enum castaway_chunk_type type)
{
	section->type = (uint16_t)type;
	section->buffer = section->direct ? take_direct() : writer_take_section((uint16_t)type);
	section->failed = section->buffer == NULL;
}

/* An object with very many edges must be in one chunk. */
static bool grow(struct buffer *buffer, size_t needed)
{
	size_t capacity = buffer->capacity;
	uint8_t *bytes;

	if (needed > CASTAWAY_MAX_CHUNK_RAW)
		return false;
	while (capacity < needed)
		capacity *= 2;
	bytes = arena_map(capacity);
	if (bytes == NULL)
		return false;
	memcpy(bytes, buffer->bytes, buffer->filled);
	if (buffer->bytes != buffer->own_bytes)
		arena_unmap(buffer->bytes, buffer->capacity);
	buffer->bytes = bytes;
	buffer->capacity = (uint32_t)capacity;
	return true;
}

uint8_t *section_reserve(struct section *section, size_t size)
{
	struct buffer *buffer = section->buffer;

	if (section->failed)
		return NULL;
	if (buffer->capacity - buffer->filled < size && !grow(buffer, buffer->filled + size)) {
		section->failed = true;
		return NULL;
	}
	return buffer->bytes + buffer->filled;
}

void section_commit(struct section *section, const uint8_t *end)
{
	section->buffer->filled = (uint32_t)(end - section->buffer->bytes);
}

size_t section_size(const struct section *section)
{
	return section->failed ? 0 : section->buffer->filled;
}

void section_end(struct section *section)
{
	if (section->direct) {
		if (section->buffer != NULL && !section->failed && s_direct.filled > 0)
			(void)writer_file_chunk(section->type, 0, s_direct.bytes, s_direct.filled);
	} else if (section->buffer != NULL) {
		/* A section that failed is not written: the snapshot stays without
		 * its end and is known as incomplete. */
		if (section->failed)
			section->buffer->filled = 0;
		writer_give(section->buffer);
	}
	section->buffer = NULL;
}
