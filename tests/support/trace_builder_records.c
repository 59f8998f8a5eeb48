/* SPDX-License-Identifier: Apache-2.0
 *
 * Traces made by hand: events and snapshots.  Runs in tests only.
 */
#include "trace_builder_internal.h"

/* ---- events ---------------------------------------------------------------- */

static struct lane *lane_of(struct builder *b, uint32_t thread)
{
	for (size_t i = 0; i < b->lane_count; i++)
		if (b->lanes[i].thread == thread)
			return &b->lanes[i];
	b->lanes = grown(b->lanes, b->lane_count + 1, sizeof(*b->lanes));
	b->lanes[b->lane_count] = (struct lane){.thread = thread};
	return &b->lanes[b->lane_count++];
}

static void write_lane(struct builder *b, struct lane *lane)
{
	struct bytes payload = {0};

	if (lane->count == 0)
		return;
	put_u64(&payload, lane->serial);
	put_varint(&payload, lane->offset);
	put_u64(&payload, lane->base_ticks);
	put_varint(&payload, lane->count);
	for (unsigned i = 0; i < CASTAWAY_COLUMN_COUNT; i++)
		put_varint(&payload, lane->columns[i].size);
	for (unsigned i = 0; i < CASTAWAY_COLUMN_COUNT; i++) {
		put(&payload, lane->columns[i].data, lane->columns[i].size);
		lane->columns[i].size = 0;
	}
	builder_chunk(b, CASTAWAY_CHUNK_EVENTS, lane->thread, payload.data, payload.size);
	lane->offset += lane->count;
	lane->count = 0;
	free(payload.data);
}

void builder_part(struct builder *b, uint32_t thread)
{
	builder_write_tables(b);
	write_lane(b, lane_of(b, thread));
}

void builder_next_buffer(struct builder *b, uint32_t thread)
{
	struct lane *lane = lane_of(b, thread);

	builder_part(b, thread);
	lane->open = false;
}

static void put_field(struct lane *lane, char kind, uint64_t value)
{
	struct bytes *column = &lane->columns[castaway_column_of(kind)];

	switch (kind) {
	case 'b':
		put_svarint(column, (uint64_t)((int64_t)(value - lane->block) / 8));
		lane->block = value;
		break;
	case 'o':
		put_svarint(column, value - lane->object);
		lane->object = value;
		break;
	case 's':
		put_svarint(column, value - lane->stack);
		lane->stack = value;
		break;
	case 'i':
		put_svarint(column, value);
		break;
	default:
		put_varint(column, value);
	}
}

static void open_buffer(struct lane *lane, uint64_t ticks)
{
	lane->open = true;
	lane->serial++;
	lane->base_ticks = lane->ticks = ticks;
	lane->offset = 0;
	lane->block = lane->object = lane->stack = 0;
}

void builder_event_fields(struct builder *b, uint32_t thread, uint64_t ticks, enum castaway_event opcode,
			  const uint64_t *fields)
{
	static const char *const signatures[] = {
#define X(name, number, signature, names) [number] = signature,
		CASTAWAY_EVENTS(X)
#undef X
	};
	struct lane *lane = lane_of(b, thread);
	const char *signature = signatures[opcode];
	bool timed;

	if (lane->offset + lane->count >= BUFFER_EVENTS)
		builder_next_buffer(b, thread);
	if (!lane->open)
		open_buffer(lane, ticks);
	/* Time goes backwards only from one buffer to the next. */
	if (ticks < lane->ticks)
		abort();
	timed = ticks != lane->ticks;
	put_u8(&lane->columns[CASTAWAY_COLUMN_OPCODE],
	       (uint8_t)(opcode | (timed ? CASTAWAY_EVENT_TIMED : 0)));
	if (timed)
		put_varint(&lane->columns[CASTAWAY_COLUMN_TIME],
			   (ticks - lane->ticks) >> b->header.clock_shift);
	lane->ticks = ticks;
	lane->count++;
	for (size_t i = 0; signature[i]; i++)
		put_field(lane, signature[i], fields[i]);
	b->events++;
}

void builder_flush(struct builder *b)
{
	builder_write_tables(b);
	for (size_t i = 0; i < b->lane_count; i++)
		write_lane(b, &b->lanes[i]);
}

/* ---- snapshots ------------------------------------------------------------- */

