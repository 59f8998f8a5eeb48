/* SPDX-License-Identifier: Apache-2.0
 *
 * Source of the characters that are allowed: Extensible Markup Language (XML)
 * 1.0, fifth edition, production [2].
 */
#include "marktext.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

static const char *entity(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

/* U+FFFE and U+FFFF are valid UTF-8 and no characters. */
static bool is_character(const char *text, size_t length)
{
	const unsigned char c = (unsigned char)*text;

	if (length == 1)
		return c >= 0x20 ? c != 0x7f : c == '\t' || c == '\n' || c == '\r';
	return !(length == 3 && !memcmp(text, "\xef\xbf", 2) && (unsigned char)text[2] >= 0xbe);
}

void marktext_put(FILE *out, const char *text)
{
	while (text && *text) {
		size_t length = utf8_length(text);
		const char *name = length == 1 ? entity(*text) : NULL;

		if (name)
			fputs(name, out);
		else if (length && is_character(text, length))
			fwrite(text, 1, length, out);
		else
			fputs("\xef\xbf\xbd", out);
		text += length ? length : 1;
	}
}

void marktext_attribute(FILE *out, const char *name, const char *text)
{
	fprintf(out, " %s=\"", name);
	marktext_put(out, text);
	fputc('"', out);
}

void marktext_format(FILE *out, const char *format, ...)
{
	va_list arguments;
	char *text = NULL;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) >= 0)
		marktext_put(out, text);
	va_end(arguments);
	free(text);
}
