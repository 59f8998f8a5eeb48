/* SPDX-License-Identifier: Apache-2.0
 *
 * Helpers of the text report.  Runs in the analyzer; writes only to the stream
 * it was given.
 */
#include "textout.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

static const char *const color_codes[] = {
	[TEXTOUT_PLAIN] = "",         [TEXTOUT_BOLD] = "\033[1m",   [TEXTOUT_DIM] = "\033[2m",
	[TEXTOUT_RED] = "\033[1;31m", [TEXTOUT_GREEN] = "\033[32m", [TEXTOUT_YELLOW] = "\033[33m",
};

/* Bytes of the character at `c` that may be printed as it is: 0 for controls
 * (C0, DEL, and C1, which terminals obey as well) and for what is no text. */
static size_t printable(const char *c)
{
	size_t length = utf8_length(c);
	unsigned char first = (unsigned char)c[0];

	if (length == 1 && (first < 0x20 || first == 0x7f))
		return 0;
	if (length == 2 && first == 0xc2 && (unsigned char)c[1] < 0xa0)
		return 0;
	return length;
}

/* Prints up to `columns` characters; returns how many. */
static size_t put_safe(FILE *out, const char *text, size_t columns, bool newlines)
{
	size_t count = 0;

	while (*text != '\0' && count < columns) {
		size_t length = printable(text);

		if (length == 0 && !(newlines && *text == '\n'))
			fputc('?', out);
		else
			fwrite(text, 1, length > 0 ? length : 1, out);
		text += length > 0 ? length : 1;
		count++;
	}
	return count;
}

size_t textout_columns(const char *content)
{
	size_t count = 0;

	while (*content != '\0') {
		size_t length = utf8_length(content);

		content += length > 0 ? length : 1;
		count++;
	}
	return count;
}

static void begin_color(struct textout *text, enum textout_color color)
{
	if (text->color)
		fputs(color_codes[color], text->out);
}

static void end_color(struct textout *text, enum textout_color color)
{
	if (text->color && color != TEXTOUT_PLAIN)
		fputs("\033[0m", text->out);
}

void textout_put(struct textout *text, const char *format, ...)
{
	va_list arguments;
	char *content = NULL;

	va_start(arguments, format);
	if (vasprintf(&content, format, arguments) < 0)
		content = NULL;
	va_end(arguments);
	if (content != NULL)
		put_safe(text->out, content, SIZE_MAX, true);
	free(content);
}

void textout_cell(struct textout *text, enum textout_color color, int width, const char *content)
{
	size_t limit = width != 0 ? (size_t)abs(width) : SIZE_MAX;
	size_t columns = textout_columns(content);
	size_t pad = width != 0 && columns < limit ? limit - columns : 0;

	if (width > 0)
		fprintf(text->out, "%*s", (int)pad, "");
	begin_color(text, color);
	if (columns > limit && limit > 3) {
		put_safe(text->out, content, limit - 3, false);
		fputs("...", text->out);
	} else {
		put_safe(text->out, content, limit, false);
	}
	end_color(text, color);
	if (width < 0)
		fprintf(text->out, "%*s", (int)pad, "");
}

void textout_paragraph(struct textout *text, enum textout_color color, const char *first, unsigned indent,
		       const char *content)
{
	size_t column = textout_columns(first);
	bool fresh = true;

	begin_color(text, color);
	put_safe(text->out, first, SIZE_MAX, false);
	end_color(text, color);
	while (*content != '\0') {
		size_t length = strcspn(content, " ");
		char *word = strndup(content, length);
		size_t columns = word != NULL ? textout_columns(word) : 0;

		if (!fresh && column + 1 + columns > TEXTOUT_WIDTH) {
			fprintf(text->out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (!fresh) {
			fputc(' ', text->out);
			column++;
		}
		if (word != NULL)
			column += put_safe(text->out, word, SIZE_MAX, false);
		free(word);
		fresh = false;
		content += length;
		content += strspn(content, " ");
	}
	fputc('\n', text->out);
}

const char *textout_size(uint64_t bytes, char buffer[static TEXTOUT_NUMBER])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	unsigned unit = 0;

	while (value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(buffer, TEXTOUT_NUMBER, "%.*f %s", unit > 0, value, units[unit]);
	return buffer;
}

const char *textout_duration(uint64_t ns, char buffer[static TEXTOUT_NUMBER])
{
	uint64_t seconds = ns / 1000000000u;

	if (ns < 1000000u)
		snprintf(buffer, TEXTOUT_NUMBER, "%.1f us", (double)ns / 1e3);
	else if (seconds == 0)
		snprintf(buffer, TEXTOUT_NUMBER, "%.1f ms", (double)ns / 1e6);
	else if (seconds < 60)
		snprintf(buffer, TEXTOUT_NUMBER, "%.3f s", (double)ns / 1e9);
	else
		snprintf(buffer, TEXTOUT_NUMBER, "%" PRIu64 " min %" PRIu64 " s", seconds / 60, seconds % 60);
	return buffer;
}

const char *textout_plural(uint64_t count, const char *one, const char *many,
			   char buffer[static TEXTOUT_NUMBER])
{
	snprintf(buffer, TEXTOUT_NUMBER, "%" PRIu64 " %s", count, count == 1 ? one : many);
	return buffer;
}
