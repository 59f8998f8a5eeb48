/* SPDX-License-Identifier: Apache-2.0
 *
 * The compression of chunks.  Runs where the trace is written; zstd gets a static
 * context in arena memory, and allocates nothing.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "arena.h"
#include "writer_internal.h"

#define LEVEL 1
/* Smaller payloads gain nothing. */
#define COMPRESS_MIN 128u
/* There are many events, and what their columns repeat is found as well without the
 * entropy coding, which is most of the work. */
#define EVENTS_LEVEL (-5)
/* Where events shrink by less than a fifth several times in a row, they are hardly
 * worth the time: so many chunks after them are written as they are. */
#define PROMISING_PART 5u
#define UNSHRUNK_MAX   4u
#define UNTRIED        15u

static struct {
	ZSTD_CCtx *context;
	/* Chunks of events: that shrank too little, in a row; that will be left as they are. */
	unsigned unshrunk, untried;
} s_compress;

bool writer_compress_init(void)
{
	const size_t size = ZSTD_estimateCCtxSize(LEVEL);
	void *memory = s_compress.context == NULL ? arena_map(size) : NULL;

	if (memory != NULL)
		s_compress.context = ZSTD_initStaticCCtx(memory, size);
	return s_compress.context != NULL;
}

size_t writer_compress_bound(size_t size)
{
	return ZSTD_compressBound(size);
}

static bool is_promising(enum castaway_chunk_type type)
{
	if (type != CASTAWAY_CHUNK_EVENTS || s_compress.untried == 0)
		return true;
	s_compress.untried--;
	return false;
}

static void judge_events(bool shrank)
{
	s_compress.unshrunk = shrank ? 0 : s_compress.unshrunk + 1;
	if (s_compress.unshrunk >= UNSHRUNK_MAX)
		s_compress.untried = UNTRIED;
}

size_t writer_compress(enum castaway_chunk_type type, uint8_t *packed, size_t room, const uint8_t *payload,
		       size_t size)
{
	const int level = type == CASTAWAY_CHUNK_EVENTS ? EVENTS_LEVEL : LEVEL;
	size_t stored;

	if (size < COMPRESS_MIN || !is_promising(type))
		return 0;
	(void)ZSTD_CCtx_setParameter(s_compress.context, ZSTD_c_compressionLevel, level);
	stored = ZSTD_compress2(s_compress.context, packed, room, payload, size);
	if (ZSTD_isError(stored) || stored >= size)
		stored = 0;
	if (type == CASTAWAY_CHUNK_EVENTS)
		judge_events(stored != 0 && size - stored >= size / PROMISING_PART);
	return stored;
}