uint32_t builder_snapshot(struct builder *b, enum castaway_snapshot_reason reason, uint64_t ticks,
			  const char *name)
{
	struct bytes payload = {0};

	builder_flush(b);
	put_varint(&payload, b->section_count);
	put_varint(&payload, reason);
	put_varint(&payload, CASTAWAY_METHOD_INPLACE);
	put_u64(&payload, ticks);
	put_varint(&payload, 1000);
	put_string(&payload, name);
	builder_write_pending(b, CASTAWAY_CHUNK_SNAPSHOT, &payload);
	free(payload.data);
	b->sections = grown(b->sections, b->section_count + 1, sizeof(*b->sections));
	b->sections[b->section_count] = (struct section){0};
	return b->section_count++;
}

/* Makes `pending` ready for the next record of the snapshot. */
static void begin_record(struct builder *b, uint32_t snapshot, uint16_t type, struct bytes *pending,
			 uint64_t *last)
{
	if (pending->size > BUFFER_SIZE) {
		builder_write_tables(b);
		builder_write_pending(b, type, pending);
	}
	if (pending->size == 0) {
		put_varint(pending, snapshot);
		*last = 0;
	}
}

void builder_block(struct builder *b, uint32_t snapshot, const struct snapshot_block_record *block)
{
	struct section *section = &b->sections[snapshot];
	struct bytes *out = &section->blocks;

	begin_record(b, snapshot, CASTAWAY_CHUNK_BLOCKS, out, &section->last_block);
	put_svarint(out, block->address - section->last_block);
	put_varint(out, block->size);
	put_varint(out, block->stack);
	put_varint(out, block->birth_pass);
	put_varint(out, block->runtime);
	put_varint(out, block->thread);
	put_u64(out, block->birth_ticks);
	section->last_block = block->address;
	section->block_count++;
}

static void put_edge(struct bytes *out, const struct snapshot_edge_record *edge, uint64_t *last)
{
	unsigned flags = edge->flags & (CASTAWAY_EDGE_STRENGTH | CASTAWAY_EDGE_SCANNED | CASTAWAY_EDGE_HELD);

	flags |= edge->field ? CASTAWAY_EDGE_FIELD : 0;
	flags |= edge->offset >= 0 ? CASTAWAY_EDGE_OFFSET : 0;
	flags |= edge->stack ? CASTAWAY_EDGE_STACK : 0;
	put_svarint(out, edge->target - *last);
	put_u8(out, (uint8_t)flags);
	if (flags & CASTAWAY_EDGE_FIELD)
		put_varint(out, edge->field);
	if (flags & CASTAWAY_EDGE_OFFSET)
		put_varint(out, (uint64_t)edge->offset);
	if (flags & CASTAWAY_EDGE_STACK)
		put_varint(out, edge->stack);
	*last = edge->target;
}

void builder_object(struct builder *b, uint32_t snapshot, const struct snapshot_object_record *object,
		    const struct snapshot_edge_record *edges)
{
	struct section *section = &b->sections[snapshot];
	struct bytes *out = &section->objects;
	uint64_t target = object->address;

	begin_record(b, snapshot, CASTAWAY_CHUNK_OBJECTS, out, &section->last_object);
	put_svarint(out, object->address - section->last_object);
	put_varint(out, object->runtime);
	put_varint(out, object->size);
	put_varint(out, object->block_offset);
	put_varint(out, object->type);
	put_svarint(out, (uint64_t)object->refcount);
	put_varint(out, object->generation);
	put_varint(out, object->flags);
	put_varint(out, object->birth_pass);
	put_varint(out, object->stack);
	put_varint(out, object->edge_count);
	for (uint32_t i = 0; i < object->edge_count; i++)
		put_edge(out, &edges[i], &target);
	section->last_object = object->address;
	section->object_count++;
	section->edge_count += object->edge_count;
}

static uint16_t pointer_chunk(const struct section *section)
{
	return section->fine ? CASTAWAY_CHUNK_SCAN_EDGES_FINE : CASTAWAY_CHUNK_SCAN_EDGES;
}

void builder_fine(struct builder *b, uint32_t snapshot)
{
	b->sections[snapshot].fine = true;
}

