/* SPDX-License-Identifier: Apache-2.0
 *
 * Traces made by hand: chunks, tables, and the file.  Runs in tests only.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zstd.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "trace_builder_internal.h"

struct builder *builder_new(void)
{
	struct builder *b = grown(NULL, 1, sizeof(*b));
	struct castaway_file_header *header = &b->header;

	memset(b, 0, sizeof(*b));
	memcpy(header->magic, CASTAWAY_FORMAT_MAGIC, sizeof(header->magic));
	header->version = CASTAWAY_FORMAT_VERSION;
	header->min_reader = CASTAWAY_FORMAT_MIN_READER;
	header->header_size = sizeof(*header);
	header->pointer_size = 8;
	header->endian = 1;
	header->machine = 62;
	header->page_size = 4096;
	header->clock_source = CASTAWAY_CLOCK_MONOTONIC;
	strcpy(header->writer, "builder");
	put(&b->out, header, sizeof(*header));
	return b;
}

void builder_free(struct builder *b)
{
	struct bytes *pending[] = {&b->out, &b->process, &b->clock, &b->modules, &b->threads, &b->limits};

	if (!b)
		return;
	for (size_t i = 0; i < sizeof(pending) / sizeof(*pending); i++)
		free(pending[i]->data);
	for (uint32_t i = 0; i < b->string_count; i++)
		free(b->strings[i]);
	for (size_t i = 0; i < b->lane_count; i++)
		for (unsigned column = 0; column < CASTAWAY_COLUMN_COUNT; column++)
			free(b->lanes[i].columns[column].data);
	for (uint32_t i = 0; i < b->section_count; i++) {
		free(b->sections[i].blocks.data);
		free(b->sections[i].objects.data);
		free(b->sections[i].pointers.data);
		free(b->sections[i].roots.data);
	}
	free(b->chunks);
	free(b->strings);
	free(b->nodes);
	free(b->lanes);
	free(b->sections);
	free(b);
}

struct castaway_file_header *builder_header(struct builder *b)
{
	return &b->header;
}

void builder_compress(struct builder *b, bool on)
{
	b->compress = on;
}

/* ---- chunks ---------------------------------------------------------------- */

void builder_rehash_header(uint8_t *file)
{
	uint32_t hash = XXH32(file, offsetof(struct castaway_file_header, header_hash), 0);

	memcpy(file + offsetof(struct castaway_file_header, header_hash), &hash, sizeof(hash));
}

void builder_rehash_chunk(uint8_t *file, size_t chunk_offset)
{
	struct castaway_chunk_header header;

	memcpy(&header, file + chunk_offset, sizeof(header));
	header.payload_hash = XXH32(file + chunk_offset + sizeof(header), header.stored_size, 0);
	header.header_hash = XXH32(&header, offsetof(struct castaway_chunk_header, header_hash), 0);
	memcpy(file + chunk_offset, &header, sizeof(header));
}

void builder_chunk(struct builder *b, uint16_t type, uint32_t thread, const void *payload, size_t size)
{
	struct castaway_chunk_header header = {.magic = CASTAWAY_CHUNK_MAGIC,
					       .type = type,
					       .stored_size = (uint32_t)size,
					       .raw_size = (uint32_t)size,
					       .thread = thread,
					       .sequence = b->sequence++};
	size_t offset = b->out.size, bound = ZSTD_compressBound(size), stored;

	b->chunks = grown(b->chunks, b->chunk_count + 1, sizeof(*b->chunks));
	b->chunks[b->chunk_count++] = offset;
	put(&b->out, &header, sizeof(header));
	if (b->compress) {
		stored = ZSTD_compress(room(&b->out, bound), bound, payload, size, 1);
		if (ZSTD_isError(stored))
			abort();
		b->out.size += stored;
		header.flags = CASTAWAY_CHUNK_ZSTD;
		header.stored_size = (uint32_t)stored;
		memcpy(b->out.data + offset, &header, sizeof(header));
	} else {
		put(&b->out, payload, size);
	}
	builder_rehash_chunk(b->out.data, offset);
}

void builder_garbage(struct builder *b, const void *bytes, size_t size)
{
	put(&b->out, bytes, size);
}

void builder_skip_sequence(struct builder *b, uint32_t chunks)
{
	b->sequence += chunks;
}

size_t builder_chunk_count(const struct builder *b)
{
	return b->chunk_count;
}

size_t builder_chunk_offset(const struct builder *b, size_t chunk)
{
	return b->chunks[chunk];
}

/* ---- tables ---------------------------------------------------------------- */

uint32_t builder_string(struct builder *b, const char *text)
{
	for (uint32_t i = 0; i < b->string_count; i++)
		if (strcmp(b->strings[i], text) == 0)
			return i + 1;
	b->strings = grown(b->strings, b->string_count + 1, sizeof(*b->strings));
	b->strings[b->string_count] = strdup(text);
	return ++b->string_count;
}

uint32_t builder_module(struct builder *b, const char *path, uint64_t load_bias, uint64_t start, uint64_t end)
{
	put_u8(&b->modules, CASTAWAY_MODULE_LOAD);
	put_varint(&b->modules, ++b->module_count);
	put_u64(&b->modules, load_bias);
	put_u64(&b->modules, start);
	put_u64(&b->modules, end);
	put_u64(&b->modules, 0);
	put_string(&b->modules, "\x12\x34\x56\x78\x9a\xbc\xde\xf0");
	put_string(&b->modules, path);
	return b->module_count;
}

void builder_unload(struct builder *b, uint32_t module, uint64_t ticks)
{
	put_u8(&b->modules, CASTAWAY_MODULE_UNLOAD);
	put_varint(&b->modules, module);
	put_u64(&b->modules, ticks);
}

