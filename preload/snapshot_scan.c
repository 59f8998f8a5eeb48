/* SPDX-License-Identifier: Apache-2.0
 *
 * The contents of a heap snapshot, encoded.  Runs in the snapshot child: what
 * it writes are addresses, sizes and offsets, never what the memory holds.
 */
#include "snapshot_scan.h"

#include <string.h>

#include "adapters/adapter.h"
#include "arena.h"
#include "castaway/codec.h"
#include "config.h"
#include "object.h"
#include "request.h"
#include "roots.h"
#include "scan.h"
#include "shadow.h"
#include "snapshot_payload.h"

#define BLOCK_BYTES (6 * CODEC_VARINT_MAX + 8)
#define HIT_BYTES   (3 * CODEC_VARINT_MAX)
#define ROOT_BYTES  (1 + 4 * CODEC_VARINT_MAX)
#define HITS_MAX    1024u /* of one block, then another entry begins */

struct blocks {
	struct scan_index index;
	struct payload payload;
	uint32_t expected;
	bool odd; /* some are at no multiple of 16 */
};

static bool count_block(const struct shadow_block *block, void *arg)
{
	struct blocks *blocks = arg;

	blocks->odd |= (block->address & 8) != 0;
	return ++blocks->expected != SCAN_NONE - 1;
}

/* What the index does not take (it overlaps another: one of them is stale) gets
 * no number either. */
static bool put_block(const struct shadow_block *block, void *arg)
{
	struct blocks *blocks = arg;
	struct payload *payload = &blocks->payload;
	uint8_t *out;

	if (!payload_room(payload, BLOCK_BYTES))
		return false;
	if (!scan_index_add(&blocks->index, block->address, block->size, block->runtime))
		return !blocks->index.failed;
	out = codec_put_svarint(payload->at, (int64_t)(block->address - payload->last_address));
	payload->last_address = block->address;
	out = codec_put_varint(out, block->size);
	out = codec_put_varint(out, block->stack);
	out = codec_put_varint(out, block->birth_pass);
	out = codec_put_varint(out, block->runtime);
	out = codec_put_varint(out, 0); /* thread and time of birth: the events tell */
	payload->at = codec_put_u64(out, 0);
	return true;
}

static bool put_blocks(struct blocks *blocks, uint32_t snapshot)
{
	shadow_for_each(count_block, blocks);
	if (!scan_index_begin(&blocks->index, blocks->expected, blocks->odd) ||
	    !payload_begin(&blocks->payload, snapshot, CASTAWAY_CHUNK_BLOCKS))
		return false;
	scan_index_options(&blocks->index, g_config.scan_alignment, g_config.scan_tag_bits);
	shadow_for_each(put_block, blocks);
	return payload_end(&blocks->payload) && !blocks->index.failed;
}

struct edges {
	struct payload payload;
	struct scan_hit hits[HITS_MAX]; /* of one block */
	uint32_t count;
	uint64_t unit; /* of offsets, in bytes */
	uint64_t total;
};

static void put_entry(struct edges *edges)
{
	struct payload *payload = &edges->payload;
	uint64_t offset = 0;
	uint8_t *out;

	if (edges->count == 0 || !payload_room(payload, (edges->count + 1) * HIT_BYTES))
		return;
	out = codec_put_svarint(payload->at, (int64_t)(edges->hits[0].from - payload->last_from));
	payload->last_from = edges->hits[0].from;
	out = codec_put_varint(out, edges->count);
	for (uint32_t i = 0; i < edges->count; i++) {
		const struct scan_hit *hit = &edges->hits[i];

		out = codec_put_varint(out, (hit->offset - offset) / edges->unit);
		offset = hit->offset;
		out = codec_put_svarint(out, (int64_t)hit->to - (int64_t)hit->from);
		out = codec_put_varint(out, hit->interior);
	}
	payload->at = out;
	edges->total += edges->count;
	edges->count = 0;
}

static void take_edges(void *arg, const struct scan_hit *hits, size_t count)
{
	struct edges *edges = arg;

	for (size_t i = 0; i < count; i++) {
		if (edges->count == HITS_MAX || (edges->count && edges->hits[0].from != hits[i].from))
			put_entry(edges);
		edges->hits[edges->count++] = hits[i];
	}
}

/* Blocks of which a part is no longer readable are left out, one by one; the
 * others go through in long runs. */
