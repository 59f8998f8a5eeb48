/* SPDX-License-Identifier: Apache-2.0
 *
 * The builder's state, for its two files: trace_builder.c (chunks and tables)
 * and trace_builder_records.c (events and snapshots).
 */
#ifndef TRACE_BUILDER_INTERNAL_H
#define TRACE_BUILDER_INTERNAL_H

#include <stdlib.h>

#include "castaway/codec.h"
#include "trace_builder.h"

#define BUFFER_SIZE   (128u << 10) /* a section is ended at this */
#define BUFFER_EVENTS 16384u       /* a thread's buffer */

struct bytes {
	uint8_t *data;
	size_t size, capacity;
};

struct lane {
	uint32_t thread;
	bool open; /* the buffer has begun */
	uint64_t serial, base_ticks, ticks, block, object, stack;
	uint64_t offset, count; /* events that are written, and that are in `columns` */
	struct bytes columns[CASTAWAY_COLUMN_COUNT];
};

struct node {
	uint64_t address;
	uint32_t parent, tag, function, file, line;
	uint32_t unused; /* no padding: compared as bytes */
};

struct section {
	struct bytes blocks, objects, pointers, roots;
	uint64_t last_block, last_object, last_from, last_root, last_to;
	uint64_t block_count, object_count, edge_count, pointer_count, root_count;
	bool fine; /* SCAN_EDGES_FINE */
};

struct builder {
	struct castaway_file_header header;
	bool compress;
	struct bytes out;
	size_t *chunks;
	size_t chunk_count;
	uint32_t sequence;
	struct bytes process, clock, modules, threads, limits;
	uint32_t module_count;
	char **strings;
	uint32_t string_count, strings_written;
	struct node *nodes;
	uint32_t node_count, nodes_written;
	struct lane *lanes;
	size_t lane_count;
	struct section *sections;
	uint32_t section_count;
	uint64_t events;
};

static inline void *grown(void *old, size_t count, size_t size)
{
	void *moved = realloc(old, (count ? count : 1) * size);

	if (!moved)
		abort();
	return moved;
}

/* Room for `size` more bytes; the caller writes them and calls done(). */
static inline uint8_t *room(struct bytes *b, size_t size)
{
	if (b->size + size > b->capacity) {
		b->capacity = 2 * (b->size + size);
		b->data = grown(b->data, b->capacity, 1);
	}
	return b->data + b->size;
}

static inline void done(struct bytes *b, const uint8_t *end)
{
	b->size = (size_t)(end - b->data);
}

static inline void put(struct bytes *b, const void *data, size_t size)
{
	uint8_t *at = room(b, size);

	if (size > 0)
		memcpy(at, data, size);
	b->size += size;
}

static inline void put_u8(struct bytes *b, uint8_t value)
{
	put(b, &value, 1);
}

static inline void put_u64(struct bytes *b, uint64_t value)
{
	done(b, codec_put_u64(room(b, 8), value));
}

static inline void put_varint(struct bytes *b, uint64_t value)
{
	done(b, codec_put_varint(room(b, CODEC_VARINT_MAX), value));
}

static inline void put_svarint(struct bytes *b, uint64_t value)
{
	done(b, codec_put_svarint(room(b, CODEC_VARINT_MAX), (int64_t)value));
}

static inline void put_string(struct bytes *b, const char *text)
{
	put_varint(b, strlen(text));
	put(b, text, strlen(text));
}

/* Before any chunk that may refer to a table, the new entries are written. */
void builder_write_tables(struct builder *b);
/* `pending` as a chunk, when there is something in it. */
void builder_write_pending(struct builder *b, uint16_t type, struct bytes *pending);

#endif
