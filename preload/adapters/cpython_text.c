/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads str objects from memory.  The interpreter's own conversion would
 * allocate (it caches the UTF-8 form in the object), which is forbidden inside
 * the allocator hook and during a snapshot; here are only loads.
 */
#include "cpython.h"

#include <string.h>

#include "../emit.h"

#define STATE_OFFSET   32
#define STATE_COMPACT  (1u << 5)
#define STATE_ASCII    (1u << 6)
#define LENGTH_OFFSET  16
#define NAME_MAX_BYTES 1024u
#define IDENTIFIER_MAX 64u

static bool s_valid;

/* Unicode scalar value `code` as UTF-8 (surrogates as they are: the trace
 * promises UTF-8 only by intention); the number of bytes, 0 = no room. */
static size_t put_utf8(uint32_t code, char *out, size_t room)
{
	size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};

	if (length > room)
		return 0;
	for (size_t i = length - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (code & 0x3f));
		code >>= 6;
	}
	out[0] = (char)(first[length] | code);
	return length;
}

static uint32_t character(const void *data, unsigned kind, size_t index)
{
	if (kind == 1)
		return ((const uint8_t *)data)[index];
	if (kind == 2)
		return ((const uint16_t *)data)[index];
	return ((const uint32_t *)data)[index];
}

/* The characters and their width of a compact str; NULL for any other form. */
static const char *characters(const struct py_object *string, unsigned *kind, size_t *length)
{
	uint32_t state = *(const uint32_t *)((const char *)string + STATE_OFFSET);

	*kind = (state >> 2) & 7;
	*length = py_word(string, LENGTH_OFFSET);
	if (!(state & STATE_COMPACT) || (*kind != 1 && *kind != 2 && *kind != 4))
		return NULL;
	return (const char *)string +
	       (state & STATE_ASCII ? g_py_layout->unicode_ascii : g_py_layout->unicode_compact);
}

static size_t convert(const struct py_object *string, char *out, size_t size)
{
	size_t length, used = 0;
	unsigned kind;
	const char *data = characters(string, &kind, &length);

	for (size_t i = 0; data != NULL && i < length; i++) {
		size_t put = put_utf8(character(data, kind, i), out + used, size - used);

		if (put == 0)
			break;
		used += put;
	}
	return used;
}

size_t cpython_text_utf8(const struct py_object *string, char *out, size_t size)
{
	if (!s_valid || string == NULL || string->type != g_py.PyUnicode_Type)
		return 0;
	return convert(string, out, size);
}

uint32_t cpython_text_intern(const struct py_object *string)
{
	char text[NAME_MAX_BYTES];
	size_t length = cpython_text_utf8(string, text, sizeof(text));

	return length > 0 ? strings_intern(text, length) : 0;
}

static bool is_identifier(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

		if (!letter && (i == 0 || c < '0' || c > '9'))
			return false;
	}
	return length > 0;
}

/* Only what looks like an attribute's name is taken from a key: other keys are
 * the target's data, which a trace must not hold. */
static const char *identifier(const struct py_object *string, size_t *length)
{
	unsigned kind;
	const char *data;

	if (!s_valid || string == NULL || string->type != g_py.PyUnicode_Type)
		return NULL;
	data = characters(string, &kind, length);
	if (data == NULL || kind != 1 || *length > IDENTIFIER_MAX || !is_identifier(data, *length))
		return NULL;
	return data;
}

uint32_t cpython_text_identifier(const struct py_object *string, const char *before, const char *after)
{
	char text[IDENTIFIER_MAX + 32];
	size_t length, used = strlen(before);
	const char *data = identifier(string, &length);

	if (data == NULL || used + length + strlen(after) >= sizeof(text))
		return 0;
	memcpy(text, before, used);
	memcpy(text + used, data, length);
	memcpy(text + used + length, after, strlen(after));
	return strings_intern(text, used + length + strlen(after));
}

/* One string of every storage form, read back. */
bool cpython_text_validate(void)
{
	static const char *const samples[] = {"castaway", "caf\xc3\xa9", "\xe2\x82\xac 5",
					      "\xf0\x9f\x9a\xa3"};
	bool valid = true;

	for (size_t i = 0; valid && i < sizeof(samples) / sizeof(*samples); i++) {
		size_t length = strlen(samples[i]);
		struct py_object *string = g_py.PyUnicode_FromStringAndSize(samples[i], (intptr_t)length);
		char text[32];

		if (string == NULL)
			return false;
		valid = string->type == g_py.PyUnicode_Type &&
			convert(string, text, sizeof(text)) == length &&
			memcmp(text, samples[i], length) == 0;
		g_py.Py_DecRef(string);
	}
	s_valid = valid;
	return valid;
}
