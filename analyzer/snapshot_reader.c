/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the chunks of a snapshot, record by record.
 */
#include "snapshot_reader.h"

#include <stdio.h>
#include <string.h>

#include "tables.h"

struct reading {
	struct trace *trace;
	const struct trace_snapshot *snapshot;
	struct codec_cursor cursor;
	struct error *error;
	bool cancelled;
	bool bad_id; /* in the chunk at hand */
	uint64_t records, edges_read;
	struct snapshot_edge_record *edges;
	size_t edge_capacity;
	struct snapshot_pointer_record *pointers;
	size_t pointer_capacity;
	uint32_t blocks; /* block numbers are below */
	uint32_t unit;   /* of pointers' offsets, in bytes */
	union {
		snapshot_object_fn object;
		snapshot_block_fn block;
		snapshot_pointers_fn pointers;
		snapshot_root_fn root;
		snapshot_runtime_fn runtime;
		snapshot_type_fn type;
		snapshot_name_fn name;
	} visit;
	void *arg;
};

/* Consumes the payload behind the snapshot's index. */
typedef enum error_code (*payload_reader)(struct reading *r);

static uint32_t get_id(struct reading *r, uint32_t count)
{
	uint64_t id = codec_get_varint(&r->cursor);

	if (id < count)
		return (uint32_t)id;
	r->bad_id = true;
	return 0;
}

static uint32_t get_string_id(struct reading *r)
{
	return get_id(r, r->trace->string_count);
}

static uint32_t get_stack(struct reading *r)
{
	return get_id(r, r->trace->frame_count);
}

static enum error_code read_chunk(struct reading *r, struct trace_chunk *chunk, payload_reader reader,
				  uint8_t **buffer, size_t *capacity)
{
	size_t size;
	enum error_code code = trace_read_chunk(r->trace, chunk, buffer, capacity, &size, r->error);
	uint64_t index;

	if (code == ERROR_DAMAGED)
		return trace_mark_damaged(r->trace, chunk);
	if (code != ERROR_NONE)
		return code;
	r->cursor = (struct codec_cursor){*buffer, *buffer + size, false};
	r->bad_id = false;
	index = codec_get_varint(&r->cursor);
	if (!r->cursor.failed && index != r->snapshot->index)
		return ERROR_NONE;
	if (!r->cursor.failed)
		code = reader(r);
	if (code == ERROR_NONE && (r->cursor.failed || r->bad_id))
		code = trace_mark_damaged(r->trace, chunk);
	return code;
}

static enum error_code read_all(struct reading *r, uint16_t type, payload_reader reader)
{
	struct trace *trace = r->trace;
	enum error_code code = ERROR_NONE;
	uint8_t *buffer = NULL;
	size_t capacity = 0;

	for (size_t i = 0; code == ERROR_NONE && !r->cancelled && i < trace->chunk_count; i++)
		if (trace->chunks[i].type == type)
			code = read_chunk(r, &trace->chunks[i], reader, &buffer, &capacity);
	free(buffer);
	free(r->edges);
	free(r->pointers);
	r->edges = NULL;
	r->pointers = NULL;
	r->edge_capacity = r->pointer_capacity = 0;
	if (code == ERROR_MEMORY)
		return no_memory(r->error);
	if (code == ERROR_NONE && r->cancelled)
		return error_set(r->error, ERROR_CANCELLED, "the reading of a snapshot was ended");
	return code;
}

/* Its chunks were lost, or its writer was cut short: what is left must not be
 * taken for the whole. */
static enum error_code check_total(struct reading *r, const char *what, uint64_t got, uint64_t expected)
{
	char detail[64];

	if (!r->snapshot->complete || got >= expected)
		return ERROR_NONE;
	snprintf(detail, sizeof(detail), "snapshot %u lacks %s", r->snapshot->index, what);
	if (trace_set_limit(r->trace, CASTAWAY_LIMIT_INCOMPLETE_SNAPSHOT, expected - got, detail) !=
	    ERROR_NONE)
		return no_memory(r->error);
	return ERROR_NONE;
}

static struct snapshot_edge_record get_edge(struct reading *r, uint64_t *target)
{
	struct snapshot_edge_record edge = {.offset = -1};

