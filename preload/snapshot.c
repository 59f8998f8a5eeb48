/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshot sections.  Runs in a thread of the target with the guard held; what
 * it takes from the target are numbers, addresses and type names, never the
 * contents of its memory.
 */
#include "snapshot.h"

#include <string.h>
#include <time.h>

#include "castaway/codec.h"
#include "clock.h"
#include "config.h"
#include "emit.h"
#include "object.h"
#include "process.h"
#include "rawio.h"
#include "request.h"
#include "shadow.h"

#define BLOCK_BYTES (6 * CODEC_VARINT_MAX + 8)
#define TEXT_MAX    SNAPSHOT_TEXT_MAX

static uint32_t s_next_index;
static bool s_exit_taken;

void snapshot_begin(struct snapshot *snapshot, enum castaway_snapshot_reason reason,
		    enum castaway_snapshot_method method, const char *name)
{
	memset(snapshot, 0, sizeof(*snapshot));
	snapshot->index = snapshot_next_index();
	snapshot->reason = reason;
	snapshot->method = method;
	snapshot->name = name;
	snapshot->ticks = clock_moment();
	snapshot->start_ns = rawio_clock(CLOCK_MONOTONIC);
	if (reason == CASTAWAY_REASON_EXIT)
		s_exit_taken = true;
}

/* Room for an entry in a section of this type that belongs to the snapshot;
 * NULL: the snapshot has failed. */
static uint8_t *entry(struct snapshot *snapshot, enum castaway_chunk_type type, size_t size)
{
	uint8_t *out;

	if (snapshot->failed)
		return NULL;
	if (snapshot->section.buffer != NULL &&
	    (snapshot->section.type != type || section_size(&snapshot->section) + size > WRITER_BUFFER_SIZE))
		section_end(&snapshot->section);
	if (snapshot->section.buffer == NULL) {
		section_begin(&snapshot->section, type);
		out = section_reserve(&snapshot->section, CODEC_VARINT_MAX);
		if (out != NULL)
			section_commit(&snapshot->section, codec_put_varint(out, snapshot->index));
		snapshot->last_address = 0;
	}
	out = section_reserve(&snapshot->section, size);
	snapshot->failed = out == NULL;
	return out;
}

static void close_section(struct snapshot *snapshot)
{
	if (snapshot->section.buffer != NULL)
		section_end(&snapshot->section);
}

static uint8_t *put_address(uint8_t *out, uint64_t address, uint64_t *last)
{
	out = codec_put_svarint(out, (int64_t)(address - *last));
	*last = address;
	return out;
}

static uint8_t *put_text(uint8_t *out, const char *text)
{
	size_t length = text != NULL ? strnlen(text, TEXT_MAX) : 0;

	out = codec_put_varint(out, length);
	memcpy(out, text, length);
	return out + length;
}

static uint8_t *put_edge(uint8_t *out, const struct snapshot_edge *edge, uint64_t *last_target)
{
	unsigned flags =
		edge->strength | (edge->scanned ? CASTAWAY_EDGE_SCANNED : 0) |
		(edge->held ? CASTAWAY_EDGE_HELD : 0) | (edge->field != 0 ? CASTAWAY_EDGE_FIELD : 0) |
		(edge->offset >= 0 ? CASTAWAY_EDGE_OFFSET : 0) | (edge->stack != 0 ? CASTAWAY_EDGE_STACK : 0);

	out = codec_put_svarint(out, (int64_t)(edge->target - *last_target));
	*last_target = edge->target;
	*out++ = (uint8_t)flags;
	if (edge->field != 0)
		out = codec_put_varint(out, edge->field);
	if (edge->offset >= 0)
		out = codec_put_varint(out, (uint64_t)edge->offset);
	return edge->stack != 0 ? codec_put_varint(out, edge->stack) : out;
}

uint8_t *snapshot_put_object(uint8_t *out, const struct snapshot_object *object,
			     const struct snapshot_edge *edges, size_t count, uint64_t *last_address)
{
	uint64_t last_target = object->address;

	out = put_address(out, object->address, last_address);
	out = codec_put_varint(out, object->runtime);
	out = codec_put_varint(out, object->size);
	out = codec_put_varint(out, object->block_offset);
	out = codec_put_varint(out, object->type);
	out = codec_put_svarint(out, object->refcount);
	out = codec_put_varint(out, object->generation);
	out = codec_put_varint(out, object->flags);
	out = codec_put_varint(out, object->birth_pass);
	out = codec_put_varint(out, object->stack);
	out = codec_put_varint(out, count);
	for (size_t i = 0; i < count; i++)
		out = put_edge(out, &edges[i], &last_target);
	return out;
}

