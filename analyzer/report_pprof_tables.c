/* SPDX-License-Identifier: Apache-2.0
 *
 * Strings, functions and locations of a profile, each once.
 * Source of the encoding: protobuf.dev, "Encoding".
 */
#include <stdlib.h>
#include <string.h>

/* An entry that does not fit in is told by its hh.tbl, not by an exit. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "report_pprof.h"

enum { PPROF_UNKNOWN, PPROF_SHOWN, PPROF_HIDDEN };
enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };
enum { FIELD_LOCATION = 4, FIELD_FUNCTION = 5 };

struct pprof_string {
	UT_hash_handle hh;
	uint64_t number;
	char text[];
};

struct pprof_function {
	UT_hash_handle hh;
	struct {
		uint64_t name, file;
	} key;
	uint64_t number;
};

/* ---- protocol buffers ------------------------------------------------------- */

static bool reserve(struct protobuf *message, size_t more)
{
	size_t capacity = message->capacity ? message->capacity : 64;
	uint8_t *bytes;

	if (message->failed || message->capacity - message->size >= more)
		return !message->failed;
	while (capacity - message->size < more)
		capacity *= 2;
	bytes = realloc(message->bytes, capacity);
	message->failed = bytes == NULL;
	if (!bytes)
		return false;
	message->bytes = bytes;
	message->capacity = capacity;
	return true;
}

void protobuf_varint(struct protobuf *message, uint64_t value)
{
	if (!reserve(message, 10))
		return;
	for (; value >= 0x80; value >>= 7)
		message->bytes[message->size++] = (uint8_t)(value | 0x80);
	message->bytes[message->size++] = (uint8_t)value;
}

void protobuf_number(struct protobuf *message, uint32_t field, uint64_t value)
{
	if (value == 0)
		return;
	protobuf_varint(message, field << 3 | WIRE_VARINT);
	protobuf_varint(message, value);
}

void protobuf_bytes(struct protobuf *message, uint32_t field, const void *bytes, size_t size)
{
	protobuf_varint(message, field << 3 | WIRE_BYTES);
	protobuf_varint(message, size);
	if (size > 0 && reserve(message, size)) {
		memcpy(message->bytes + message->size, bytes, size);
		message->size += size;
	}
}

void protobuf_message(struct protobuf *message, uint32_t field, struct protobuf *part)
{
	protobuf_bytes(message, field, part->bytes, part->size);
	message->failed |= part->failed;
	free(part->bytes);
	*part = (struct protobuf){0};
}

/* ---- tables ------------------------------------------------------------------- */

bool pprof_new(struct pprof *pprof, const struct analysis *analysis)
{
	size_t stacks = analysis->trace->frame_count;

	*pprof = (struct pprof){.analysis = analysis};
	pprof->values = calloc(stacks + 1, PPROF_VALUES * sizeof(*pprof->values));
	pprof->located = calloc(stacks + 1, 1);
	pprof->failed = !pprof->values || !pprof->located;
	return !pprof->failed;
}

void pprof_done(struct pprof *pprof)
{
	struct pprof_string *string, *next_string;
	struct pprof_function *function, *next_function;

	HASH_ITER (hh, pprof->strings, string, next_string) {
		HASH_DEL(pprof->strings, string);
		free(string);
	}
	HASH_ITER (hh, pprof->functions, function, next_function) {
		HASH_DEL(pprof->functions, function);
		free(function);
	}
	free(pprof->values);
	free(pprof->located);
	free(pprof->profile.bytes);
}

void pprof_count(struct pprof *pprof, const struct graph_node *node, size_t first)
{
	uint64_t *values = &pprof->values[(size_t)node->stack * PPROF_VALUES + first];

	if (node->stack >= pprof->analysis->trace->frame_count)
		return;
	values[0]++;
	values[1] += node->size;
}