	*target += (uint64_t)codec_get_svarint(&r->cursor);
	edge.target = *target;
	edge.flags = codec_get_u8(&r->cursor);
	if (edge.flags & CASTAWAY_EDGE_FIELD)
		edge.field = get_string_id(r);
	if (edge.flags & CASTAWAY_EDGE_OFFSET) {
		uint64_t offset = codec_get_varint(&r->cursor);

		r->bad_id |= offset > INT64_MAX;
		edge.offset = offset > INT64_MAX ? -1 : (int64_t)offset;
	}
	if (edge.flags & CASTAWAY_EDGE_STACK)
		edge.stack = get_stack(r);
	if (!edge.field)
		edge.flags &= (uint8_t)~CASTAWAY_EDGE_FIELD;
	if (edge.offset < 0)
		edge.flags &= (uint8_t)~CASTAWAY_EDGE_OFFSET;
	if (!edge.stack)
		edge.flags &= (uint8_t)~CASTAWAY_EDGE_STACK;
	return edge;
}

static struct snapshot_object_record get_object(struct reading *r, uint64_t *address)
{
	struct codec_cursor *c = &r->cursor;
	struct snapshot_object_record object = {0};

	*address += (uint64_t)codec_get_svarint(c);
	object.address = *address;
	object.runtime = (uint8_t)tables_number(c, 256);
	object.size = codec_get_varint(c);
	object.block_offset = codec_get_varint(c);
	object.type = get_string_id(r);
	object.refcount = codec_get_svarint(c);
	object.generation = tables_number(c, 256);
	object.flags = tables_number(c, UINT32_MAX);
	object.birth_pass = tables_number(c, UINT32_MAX);
	object.stack = get_stack(r);
	object.edge_count = tables_number(c, UINT32_MAX);
	return object;
}

static enum error_code read_objects(struct reading *r)
{
	uint64_t address = 0;

	while (!r->cancelled && codec_left(&r->cursor) > 0) {
		struct snapshot_object_record object = get_object(r, &address);
		struct snapshot_edge_record *edges;
		uint64_t target = address;

		/* An edge has two bytes at least: no count can ask for more. */
		if (object.edge_count > codec_left(&r->cursor) / 2)
			r->cursor.failed = true;
		if (r->cursor.failed)
			break;
		edges = array_reserve(r->edges, &r->edge_capacity, (size_t)object.edge_count + 1,
				      sizeof(*edges));
		if (!edges)
			return no_memory(r->error);
		r->edges = edges;
		for (uint32_t i = 0; i < object.edge_count; i++)
			edges[i] = get_edge(r, &target);
		if (r->cursor.failed)
			break;
		r->records++;
		r->edges_read += object.edge_count;
		r->cancelled = !r->visit.object(r->arg, &object, edges);
	}
	return ERROR_NONE;
}

enum error_code snapshot_read_objects(struct trace *trace, const struct trace_snapshot *snapshot,
				      snapshot_object_fn visit, void *arg, struct error *error)
{
	struct reading r = {.trace = trace, .snapshot = snapshot, .error = error, .arg = arg};
	enum error_code code;

	r.visit.object = visit;
	code = read_all(&r, CASTAWAY_CHUNK_OBJECTS, read_objects);
	if (code == ERROR_NONE)
		code = check_total(&r, "objects", r.records, snapshot->objects);
	if (code == ERROR_NONE)
		code = check_total(&r, "edges", r.edges_read, snapshot->edges);
	return code;
}

static enum error_code read_blocks(struct reading *r)
{
	struct codec_cursor *c = &r->cursor;
	uint64_t address = 0;

	while (!r->cancelled && codec_left(c) > 0) {
		struct snapshot_block_record block = {0};

		address += (uint64_t)codec_get_svarint(c);
		block.address = address;
		block.size = codec_get_varint(c);
		block.stack = get_stack(r);
		block.birth_pass = tables_number(c, UINT32_MAX);
		block.runtime = (uint8_t)tables_number(c, 256);
		block.thread = tables_number(c, UINT32_MAX);
		block.birth_ticks = codec_get_u64(c);
		if (c->failed)
			break;
		r->records++;
		r->cancelled = !r->visit.block(r->arg, &block);
	}
	return ERROR_NONE;
}

