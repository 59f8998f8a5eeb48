/* SPDX-License-Identifier: Apache-2.0
 *
 * The large tables: modules, strings, stack nodes.  Their ids are given by the
 * writer; ids that a lost chunk held become entries that say nothing.
 */
#include <string.h>

#include "tables.h"

/* Makes modules[number - 1] exist. */
static enum error_code reserve_module(struct table_load *load, uint32_t number)
{
	struct trace *trace = load->trace;
	struct trace_module *modules =
		array_reserve(trace->modules, &trace->internal->module_capacity, number, sizeof(*modules));

	if (!modules)
		return no_memory(load->error);
	trace->modules = modules;
	while (trace->module_count < number)
		modules[trace->module_count++] = (struct trace_module){0};
	return ERROR_NONE;
}

static enum error_code load_module(struct table_load *load, uint32_t number)
{
	struct codec_cursor *c = &load->cursor;
	struct trace_module module = {.number = number};
	const uint8_t *build_id;
	uint64_t id_size;

	module.load_bias = codec_get_u64(c);
	module.start = codec_get_u64(c);
	module.end = codec_get_u64(c);
	module.load_ticks = codec_get_u64(c);
	id_size = codec_get_varint(c);
	build_id = codec_get_bytes(c, id_size);
	if (!build_id)
		return ERROR_NONE;
	module.build_id_size = (uint32_t)(id_size < sizeof(module.build_id) ? id_size : 0);
	memcpy(module.build_id, build_id, module.build_id_size);
	module.path = tables_string(c);
	if (!module.path)
		return c->failed ? ERROR_NONE : no_memory(load->error);
	if (reserve_module(load, number) != ERROR_NONE) {
		free(module.path);
		return ERROR_MEMORY;
	}
	free(load->trace->modules[number - 1].path);
	load->trace->modules[number - 1] = module;
	return ERROR_NONE;
}

enum error_code tables_modules(struct table_load *load)
{
	struct codec_cursor *c = &load->cursor;
	enum error_code code = ERROR_NONE;

	while (code == ERROR_NONE && codec_left(c) > 0) {
		uint8_t op = codec_get_u8(c);
		uint32_t number = tables_number(c, load->max_modules);

		if (number == 0 || (op != CASTAWAY_MODULE_LOAD && op != CASTAWAY_MODULE_UNLOAD))
			c->failed = true;
		if (c->failed)
			break;
		if (op == CASTAWAY_MODULE_LOAD) {
			code = load_module(load, number);
		} else {
			uint64_t ticks = codec_get_u64(c);

			if (number <= load->trace->module_count)
				load->trace->modules[number - 1].unload_ticks = ticks;
		}
	}
	return code;
}

/* Makes the ids below `count` exist. */
static enum error_code reserve_strings(struct table_load *load, uint32_t count)
{
	struct trace *trace = load->trace;
	struct trace_string *strings =
		array_reserve(trace->strings, &trace->internal->string_capacity, count, sizeof(*strings));

	if (!strings)
		return no_memory(load->error);
	trace->strings = strings;
	while (trace->string_count < count)
		strings[trace->string_count++] = (struct trace_string){"", 0};
	return ERROR_NONE;
}

enum error_code tables_strings(struct table_load *load)
{
	struct codec_cursor *c = &load->cursor;
	uint64_t id = codec_get_varint(c);
	/* Each string has a length byte, which makes room for its NUL. */
	struct text_block *block = malloc(sizeof(*block) + codec_left(c) + 1);
	char *text;

	if (!block)
		return no_memory(load->error);
	block->next = load->trace->internal->texts;
	load->trace->internal->texts = block;
	text = block->text;
	for (; codec_left(c) > 0; id++) {
		uint64_t length = codec_get_varint(c);
		const uint8_t *bytes = codec_get_bytes(c, length);

		if (!bytes || length > CASTAWAY_MAX_STRING || id == 0 || id >= load->max_ids) {
			c->failed = true;
			break;
		}
		if (reserve_strings(load, (uint32_t)id + 1) != ERROR_NONE)
			return ERROR_MEMORY;
		memcpy(text, bytes, length);
		text[length] = 0;
		load->trace->strings[id] = (struct trace_string){text, (uint32_t)length};
		text += length + 1;
	}
	return ERROR_NONE;
}