static bool put_edges(struct edges *edges, const struct scan_index *index, const struct maps *maps,
		      uint32_t snapshot, uint64_t *unread)
{
	const bool coarse = index->step == 8;
	const struct maps_entry *entry = NULL;
	uint32_t first = 0;

	edges->unit = coarse ? 8 : 1;
	if (!payload_begin(&edges->payload, snapshot,
			   coarse ? CASTAWAY_CHUNK_SCAN_EDGES : CASTAWAY_CHUNK_SCAN_EDGES_FINE))
		return false;
	for (uint32_t i = 0; i < index->count; i++) {
		const struct scan_block *block = &index->blocks[i];
		uint64_t end = block->address + block->size;

		if (entry != NULL && entry->readable && block->address >= entry->start && end <= entry->end)
			continue;
		entry = maps_find(maps, block->address);
		if (maps_readable(maps, block->address, end))
			continue;
		scan_blocks(index, first, i, take_edges, edges);
		first = i + 1;
		*unread += block->size;
	}
	scan_blocks(index, first, index->count, take_edges, edges);
	put_entry(edges);
	return payload_end(&edges->payload);
}

struct roots {
	struct payload payload;
	uint64_t total;
};

static void take_root(void *arg, const struct root_hit *hit)
{
	struct roots *roots = arg;
	struct payload *payload = &roots->payload;
	uint8_t *out;

	if (!payload_room(payload, ROOT_BYTES))
		return;
	out = payload->at;
	*out++ = (uint8_t)hit->kind;
	out = codec_put_varint(out, hit->where);
	out = codec_put_svarint(out, (int64_t)(hit->address - payload->last_address));
	payload->last_address = hit->address;
	out = codec_put_svarint(out, (int64_t)(hit->to - payload->last_to));
	payload->last_to = hit->to;
	payload->at = codec_put_varint(out, hit->interior);
	roots->total++;
}

static bool put_roots(struct roots *roots, const struct scan_index *index, const struct maps *maps,
		      const struct stopped_thread *threads, size_t count, uint32_t snapshot, uint64_t *unread)
{
	uint64_t missed;

	if (!payload_begin(&roots->payload, snapshot, CASTAWAY_CHUNK_ROOTS))
		return false;
	missed = roots_scan(index, maps, threads, count, take_root, roots);
	if (!payload_end(&roots->payload) || missed == UINT64_MAX)
		return false;
	*unread += missed;
	return true;
}

void snapshot_view_limit(struct snapshot_view *view, enum castaway_limit limit, uint64_t count,
			 const char *detail)
{
	struct snapshot_scan_totals *totals = view->totals;

	if (count > 0 && totals->limits < SNAPSHOT_LIMITS_MAX)
		totals->limit[totals->limits++] = (struct snapshot_limit){limit, count, detail};
}

static bool describe(struct snapshot_view *view, const struct request *request)
{
	view->snapshot = request->index;
	view->reason = request->reason;
	view->requester_tls = request->requester.tls;
	view->stands = request->stands;
	return adapter_describe(view);
}

static bool scan_heap(const struct request *request, struct snapshot_view *view)
{
	struct blocks *blocks = arena_map(sizeof(*blocks));
	struct edges *edges = arena_map(sizeof(*edges));
	struct roots *roots = arena_map(sizeof(*roots));
	struct snapshot_scan_totals *totals = view->totals;
	struct maps maps;

	if (blocks == NULL || edges == NULL || roots == NULL || !put_blocks(blocks, request->index))
		return false;
	/* After the index took its memory: all of it is known to be castaway's. */
	if (!maps_read(&maps))
		return false;
	view->index = &blocks->index;
	view->maps = &maps;
	/* Adapters last: where they call a runtime's own functions (tp_traverse), these
	 * may change the copy (PyGObject's allocate data of an object that has none). */
	if (!put_edges(edges, &blocks->index, &maps, request->index, &totals->unscanned_bytes) ||
	    !put_roots(roots, &blocks->index, &maps, view->threads, view->thread_count, request->index,
		       &totals->unscanned_bytes) ||
	    !describe(view, request))
		return false;
	totals->blocks = blocks->index.count;
	totals->edges = edges->total;
	totals->roots = roots->total;
	return true;
}

/* What no event tells; of a heap that is not scanned the blocks, too. */
static bool put_state(const struct request *request, struct snapshot_scan_totals *totals)
{
	struct snapshot snapshot = {.index = request->index, .section = {.direct = true}};

	if (!request->scan)
		snapshot_blocks(&snapshot);
	object_write_snapshot(&snapshot);
	section_end(&snapshot.section);
	totals->blocks += snapshot.blocks;
	totals->objects += snapshot.objects;
	totals->exact_edges += snapshot.edges;
	return !snapshot.failed;
}

bool snapshot_scan(const struct request *request, const struct stopped_thread *threads, size_t count,
		   struct snapshot_scan_totals *totals)
{
	struct snapshot_view view = {.threads = threads, .thread_count = count, .totals = totals};

	memset(totals, 0, sizeof(*totals));
	if (!(request->scan ? scan_heap(request, &view) : describe(&view, request)))
		return false;
	return (!g_config.events_live && request->reason != CASTAWAY_REASON_ROTATE) ||
	       put_state(request, totals);
}