enum error_code snapshot_read_blocks(struct trace *trace, const struct trace_snapshot *snapshot,
				     snapshot_block_fn visit, void *arg, struct error *error)
{
	struct reading r = {.trace = trace, .snapshot = snapshot, .error = error, .arg = arg};
	enum error_code code;

	r.visit.block = visit;
	code = read_all(&r, CASTAWAY_CHUNK_BLOCKS, read_blocks);
	return code == ERROR_NONE ? check_total(&r, "blocks", r.records, snapshot->blocks) : code;
}

static enum error_code read_types(struct reading *r)
{
	struct codec_cursor *c = &r->cursor;

	while (!r->cancelled && codec_left(c) > 0) {
		struct snapshot_type_record type = {.type = get_string_id(r)};

		type.traits = tables_number(c, UINT32_MAX);
		type.base = get_string_id(r);
		if (c->failed)
			break;
		r->records++;
		r->cancelled = !r->visit.type(r->arg, &type);
	}
	return ERROR_NONE;
}

enum error_code snapshot_read_types(struct trace *trace, const struct trace_snapshot *snapshot,
				    snapshot_type_fn visit, void *arg, struct error *error)
{
	struct reading r = {.trace = trace, .snapshot = snapshot, .error = error, .arg = arg};

	r.visit.type = visit;
	return read_all(&r, CASTAWAY_CHUNK_TYPES, read_types);
}

static enum error_code read_names(struct reading *r)
{
	struct snapshot_name_record name = {0};

	while (!r->cancelled && codec_left(&r->cursor) > 0) {
		name.address += (uint64_t)codec_get_svarint(&r->cursor);
		name.name = get_string_id(r);
		if (r->cursor.failed)
			break;
		r->records++;
		r->cancelled = !r->visit.name(r->arg, &name);
	}
	return ERROR_NONE;
}

enum error_code snapshot_read_names(struct trace *trace, const struct trace_snapshot *snapshot,
				    snapshot_name_fn visit, void *arg, struct error *error)
{
	struct reading r = {.trace = trace, .snapshot = snapshot, .error = error, .arg = arg};

	r.visit.name = visit;
	return read_all(&r, CASTAWAY_CHUNK_NAMES, read_names);
}

/* A number that is relative to `base`; false when there is no such block. */
static bool get_block(struct reading *r, uint64_t base, uint32_t *ret)
{
	uint64_t number = base + (uint64_t)codec_get_svarint(&r->cursor);

	if (number >= r->blocks) {
		r->bad_id = true;
		return false;
	}
	*ret = (uint32_t)number;
	return true;
}

/* The pointers of one entry, without those that lead nowhere; returns how many. */
static uint32_t get_pointers(struct reading *r, uint64_t from, uint32_t count)
{
	uint64_t offset = 0;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count && !r->cursor.failed; i++) {
		struct snapshot_pointer_record *pointer = &r->pointers[kept];

		offset += codec_get_varint(&r->cursor) * r->unit;
		pointer->offset = offset;
		kept += get_block(r, from, &pointer->to);
		pointer->interior = codec_get_varint(&r->cursor);
	}
	return kept;
}

static enum error_code read_pointers(struct reading *r)
{
	uint64_t from = 0;

	while (!r->cancelled && codec_left(&r->cursor) > 0) {
		struct snapshot_pointer_record *pointers;
		uint32_t count, kept;

		from += (uint64_t)codec_get_svarint(&r->cursor);
		count = tables_number(&r->cursor, UINT32_MAX);
		/* A pointer has three bytes at least: no count can ask for more. */
		if (count > codec_left(&r->cursor) / 3)
			r->cursor.failed = true;
		if (r->cursor.failed)
			break;
		pointers = array_reserve(r->pointers, &r->pointer_capacity, (size_t)count + 1,
					 sizeof(*pointers));
		if (!pointers)
			return no_memory(r->error);
		r->pointers = pointers;
		kept = get_pointers(r, from, count);
		if (r->cursor.failed)
			break;
		r->bad_id |= from >= r->blocks;
		if (from < r->blocks && kept)
			r->cancelled = !r->visit.pointers(r->arg, (uint32_t)from, pointers, kept);
	}
	return ERROR_NONE;
}