uint64_t pprof_string(struct pprof *pprof, const char *text)
{
	struct pprof_string *string;
	size_t length = strlen(text);

	HASH_FIND(hh, pprof->strings, text, length, string);
	if (string)
		return string->number;
	string = malloc(sizeof(*string) + length + 1);
	if (!string) {
		pprof->failed = true;
		return 0;
	}
	memcpy(string->text, text, length + 1);
	string->number = HASH_COUNT(pprof->strings);
	HASH_ADD(hh, pprof->strings, text, length, string);
	if (string->hh.tbl)
		return string->number;
	free(string);
	pprof->failed = true;
	return 0;
}

static uint64_t function_of(struct pprof *pprof, const struct symbols_frame *frame)
{
	struct pprof_function *function, key = {0};
	struct protobuf message = {0};
	const char *raw = frame->raw_function ? frame->raw_function : frame->function;

	key.key.name = pprof_string(pprof, frame->function ? frame->function : "");
	key.key.file = pprof_string(pprof, frame->file ? frame->file : "");
	HASH_FIND(hh, pprof->functions, &key.key, sizeof(key.key), function);
	if (function)
		return function->number;
	function = calloc(1, sizeof(*function));
	if (!function) {
		pprof->failed = true;
		return 0;
	}
	function->key = key.key;
	function->number = HASH_COUNT(pprof->functions) + 1;
	HASH_ADD(hh, pprof->functions, key, sizeof(function->key), function);
	if (!function->hh.tbl) {
		free(function);
		pprof->failed = true;
		return 0;
	}
	protobuf_number(&message, 1, function->number);
	protobuf_number(&message, 2, function->key.name);
	protobuf_number(&message, 3, pprof_string(pprof, raw ? raw : ""));
	protobuf_number(&message, 4, function->key.file);
	protobuf_message(&pprof->profile, FIELD_FUNCTION, &message);
	return function->number;
}

static void put_lines(struct pprof *pprof, struct protobuf *location, const struct symbols_frame *frames,
		      size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct protobuf line = {0};

		if ((!frames[i].function && !frames[i].file) || symbols_is_castaway(&frames[i]))
			continue;
		protobuf_number(&line, 1, function_of(pprof, &frames[i]));
		protobuf_number(&line, 2, frames[i].line);
		protobuf_message(location, 4, &line);
	}
}

static bool all_castaway(const struct symbols_frame *frames, size_t count)
{
	size_t i = 0;

	while (i < count && symbols_is_castaway(&frames[i]))
		i++;
	return i == count;
}

bool pprof_location(struct pprof *pprof, uint32_t stack)
{
	const struct trace *trace = pprof->analysis->trace;
	const struct trace_frame *node = &trace->frames[stack];
	uint32_t module = node->tag > CASTAWAY_FRAME_MODULE0 ? node->tag - CASTAWAY_FRAME_MODULE0 : 0;
	const struct symbols_frame *frames = NULL;
	struct protobuf location = {0};
	size_t count;

	if (pprof->located[stack] != PPROF_UNKNOWN)
		return pprof->located[stack] == PPROF_SHOWN;
	count = pprof->analysis->symbols ? symbols_node(pprof->analysis->symbols, stack, &frames) : 0;
	if (count > 0 && all_castaway(frames, count)) {
		pprof->located[stack] = PPROF_HIDDEN;
		return false;
	}
	pprof->located[stack] = PPROF_SHOWN;
	protobuf_number(&location, 1, stack);
	if (module > 0 && module <= trace->module_count) {
		protobuf_number(&location, 2, module);
		protobuf_number(&location, 3, trace->modules[module - 1].load_bias + node->address);
	} else if (node->tag == CASTAWAY_FRAME_RAW) {
		protobuf_number(&location, 3, node->address);
	}
	put_lines(pprof, &location, frames, count);
	protobuf_message(&pprof->profile, FIELD_LOCATION, &location);
	return true;
}

void pprof_put_strings(struct pprof *pprof, uint32_t field)
{
	/* uthash keeps the order of insertion, which is that of the numbers. */
	for (struct pprof_string *string = pprof->strings; string; string = string->hh.next)
		protobuf_bytes(&pprof->profile, field, string->text, strlen(string->text));
}
