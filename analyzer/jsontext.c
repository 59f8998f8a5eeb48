/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON stream writer of the reports.  Errors of the stream stay in it:
 * the caller asks ferror once at the end.
 */
#include "jsontext.h"

#include <inttypes.h>

#include "utf8.h"

#define MAX_DEPTH 63

void jsontext_start(struct jsontext *json, FILE *out)
{
	*json = (struct jsontext){.out = out};
}

static void put_escaped(FILE *out, const char *text)
{
	putc('"', out);
	while (*text != '\0') {
		unsigned char c = (unsigned char)*text;
		size_t length = utf8_length(text);

		if (length == 0) { /* not text: one replacement character per byte */
			fputs("\\ufffd", out);
			length = 1;
		} else if (c == '"' || c == '\\') {
			fprintf(out, "\\%c", c);
		} else if (c == '\n') {
			fputs("\\n", out);
		} else if (c == '\t') {
			fputs("\\t", out);
		} else if (c < 0x20 || c == 0x7f) {
			fprintf(out, "\\u%04x", (unsigned)c);
		} else {
			fwrite(text, 1, length, out);
		}
		text += length;
	}
	putc('"', out);
}

static bool is_flat(const struct jsontext *json)
{
	return json->flat != 0 && json->depth >= json->flat;
}

static void new_line(const struct jsontext *json)
{
	putc('\n', json->out);
	for (unsigned i = 0; i < json->depth; i++)
		putc(' ', json->out);
}

/* What stands before every value: comma, line break, key. */
static void begin_value(struct jsontext *json, const char *key)
{
	uint64_t bit = UINT64_C(1) << (json->depth < MAX_DEPTH ? json->depth : MAX_DEPTH);
	bool follows = json->filled & bit;

	if (follows)
		putc(',', json->out);
	json->filled |= bit;
	if (json->depth > 0 && !is_flat(json))
		new_line(json);
	else if (follows && key != NULL)
		putc(' ', json->out);
	if (key != NULL) {
		put_escaped(json->out, key);
		fputs(": ", json->out);
	}
}

static void open_container(struct jsontext *json, const char *key, enum jsontext_style style, char bracket)
{
	begin_value(json, key);
	putc(bracket, json->out);
	json->depth++;
	json->filled &= ~(UINT64_C(1) << (json->depth < MAX_DEPTH ? json->depth : MAX_DEPTH));
	if (style == JSONTEXT_FLAT && json->flat == 0)
		json->flat = json->depth;
}

static void close_container(struct jsontext *json, char bracket)
{
	bool filled = json->filled >> (json->depth < MAX_DEPTH ? json->depth : MAX_DEPTH) & 1;
	bool flat = is_flat(json);

	if (json->flat == json->depth)
		json->flat = 0;
	json->depth--;
	if (filled && !flat)
		new_line(json);
	putc(bracket, json->out);
	if (json->depth == 0)
		putc('\n', json->out);
}

void jsontext_object(struct jsontext *json, const char *key, enum jsontext_style style)
{
	open_container(json, key, style, '{');
}

void jsontext_object_end(struct jsontext *json)
{
	close_container(json, '}');
}

void jsontext_array(struct jsontext *json, const char *key, enum jsontext_style style)
{
	open_container(json, key, style, '[');
}

void jsontext_array_end(struct jsontext *json)
{
	close_container(json, ']');
}

void jsontext_string(struct jsontext *json, const char *key, const char *text)
{
	begin_value(json, key);
	if (text == NULL)
		fputs("null", json->out);
	else
		put_escaped(json->out, text);
}

void jsontext_count(struct jsontext *json, const char *key, uint64_t value)
{
	begin_value(json, key);
	fprintf(json->out, "%" PRIu64, value <= INT64_MAX ? value : (uint64_t)INT64_MAX);
}

void jsontext_integer(struct jsontext *json, const char *key, int64_t value)
{
	begin_value(json, key);
	fprintf(json->out, "%" PRId64, value);
}

void jsontext_bool(struct jsontext *json, const char *key, bool value)
{
	begin_value(json, key);
	fputs(value ? "true" : "false", json->out);
}

void jsontext_null(struct jsontext *json, const char *key)
{
	begin_value(json, key);
	fputs("null", json->out);
}

void jsontext_address(struct jsontext *json, const char *key, uint64_t value)
{
	begin_value(json, key);
	fprintf(json->out, "\"0x%" PRIx64 "\"", value);
}