enum error_code snapshot_read_pointers(struct trace *trace, const struct trace_snapshot *snapshot,
				       uint32_t blocks, snapshot_pointers_fn visit, void *arg,
				       struct error *error)
{
	struct reading r = {
		.trace = trace, .snapshot = snapshot, .error = error, .arg = arg, .blocks = blocks};
	enum error_code code;

	r.visit.pointers = visit;
	r.unit = 8;
	code = read_all(&r, CASTAWAY_CHUNK_SCAN_EDGES, read_pointers);
	r.unit = 1;
	return code == ERROR_NONE ? read_all(&r, CASTAWAY_CHUNK_SCAN_EDGES_FINE, read_pointers) : code;
}

static enum error_code read_roots(struct reading *r)
{
	struct codec_cursor *c = &r->cursor;
	struct snapshot_root_record root = {0};
	uint64_t to = 0;

	while (!r->cancelled && codec_left(c) > 0) {
		bool known;

		root.kind = codec_get_u8(c);
		root.where = tables_number(c, UINT32_MAX);
		root.address += (uint64_t)codec_get_svarint(c);
		to += (uint64_t)codec_get_svarint(c);
		known = to < r->blocks;
		root.to = known ? (uint32_t)to : 0;
		root.interior = codec_get_varint(c);
		if (c->failed)
			break;
		r->bad_id |= !known;
		if (known)
			r->cancelled = !r->visit.root(r->arg, &root);
	}
	return ERROR_NONE;
}

enum error_code snapshot_read_roots(struct trace *trace, const struct trace_snapshot *snapshot,
				    uint32_t blocks, snapshot_root_fn visit, void *arg, struct error *error)
{
	struct reading r = {
		.trace = trace, .snapshot = snapshot, .error = error, .arg = arg, .blocks = blocks};

	r.visit.root = visit;
	return read_all(&r, CASTAWAY_CHUNK_ROOTS, read_roots);
}

static void get_generations(struct codec_cursor *c, struct snapshot_runtime_record *runtime)
{
	uint64_t count = codec_get_varint(c);

	if (count > SNAPSHOT_MAX_GENERATIONS)
		c->failed = true;
	for (uint64_t i = 0; !c->failed && i < count; i++) {
		struct snapshot_generation_record *g = &runtime->generations[i];

		g->count = codec_get_varint(c);
		g->threshold = codec_get_varint(c);
		g->collections = codec_get_varint(c);
		g->collected = codec_get_varint(c);
		g->uncollectable = codec_get_varint(c);
		runtime->generation_count++;
	}
	runtime->frozen = codec_get_varint(c);
}

static enum error_code read_runtime(struct reading *r)
{
	struct codec_cursor *c = &r->cursor;
	struct snapshot_runtime_record runtime = {0};
	char *version, *note = NULL;

	runtime.runtime = (uint8_t)tables_number(c, 256);
	version = tables_string(c);
	runtime.status = tables_number(c, CASTAWAY_STATUS_OFF + 1);
	if (version)
		note = tables_string(c);
	if (note) {
		runtime.enabled = codec_get_varint(c) != 0;
		get_generations(c, &runtime);
	}
	runtime.version = version;
	runtime.note = note;
	if (note && !c->failed) {
		r->records++;
		r->cancelled = !r->visit.runtime(r->arg, &runtime);
	}
	free(version);
	free(note);
	return (version && note) || c->failed ? ERROR_NONE : no_memory(r->error);
}

enum error_code snapshot_read_runtimes(struct trace *trace, const struct trace_snapshot *snapshot,
				       snapshot_runtime_fn visit, void *arg, struct error *error)
{
	struct reading r = {.trace = trace, .snapshot = snapshot, .error = error, .arg = arg};

	r.visit.runtime = visit;
	return read_all(&r, CASTAWAY_CHUNK_RUNTIME, read_runtime);
}
