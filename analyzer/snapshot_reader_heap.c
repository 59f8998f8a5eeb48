/* SPDX-License-Identifier: Apache-2.0
 *
 * The chunks of a scanned heap: its blocks, and the pointers and roots that were
 * found.
 */
#include "snapshot_reader_internal.h"

static enum error_code read_blocks(struct snapshot_reading *r)
{
	struct codec_cursor *c = &r->cursor;
	uint64_t address = 0;

	while (!r->cancelled && codec_left(c) > 0) {
		struct snapshot_block_record block = {0};

		address += (uint64_t)codec_get_svarint(c);
		block.address = address;
		block.size = codec_get_varint(c);
		block.stack = snapshot_reader_stack(r);
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
	struct snapshot_reading r = {.trace = trace, .snapshot = snapshot, .error = error, .arg = arg};
	enum error_code code;

	r.visit.block = visit;
	code = snapshot_reader_all(&r, CASTAWAY_CHUNK_BLOCKS, read_blocks);
	return code == ERROR_NONE ? snapshot_reader_check(&r, "blocks", r.records, snapshot->blocks) : code;
}

/* A number that is relative to `base`; false when there is no such block. */
static bool get_block(struct snapshot_reading *r, uint64_t base, uint32_t *ret)
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
static uint32_t get_pointers(struct snapshot_reading *r, uint64_t from, uint32_t count)
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

static enum error_code read_pointers(struct snapshot_reading *r)
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
	struct snapshot_reading r = {
		.trace = trace, .snapshot = snapshot, .error = error, .arg = arg, .blocks = blocks};
	enum error_code code;

	r.visit.pointers = visit;
	r.unit = 8;
	code = snapshot_reader_all(&r, CASTAWAY_CHUNK_SCAN_EDGES, read_pointers);
	r.unit = 1;
	return code == ERROR_NONE ? snapshot_reader_all(&r, CASTAWAY_CHUNK_SCAN_EDGES_FINE, read_pointers)
				  : code;
}

static enum error_code read_roots(struct snapshot_reading *r)
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
	struct snapshot_reading r = {
		.trace = trace, .snapshot = snapshot, .error = error, .arg = arg, .blocks = blocks};

	r.visit.root = visit;
	return snapshot_reader_all(&r, CASTAWAY_CHUNK_ROOTS, read_roots);
}
