/* SPDX-License-Identifier: Apache-2.0
 *
 * What looks like pointers in CPython's memory, and holds nothing.  Runs in the
 * snapshot child.
 *
 * Free memory of its small object allocator: the arenas are mappings of the
 * program's own, so what lies there counts as held by it; a pointer in a block
 * that is free is left over.  Numbers and text: where the heap lies below 4 GiB,
 * four letters can be an address, and so can a hash, or a string's state, of which
 * only the lowest byte is ever written.
 *
 * Source: CPython 3.11, Objects/obmalloc.c: an aligned pool begins with a header,
 * then come blocks of one size, of which those behind `nextoffset` were never
 * used, and the free ones are a list.  The same in 3.12 and 3.13.  A pool is only
 * believed in when all of its header fits.
 */
#include <string.h>

#include "../arena.h"
#include "../maps.h"
#include "../snapshot_payload.h"
#include "castaway/codec.h"
#include "cpython.h"

#define POOL_SIZE    16384u
#define POOL_HEADER  48u
#define POOL_CLASSES 32u /* block sizes: 16, 32 ... 512 */
#define BLOCKS_MAX   ((POOL_SIZE - POOL_HEADER) / 16u)
#define RULE_BYTES   (2 + CODEC_VARINT_MAX)

struct py_pool {
	uint32_t count, padding;
	uint64_t free, next, previous;
	uint32_t arena, class, next_offset, max_next_offset;
};
_Static_assert(sizeof(struct py_pool) == POOL_HEADER, "pool_header of obmalloc.c");

struct look {
	const struct scan_index *index;
	const struct maps *maps;
	struct payload payload;
	bool unused[BLOCKS_MAX];
};

static const struct py_pool *py_pool_at(const struct look *look, uint64_t start)
{
	const struct py_pool *pool = (const struct py_pool *)(uintptr_t)start;
	uint32_t size;

	if (start == 0 || !maps_readable(look->maps, start, start + POOL_SIZE) || pool->class >= POOL_CLASSES)
		return NULL;
	size = (pool->class + 1) * 16;
	if (pool->max_next_offset != POOL_SIZE - size || pool->next_offset < POOL_HEADER ||
	    pool->next_offset > pool->max_next_offset + size ||
	    (pool->next_offset - POOL_HEADER) % size != 0 || pool->count > (POOL_SIZE - POOL_HEADER) / size)
		return NULL;
	return pool;
}

static void borrow_words(struct look *look, uint64_t start, uint64_t end)
{
	for (uint64_t at = start; at + 8 <= end; at += 8) {
		uint64_t word;

		memcpy(&word, (const void *)(uintptr_t)at, sizeof(word));
		if (scan_find(look->index, word) == SCAN_NONE || !payload_room(&look->payload, RULE_BYTES))
			continue;
		*look->payload.at++ = CASTAWAY_RULE_POINTER;
		look->payload.at =
			codec_put_svarint(look->payload.at, (int64_t)(at - look->payload.last_address));
		look->payload.last_address = at;
		*look->payload.at++ = CASTAWAY_BORROWED;
	}
}

/* False when the list is none: then the pool is left alone. */
static bool find_unused(struct look *look, uint64_t start, const struct py_pool *pool)
{
	const uint32_t size = (pool->class + 1) * 16;
	const uint32_t blocks = (pool->next_offset - POOL_HEADER) / size;
	uint64_t at = pool->free;

	memset(look->unused, 0, sizeof(look->unused));
	for (uint32_t i = 0; at != 0; i++) {
		const uint64_t offset = at - start - POOL_HEADER;

		if (i == blocks || offset % size != 0 || offset / size >= blocks ||
		    look->unused[offset / size])
			return false;
		look->unused[offset / size] = true;
		memcpy(&at, (const void *)(uintptr_t)at, sizeof(at));
	}
	return true;
}

static void look_at_pool(struct look *look, uint64_t start, const struct py_pool *pool)
{
	const uint32_t size = (pool->class + 1) * 16;
	const uint32_t blocks = (pool->next_offset - POOL_HEADER) / size;

	if (pool->count == 0) {
		borrow_words(look, start + POOL_HEADER, start + POOL_SIZE);
		return;
	}
	if (!find_unused(look, start, pool))
		return;
	for (uint32_t i = 0; i < blocks; i++) {
		if (look->unused[i])
			borrow_words(look, start + POOL_HEADER + i * size,
				     start + POOL_HEADER + (i + 1) * size);
	}
	borrow_words(look, start + pool->next_offset, start + POOL_SIZE);
}

/* From a pool with a living object, as far as the arena goes on with pools. */
static uint64_t look_at_arena(struct look *look, uint64_t start)
{
	const struct py_pool *pool = py_pool_at(look, start);
	const uint32_t arena = pool != NULL ? pool->arena : 0;

	while (pool != NULL && pool->arena == arena) {
		look_at_pool(look, start, pool);
		start += POOL_SIZE;
		pool = py_pool_at(look, start);
	}
	return start;
}

#define OBJECT_HEAD  16u
#define STRING_STATE 32u
#define STRING_TEXT  48u   /* or 8 bytes earlier, but there may be a pointer in 3.11 */
#define STRING_ASCII 0x60u /* compact, and nothing but ASCII */

static void look_at_object(struct look *look, const struct scan_block *block)
{
	const struct py_object *object = (const struct py_object *)(uintptr_t)block->address;
	const uint64_t end = block->address + block->size;
	uint32_t state;

	if (block->size < OBJECT_HEAD + 8 || !maps_readable(look->maps, block->address, end))
		return;
	if (object->type == g_py.PyBytes_Type || object->type == g_py.PyLong_Type ||
	    object->type == g_py.PyFloat_Type) {
		borrow_words(look, block->address + OBJECT_HEAD, end);
	} else if (object->type == g_py.PyUnicode_Type && block->size >= STRING_TEXT) {
		borrow_words(look, block->address + OBJECT_HEAD, block->address + STRING_STATE + 8);
		memcpy(&state, (const void *)(uintptr_t)(block->address + STRING_STATE), sizeof(state));
		if ((state & STRING_ASCII) == STRING_ASCII)
			borrow_words(look, block->address + STRING_TEXT, end);
	}
}

bool cpython_pool_rules(const struct snapshot_view *view)
{
	struct look *look = arena_map(sizeof(*look));
	uint64_t done = 0;

	if (look == NULL)
		return false;
	look->index = view->index;
	look->maps = view->maps;
	if (!payload_begin(&look->payload, view->snapshot, CASTAWAY_CHUNK_EDGE_RULES))
		return false;
	for (uint32_t i = 0; i < look->index->count; i++) {
		const struct scan_block *block = &look->index->blocks[i];
		const uint64_t start = block->address & ~(uint64_t)(POOL_SIZE - 1);

		if (block->runtime != CASTAWAY_RUNTIME_CPYTHON)
			continue;
		look_at_object(look, block);
		if (start >= done) {
			uint64_t end = look_at_arena(look, start);

			done = end > start ? end : start + POOL_SIZE;
		}
	}
	return payload_end(&look->payload);
}