void snapshot_object(struct snapshot *snapshot, const struct snapshot_object *object,
		     const struct snapshot_edge *edges, size_t count)
{
	uint8_t *out = entry(snapshot, CASTAWAY_CHUNK_OBJECTS, SNAPSHOT_OBJECT_BYTES(count));

	if (out == NULL)
		return;
	section_commit(&snapshot->section,
		       snapshot_put_object(out, object, edges, count, &snapshot->last_address));
	snapshot->objects++;
	snapshot->edges += count;
}

static bool put_block(const struct shadow_block *block, void *arg)
{
	struct snapshot *snapshot = arg;
	uint8_t *out;

	/* Blocks whose end no event will tell would live for ever. */
	if (block->runtime == CASTAWAY_RUNTIME_CPYTHON && !g_config.python_events)
		return true;
	out = entry(snapshot, CASTAWAY_CHUNK_BLOCKS, BLOCK_BYTES);
	if (out == NULL)
		return false;
	out = put_address(out, block->address, &snapshot->last_address);
	out = codec_put_varint(out, block->size);
	out = codec_put_varint(out, block->stack);
	out = codec_put_varint(out, block->birth_pass);
	out = codec_put_varint(out, block->runtime);
	out = codec_put_varint(out, 0); /* its thread lived in the parent */
	section_commit(&snapshot->section, codec_put_u64(out, 0));
	snapshot->blocks++;
	return true;
}

void snapshot_blocks(struct snapshot *snapshot)
{
	shadow_for_each(put_block, snapshot);
}

uint8_t *snapshot_put_runtime(uint8_t *out, const struct snapshot_runtime *runtime)
{
	out = codec_put_varint(out, runtime->runtime);
	out = put_text(out, runtime->version);
	out = codec_put_varint(out, runtime->status);
	out = put_text(out, runtime->note);
	out = codec_put_varint(out, runtime->enabled);
	out = codec_put_varint(out, runtime->count);
	for (size_t i = 0; i < runtime->count; i++) {
		const struct snapshot_generation *generation = &runtime->generations[i];

		out = codec_put_varint(out, generation->count);
		out = codec_put_varint(out, generation->threshold);
		out = codec_put_varint(out, generation->collections);
		out = codec_put_varint(out, generation->collected);
		out = codec_put_varint(out, generation->uncollectable);
	}
	return codec_put_varint(out, runtime->frozen);
}

void snapshot_runtime(struct snapshot *snapshot, const struct snapshot_runtime *runtime)
{
	uint8_t *out;

	close_section(snapshot);
	out = entry(snapshot, CASTAWAY_CHUNK_RUNTIME, SNAPSHOT_RUNTIME_BYTES);
	if (out != NULL)
		section_commit(&snapshot->section, snapshot_put_runtime(out, runtime));
	close_section(snapshot);
}

uint8_t *snapshot_put_type(uint8_t *out, const struct snapshot_type *type)
{
	out = codec_put_varint(out, type->type);
	out = codec_put_varint(out, type->traits);
	return codec_put_varint(out, type->base);
}

uint8_t *snapshot_put_name(uint8_t *out, const struct snapshot_name *name, uint64_t *last_address)
{
	return codec_put_varint(put_address(out, name->address, last_address), name->name);
}

void snapshot_name(struct snapshot *snapshot, const struct snapshot_name *name)
{
	uint8_t *out = entry(snapshot, CASTAWAY_CHUNK_NAMES, SNAPSHOT_NAME_BYTES);

	if (out != NULL)
		section_commit(&snapshot->section, snapshot_put_name(out, name, &snapshot->last_address));
}

void snapshot_type(struct snapshot *snapshot, const struct snapshot_type *type)
{
	uint8_t *out = entry(snapshot, CASTAWAY_CHUNK_TYPES, SNAPSHOT_TYPE_BYTES);

	if (out != NULL)
		section_commit(&snapshot->section, snapshot_put_type(out, type));
}

uint8_t *snapshot_put_header(uint8_t *out, const struct snapshot_header *header)
{
	out = codec_put_varint(out, header->index);
	out = codec_put_varint(out, header->reason);
	out = codec_put_varint(out, header->method);
	out = codec_put_u64(out, header->ticks);
	out = codec_put_varint(out, header->pause_ns);
	return put_text(out, header->name);
}

