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
 * The heads of the collector's lists: their links lead to the first and the last
 * object of a generation, whoever that is, and own nothing.  And the ends of the
 * arrays in which objects wait to be used again, and of the stacks of frames.
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

#define POOL_SIZE     16384u
#define POOL_HEADER   48u
#define POOL_CLASSES  32u /* block sizes: 16, 32 ... 512 */
#define BLOCKS_MAX    ((POOL_SIZE - POOL_HEADER) / 16u)
#define PARKED_MAX    80u    /* of lists, dicts and their tables each */
#define PARKED_WITHIN 16384u /* bytes behind the state of the collector */
#define THREADS_MAX   65536u
#define THREAD_WITHIN 512u /* bytes of a thread's state */
#define THREAD_LINKS  32u  /* ... in which its link to the next one is */
#define PIECE_ALIGNED 4096u
#define PIECE_MAX     (UINT64_C(1) << 32)
#define PIECES_MAX    4096u
#define RULE_BYTES    (2 + CODEC_VARINT_MAX)

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
#define GC_HEAD      16u
#define STRING_STATE 32u
#define STRING_TEXT  48u   /* or 8 bytes earlier, but there may be a pointer in 3.11 */
#define STRING_ASCII 0x60u /* compact, and nothing but ASCII */

/* An object of the collector's that nobody counts waits to be used again: what is
 * in it belonged to its former self, but for the link to the next such tuple. */
static void look_at_waiting(struct look *look, const struct scan_block *block)
{
	const uint64_t end = block->address + block->size;
	const uint64_t start = block->address + GC_HEAD + OBJECT_HEAD + 8;
	const struct py_object *object;

	if (start + 8 > end || !maps_readable(look->maps, block->address, end))
		return;
	object = (const struct py_object *)(uintptr_t)(block->address + GC_HEAD);
	if (object->refcount != 0)
		return;
	if (object->type == g_py.PyTuple_Type)
		borrow_words(look, start + 8, end);
	else if (object->type == g_py.PyList_Type || object->type == g_py.PyDict_Type)
		borrow_words(look, start, end);
}

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

/* Objects that wait for use again keep their type. */
static bool all_parked(const struct look *look, const uint64_t *list, uint64_t count, const void *type)
{
	for (uint64_t i = 0; i < count; i++) {
		const struct py_object *object = (const struct py_object *)(uintptr_t)list[i];

		if (list[i] % 8 != 0 || !maps_readable(look->maps, list[i], list[i] + sizeof(*object)) ||
		    (const void *)object->type != type)
			return false;
	}
	return true;
}

static void borrow_rest(struct look *look, const uint64_t *list, uint64_t count)
{
	borrow_words(look, (uint64_t)(uintptr_t)(list + count), (uint64_t)(uintptr_t)(list + PARKED_MAX));
}

/* 3.11 keeps lists, dicts and dicts' tables in three arrays, each followed by the
 * number of those that wait.  What stands behind that number was taken out, and is
 * somebody else's memory by now. */
static bool look_at_parked(struct look *look, const uint64_t *lists)
{
	const uint64_t *dicts = lists + PARKED_MAX + 1, *tables = dicts + PARKED_MAX + 1;

	if (lists[PARKED_MAX] > PARKED_MAX || dicts[PARKED_MAX] > PARKED_MAX ||
	    tables[PARKED_MAX] > PARKED_MAX || (lists[PARKED_MAX] | dicts[PARKED_MAX]) == 0 ||
	    !all_parked(look, lists, lists[PARKED_MAX], g_py.PyList_Type) ||
	    !all_parked(look, dicts, dicts[PARKED_MAX], g_py.PyDict_Type))
		return false;
	borrow_rest(look, lists, lists[PARKED_MAX]);
	borrow_rest(look, dicts, dicts[PARKED_MAX]);
	borrow_rest(look, tables, tables[PARKED_MAX]);
	return true;
}

/* _PyStackChunk: a piece of a stack of Python frames, with what is above `top` in
 * all but the last one left over from frames that have returned. */
struct py_piece {
	uint64_t previous, size, top;
};

