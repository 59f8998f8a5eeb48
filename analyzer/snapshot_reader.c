/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the chunks of a snapshot, record by record.  Those of a scanned heap are
 * in snapshot_reader_heap.c.
 */
#include "snapshot_reader_internal.h"

#include <stdio.h>
#include <string.h>

static uint32_t get_id(struct snapshot_reading *r, uint32_t count)
{
	uint64_t id = codec_get_varint(&r->cursor);

	if (id < count)
		return (uint32_t)id;
	r->bad_id = true;
	return 0;
}

static uint32_t get_string_id(struct snapshot_reading *r)
{
	return get_id(r, r->trace->string_count);
}

uint32_t snapshot_reader_stack(struct snapshot_reading *r)
{
	return get_id(r, r->trace->frame_count);
}

static enum error_code read_chunk(struct snapshot_reading *r, struct trace_chunk *chunk,
				  snapshot_payload_reader reader, uint8_t **buffer, size_t *capacity)
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

enum error_code snapshot_reader_all(struct snapshot_reading *r, uint16_t type, snapshot_payload_reader reader)
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

enum error_code snapshot_reader_check(struct snapshot_reading *r, const char *what, uint64_t got,
				      uint64_t expected)
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

static struct snapshot_edge_record get_edge(struct snapshot_reading *r, uint64_t *target)
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
		edge.stack = snapshot_reader_stack(r);
	if (!edge.field)
		edge.flags &= (uint8_t)~CASTAWAY_EDGE_FIELD;
	if (edge.offset < 0)
		edge.flags &= (uint8_t)~CASTAWAY_EDGE_OFFSET;
	if (!edge.stack)
		edge.flags &= (uint8_t)~CASTAWAY_EDGE_STACK;
	return edge;
}

static struct snapshot_object_record get_object(struct snapshot_reading *r, uint64_t *address)
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
	object.stack = snapshot_reader_stack(r);
	object.edge_count = tables_number(c, UINT32_MAX);
	return object;
}

static enum error_code read_objects(struct snapshot_reading *r)
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
	struct snapshot_reading r = {.trace = trace, .snapshot = snapshot, .error = error, .arg = arg};
	enum error_code code;

	r.visit.object = visit;
	code = snapshot_reader_all(&r, CASTAWAY_CHUNK_OBJECTS, read_objects);
	if (code == ERROR_NONE)
		code = snapshot_reader_check(&r, "objects", r.records, snapshot->objects);
	if (code == ERROR_NONE)
		code = snapshot_reader_check(&r, "edges", r.edges_read, snapshot->edges);
	return code;
}

static enum error_code read_types(struct snapshot_reading *r)
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
	struct snapshot_reading r = {.trace = trace, .snapshot = snapshot, .error = error, .arg = arg};

	r.visit.type = visit;
	return snapshot_reader_all(&r, CASTAWAY_CHUNK_TYPES, read_types);
}

static enum error_code read_names(struct snapshot_reading *r)
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
	struct snapshot_reading r = {.trace = trace, .snapshot = snapshot, .error = error, .arg = arg};

	r.visit.name = visit;
	return snapshot_reader_all(&r, CASTAWAY_CHUNK_NAMES, read_names);
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

static enum error_code read_runtime(struct snapshot_reading *r)
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
	struct snapshot_reading r = {.trace = trace, .snapshot = snapshot, .error = error, .arg = arg};

	r.visit.runtime = visit;
	return snapshot_reader_all(&r, CASTAWAY_CHUNK_RUNTIME, read_runtime);
}