void builder_pointers(struct builder *b, uint32_t snapshot, uint32_t from,
		      const struct snapshot_pointer_record *pointers, uint32_t count)
{
	struct section *section = &b->sections[snapshot];
	struct bytes *out = &section->pointers;
	uint64_t offset = 0;

	begin_record(b, snapshot, pointer_chunk(section), out, &section->last_from);
	put_svarint(out, from - section->last_from);
	put_varint(out, count);
	for (uint32_t i = 0; i < count; i++) {
		put_varint(out, (pointers[i].offset - offset) / (section->fine ? 1 : 8));
		put_svarint(out, (uint64_t)pointers[i].to - from);
		put_varint(out, pointers[i].interior);
		offset = pointers[i].offset;
	}
	section->last_from = from;
	section->pointer_count += count;
}

void builder_root(struct builder *b, uint32_t snapshot, const struct snapshot_root_record *root)
{
	struct section *section = &b->sections[snapshot];
	struct bytes *out = &section->roots;
	bool fresh = out->size == 0 || out->size > BUFFER_SIZE;

	begin_record(b, snapshot, CASTAWAY_CHUNK_ROOTS, out, &section->last_root);
	if (fresh)
		section->last_to = 0;
	put_u8(out, root->kind);
	put_varint(out, root->where);
	put_svarint(out, root->address - section->last_root);
	put_svarint(out, root->to - section->last_to);
	put_varint(out, root->interior);
	section->last_root = root->address;
	section->last_to = root->to;
	section->root_count++;
}

void builder_runtime(struct builder *b, uint32_t snapshot, const struct snapshot_runtime_record *runtime)
{
	struct bytes payload = {0};

	builder_write_tables(b);
	put_varint(&payload, snapshot);
	put_varint(&payload, runtime->runtime);
	put_string(&payload, runtime->version);
	put_varint(&payload, runtime->status);
	put_string(&payload, runtime->note);
	put_varint(&payload, runtime->enabled);
	put_varint(&payload, runtime->generation_count);
	for (uint32_t i = 0; i < runtime->generation_count; i++) {
		const struct snapshot_generation_record *g = &runtime->generations[i];

		put_varint(&payload, g->count);
		put_varint(&payload, g->threshold);
		put_varint(&payload, g->collections);
		put_varint(&payload, g->collected);
		put_varint(&payload, g->uncollectable);
	}
	put_varint(&payload, runtime->frozen);
	builder_write_pending(b, CASTAWAY_CHUNK_RUNTIME, &payload);
	free(payload.data);
}

void builder_type(struct builder *b, uint32_t snapshot, const struct snapshot_type_record *type)
{
	struct bytes payload = {0};

	builder_write_tables(b);
	put_varint(&payload, snapshot);
	put_varint(&payload, type->type);
	put_varint(&payload, type->traits);
	put_varint(&payload, type->base);
	builder_write_pending(b, CASTAWAY_CHUNK_TYPES, &payload);
	free(payload.data);
}

void builder_name(struct builder *b, uint32_t snapshot, uint64_t address, uint32_t name)
{
	struct bytes payload = {0};

	builder_write_tables(b);
	put_varint(&payload, snapshot);
	put_svarint(&payload, address);
	put_varint(&payload, name);
	builder_write_pending(b, CASTAWAY_CHUNK_NAMES, &payload);
	free(payload.data);
}

void builder_snapshot_end(struct builder *b, uint32_t snapshot, uint64_t ticks)
{
	struct section *section = &b->sections[snapshot];
	struct bytes payload = {0};

	builder_write_tables(b);
	builder_write_pending(b, CASTAWAY_CHUNK_BLOCKS, &section->blocks);
	builder_write_pending(b, CASTAWAY_CHUNK_OBJECTS, &section->objects);
	builder_write_pending(b, pointer_chunk(section), &section->pointers);
	builder_write_pending(b, CASTAWAY_CHUNK_ROOTS, &section->roots);
	put_varint(&payload, snapshot);
	put_varint(&payload, section->block_count);
	put_varint(&payload, section->object_count);
	put_varint(&payload, section->edge_count);
	put_u64(&payload, ticks);
	put_varint(&payload, section->pointer_count);
	put_varint(&payload, section->root_count);
	put_varint(&payload, 0); /* bytes not scanned */
	builder_write_pending(b, CASTAWAY_CHUNK_SNAPSHOT_END, &payload);
	free(payload.data);
}