static const struct py_piece *py_piece_at(const struct look *look, uint64_t address)
{
	const struct py_piece *piece = (const struct py_piece *)(uintptr_t)address;

	if (address == 0 || address % PIECE_ALIGNED != 0 ||
	    !maps_readable(look->maps, address, address + sizeof(*piece)) || piece->size > PIECE_MAX ||
	    piece->size < sizeof(*piece) || piece->size % 8 != 0 ||
	    !maps_readable(look->maps, address, address + piece->size))
		return NULL;
	return piece;
}

static void look_at_earlier_pieces(struct look *look, uint64_t address)
{
	const struct py_piece *piece = py_piece_at(look, address);

	for (unsigned i = 0; piece != NULL && i < PIECES_MAX; i++) {
		if (piece->top > (piece->size - sizeof(*piece)) / 8)
			return;
		borrow_words(look, address + sizeof(*piece) + 8 * piece->top, address + piece->size);
		address = piece->previous;
		piece = py_piece_at(look, address);
	}
}

/* A thread's state has the last piece, the stack's top and its limit one after the other. */
static bool look_at_frames(struct look *look, const uint64_t *words)
{
	const uint64_t top = words[1], limit = words[2];
	const struct py_piece *piece = py_piece_at(look, words[0]);

	if (piece == NULL || top < words[0] + sizeof(*piece) || top > limit || top % 8 != 0 ||
	    limit - words[0] != piece->size)
		return false;
	borrow_words(look, top, limit);
	look_at_earlier_pieces(look, piece->previous);
	return true;
}

static void look_at_thread(struct look *look, const char *state)
{
	for (uint32_t at = 0; at < THREAD_WITHIN; at += 8) {
		const uint64_t *words = (const uint64_t *)(const void *)(state + at);
		const uint64_t start = (uint64_t)(uintptr_t)words;

		if (!maps_readable(look->maps, start, start + 3 * sizeof(*words)) ||
		    look_at_frames(look, words))
			return;
	}
}

/* The calls only load, of what was checked to be there. */
static void look_at_threads(struct look *look)
{
	void *interpreter = g_py.PyInterpreterState_Main();
	char *state;

	if (interpreter == NULL || g_py.PyInterpreterState_ThreadHead == NULL ||
	    g_py.PyThreadState_Next == NULL)
		return;
	state = g_py.PyInterpreterState_ThreadHead(interpreter);
	for (unsigned i = 0; state != NULL && i < THREADS_MAX; i++) {
		const uint64_t start = (uint64_t)(uintptr_t)state;

		if (start % 8 != 0 || !maps_readable(look->maps, start, start + THREAD_LINKS))
			return;
		look_at_thread(look, state);
		state = g_py.PyThreadState_Next(state);
	}
}

static void look_at_interpreter(struct look *look)
{
	const struct py_gc *gc = cpython_gc_find();
	uint64_t start, end;

	look_at_threads(look);
	if (gc == NULL)
		return;
	start = (uint64_t)(uintptr_t)(gc + 1);
	end = start + PARKED_WITHIN;
	borrow_words(look, (uint64_t)(uintptr_t)gc, (uint64_t)(uintptr_t)gc->stats);
	if (!maps_readable(look->maps, start, end + 3 * (PARKED_MAX + 1) * sizeof(uint64_t)))
		return;
	for (uint64_t at = (start + 7) & ~UINT64_C(7); at < end; at += 8) {
		if (look_at_parked(look, (const uint64_t *)(uintptr_t)at))
			return;
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
	look_at_interpreter(look);
	for (uint32_t i = 0; i < look->index->count; i++) {
		const struct scan_block *block = &look->index->blocks[i];
		const uint64_t start = block->address & ~(uint64_t)(POOL_SIZE - 1);

		if (block->runtime != CASTAWAY_RUNTIME_CPYTHON)
			continue;
		look_at_object(look, block);
		look_at_waiting(look, block);
		if (start >= done) {
			uint64_t end = look_at_arena(look, start);

			done = end > start ? end : start + POOL_SIZE;
		}
	}
	return payload_end(&look->payload);
}