static uint32_t add_node(struct builder *b, const struct node *node)
{
	for (uint32_t i = 0; i < b->node_count; i++)
		if (memcmp(&b->nodes[i], node, sizeof(*node)) == 0)
			return i + 1;
	b->nodes = grown(b->nodes, b->node_count + 1, sizeof(*b->nodes));
	b->nodes[b->node_count] = *node;
	return ++b->node_count;
}

uint32_t builder_frame(struct builder *b, uint32_t parent, uint32_t module, uint64_t offset)
{
	struct node node = {.parent = parent, .tag = CASTAWAY_FRAME_MODULE0 + module, .address = offset};

	return add_node(b, &node);
}

uint32_t builder_frame_raw(struct builder *b, uint32_t parent, uint64_t pc)
{
	struct node node = {.parent = parent, .tag = CASTAWAY_FRAME_RAW, .address = pc};

	return add_node(b, &node);
}

uint32_t builder_frame_script(struct builder *b, uint32_t parent, const char *function, const char *file,
			      uint32_t line)
{
	struct node node = {.parent = parent,
			    .tag = CASTAWAY_FRAME_SCRIPT,
			    .function = builder_string(b, function),
			    .file = builder_string(b, file),
			    .line = line};

	return add_node(b, &node);
}

uint32_t builder_stack(struct builder *b, const char *outermost, ...)
{
	uint32_t node = 0;
	va_list names;

	va_start(names, outermost);
	for (const char *name = outermost; name; name = va_arg(names, const char *))
		node = builder_frame_script(b, node, name, "test.py", 1);
	va_end(names);
	return node;
}

void builder_thread(struct builder *b, uint32_t thread, uint32_t kernel_tid, const char *name)
{
	put_varint(&b->threads, thread);
	put_varint(&b->threads, kernel_tid);
	put_u64(&b->threads, 0);
	put_string(&b->threads, name);
}

void builder_process(struct builder *b, enum castaway_process_key key, const char *value)
{
	put_varint(&b->process, key);
	put_string(&b->process, value);
}

void builder_clock(struct builder *b, uint64_t ticks, uint64_t monotonic_ns, uint64_t realtime_ns)
{
	put_u64(&b->clock, ticks);
	put_u64(&b->clock, monotonic_ns);
	put_u64(&b->clock, realtime_ns);
}

void builder_limit(struct builder *b, uint32_t limit, uint64_t count, const char *detail)
{
	put_varint(&b->limits, limit);
	put_varint(&b->limits, count);
	put_string(&b->limits, detail);
}

void builder_write_pending(struct builder *b, uint16_t type, struct bytes *pending)
{
	if (pending->size == 0)
		return;
	builder_chunk(b, type, 0, pending->data, pending->size);
	pending->size = 0;
}

static void write_strings(struct builder *b)
{
	struct bytes payload = {0};

	if (b->strings_written == b->string_count)
		return;
	put_varint(&payload, b->strings_written + 1);
	while (b->strings_written < b->string_count)
		put_string(&payload, b->strings[b->strings_written++]);
	builder_write_pending(b, CASTAWAY_CHUNK_STRINGS, &payload);
	free(payload.data);
}

static void write_nodes(struct builder *b)
{
	struct bytes payload = {0};

	if (b->nodes_written == b->node_count)
		return;
	put_varint(&payload, b->nodes_written + 1);
	while (b->nodes_written < b->node_count) {
		const struct node *node = &b->nodes[b->nodes_written++];

		put_varint(&payload, b->nodes_written - node->parent);
		put_varint(&payload, node->tag);
		if (node->tag != CASTAWAY_FRAME_SCRIPT) {
			put_varint(&payload, node->address);
			continue;
		}
		put_varint(&payload, node->function);
		put_varint(&payload, node->file);
		put_varint(&payload, node->line);
	}
	builder_write_pending(b, CASTAWAY_CHUNK_STACKS, &payload);
	free(payload.data);
}

void builder_write_tables(struct builder *b)
{
	builder_write_pending(b, CASTAWAY_CHUNK_PROCESS, &b->process);
	builder_write_pending(b, CASTAWAY_CHUNK_CLOCK, &b->clock);
	builder_write_pending(b, CASTAWAY_CHUNK_MODULES, &b->modules);
	write_strings(b);
	write_nodes(b);
	builder_write_pending(b, CASTAWAY_CHUNK_THREADS, &b->threads);
	builder_write_pending(b, CASTAWAY_CHUNK_LIMITS, &b->limits);
}

/* ---- the file -------------------------------------------------------------- */

void builder_end(struct builder *b, enum castaway_end_reason reason, uint64_t ticks)
{
	struct bytes payload = {0};

	builder_flush(b);
	put_u64(&payload, ticks);
	put_varint(&payload, reason);
	put_varint(&payload, b->events);
	put_varint(&payload, 0);
	builder_write_pending(b, CASTAWAY_CHUNK_END, &payload);
	free(payload.data);
}

uint8_t *builder_finish(struct builder *b, size_t *size)
{
	builder_flush(b);
	memcpy(b->out.data, &b->header, sizeof(b->header));
	builder_rehash_header(b->out.data);
	*size = b->out.size;
	return b->out.data;
}

struct trace *builder_open(struct builder *b)
{
	struct source *source;
	struct trace *trace;
	struct error error = {0};
	size_t size;
	const uint8_t *bytes = builder_finish(b, &size);

	if (source_open_memory(bytes, size, &source, &error) != ERROR_NONE ||
	    trace_open(source, "<memory>", &trace, &error) != ERROR_NONE) {
		fprintf(stderr, "builder_open: %s\n", error.what);
		abort();
	}
	return trace;
}