uint8_t *snapshot_put_end(uint8_t *out, const struct snapshot_totals *totals)
{
	out = codec_put_varint(out, totals->index);
	out = codec_put_varint(out, totals->blocks);
	out = codec_put_varint(out, totals->objects);
	out = codec_put_varint(out, totals->edges);
	out = codec_put_u64(out, clock_ticks());
	out = codec_put_varint(out, totals->scan_edges);
	out = codec_put_varint(out, totals->roots);
	return codec_put_varint(out, totals->unscanned_bytes);
}

/* Last, because only now the pause is known; a reader needs no order. */
static void put_header(struct snapshot *snapshot)
{
	const struct snapshot_header header = {
		.index = snapshot->index,
		.reason = snapshot->reason,
		.method = snapshot->method,
		.ticks = snapshot->ticks,
		.pause_ns = rawio_clock(CLOCK_MONOTONIC) - snapshot->start_ns,
		.name = snapshot->name,
	};
	uint8_t *out;

	section_begin(&snapshot->section, CASTAWAY_CHUNK_SNAPSHOT);
	out = section_reserve(&snapshot->section, TEXT_MAX + 6 * CODEC_VARINT_MAX + 8);
	if (out != NULL)
		section_commit(&snapshot->section, snapshot_put_header(out, &header));
	section_end(&snapshot->section);
}

static void put_end(struct snapshot *snapshot)
{
	const struct snapshot_totals totals = {
		.index = snapshot->index,
		.blocks = snapshot->blocks,
		.objects = snapshot->objects,
		.edges = snapshot->edges,
	};
	uint8_t *out;

	section_begin(&snapshot->section, CASTAWAY_CHUNK_SNAPSHOT_END);
	out = section_reserve(&snapshot->section, 7 * CODEC_VARINT_MAX + 8);
	if (out != NULL)
		section_commit(&snapshot->section, snapshot_put_end(out, &totals));
	section_end(&snapshot->section);
}

/* What fork left needs no look at the memory, and has no helper yet; nor does a
 * runtime whose objects are written already, because nobody else could. */
static bool hand_over(const struct snapshot *snapshot)
{
	return g_config.scan && snapshot->objects == 0 && snapshot->reason != CASTAWAY_REASON_INHERIT &&
	       (snapshot->reason != CASTAWAY_REASON_EXIT || g_config.snapshot_at_exit) && !snapshot->failed &&
	       request_snapshot(snapshot->reason, snapshot->index, snapshot->name, snapshot->start_ns, true);
}

bool snapshot_hand_over(const struct snapshot *snapshot, bool scan)
{
	return request_snapshot(snapshot->reason, snapshot->index, snapshot->name, snapshot->start_ns, scan);
}

void snapshot_end(struct snapshot *snapshot)
{
	close_section(snapshot);
	if (hand_over(snapshot))
		return;
	/* What the scan would have written too. */
	if (g_config.events_live && snapshot->reason != CASTAWAY_REASON_INHERIT) {
		snapshot_blocks(snapshot);
		object_write_snapshot(snapshot);
		close_section(snapshot);
	}
	/* A header without an end: the reader says that it was not finished. */
	put_header(snapshot);
	if (!snapshot->failed)
		put_end(snapshot);
}

void snapshot_mark_exit(void)
{
	struct snapshot snapshot;

	if (__atomic_exchange_n(&s_exit_taken, true, __ATOMIC_ACQ_REL))
		return;
	snapshot_begin(&snapshot, CASTAWAY_REASON_EXIT, CASTAWAY_METHOD_EVENTS, "");
	snapshot_end(&snapshot);
}

bool snapshot_take(enum castaway_snapshot_reason reason, const char *name)
{
	if (!process_may_look()) {
		limits_count(CASTAWAY_LIMIT_NO_SNAPSHOT, 1, PROCESS_IS_ENDING);
		return false;
	}
	return g_config.scan && request_snapshot(reason, snapshot_next_index(), name, 0, true);
}

uint32_t snapshot_next_index(void)
{
	return __atomic_fetch_add(&s_next_index, 1, __ATOMIC_RELAXED);
}

void snapshot_after_fork(void)
{
	s_next_index = 0;
	s_exit_taken = false;
}