static enum error_code reserve_frames(struct table_load *load, uint32_t count)
{
	struct trace *trace = load->trace;
	struct trace_frame *frames =
		array_reserve(trace->frames, &trace->internal->frame_capacity, count, sizeof(*frames));

	if (!frames)
		return no_memory(load->error);
	trace->frames = frames;
	while (trace->frame_count < count)
		frames[trace->frame_count++] = (struct trace_frame){0};
	return ERROR_NONE;
}

/* One node; `node` is its number. */
static struct trace_frame read_frame(struct codec_cursor *c, uint64_t node)
{
	struct trace_frame frame = {0};
	uint64_t up = codec_get_varint(c);

	frame.tag = tables_number(c, UINT32_MAX);
	if (up == 0 || up > node)
		c->failed = true;
	frame.parent = c->failed ? 0 : (uint32_t)(node - up);
	if (frame.tag != CASTAWAY_FRAME_SCRIPT) {
		frame.address = codec_get_varint(c);
		return frame;
	}
	frame.function = tables_number(c, UINT32_MAX);
	frame.file = tables_number(c, UINT32_MAX);
	frame.line = tables_number(c, UINT32_MAX);
	return frame;
}

enum error_code tables_stacks(struct table_load *load)
{
	struct codec_cursor *c = &load->cursor;
	uint64_t node = codec_get_varint(c);

	for (; codec_left(c) > 0; node++) {
		struct trace_frame frame;

		if (node == 0 || node >= load->max_ids)
			c->failed = true;
		frame = read_frame(c, node);
		if (c->failed)
			break;
		if (reserve_frames(load, (uint32_t)node + 1) != ERROR_NONE)
			return ERROR_MEMORY;
		load->trace->frames[node] = frame;
	}
	return ERROR_NONE;
}

/* True when something had to be changed. */
static bool check_frame(const struct trace *trace, struct trace_frame *frame)
{
	uint32_t module = frame->tag - CASTAWAY_FRAME_MODULE0;
	bool changed = false;

	if (frame->tag == CASTAWAY_FRAME_SCRIPT) {
		changed = frame->function >= trace->string_count || frame->file >= trace->string_count;
		if (frame->function >= trace->string_count)
			frame->function = 0;
		if (frame->file >= trace->string_count)
			frame->file = 0;
	} else if (frame->tag >= CASTAWAY_FRAME_MODULE0 &&
		   (module == 0 || module > trace->module_count || trace->modules[module - 1].number == 0)) {
		frame->tag = CASTAWAY_FRAME_RAW;
		changed = true;
	}
	return changed;
}

/* No walk to the bottom of a stack is longer than the format allows. */
static enum error_code check_depths(struct table_load *load, bool *changed)
{
	struct trace *trace = load->trace;
	uint16_t *depths = calloc(trace->frame_count, sizeof(*depths));

	if (!depths)
		return no_memory(load->error);
	for (uint32_t i = 1; i < trace->frame_count; i++) {
		uint32_t depth = depths[trace->frames[i].parent] + 1u;

		if (depth > CASTAWAY_MAX_STACK_DEPTH) {
			trace->frames[i].parent = 0;
			depth = 1;
			*changed = true;
		}
		depths[i] = (uint16_t)depth;
	}
	free(depths);
	return ERROR_NONE;
}

enum error_code tables_check_frames(struct table_load *load)
{
	struct trace *trace = load->trace;
	bool changed = false;
	/* Id 0, "none", is there even without a single chunk. */
	enum error_code code = reserve_strings(load, 1);

	if (code == ERROR_NONE)
		code = reserve_frames(load, 1);
	if (code != ERROR_NONE)
		return code;
	for (uint32_t i = 1; i < trace->frame_count; i++)
		changed |= check_frame(trace, &trace->frames[i]);
	code = check_depths(load, &changed);
	for (size_t i = 0; code == ERROR_NONE && changed && i < trace->chunk_count; i++) {
		if (trace->chunks[i].type != CASTAWAY_CHUNK_STACKS)
			continue;
		return trace_mark_damaged(trace, &trace->chunks[i]);
	}
	return code;
}
