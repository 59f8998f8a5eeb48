/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain text for people: human sizes and times, colour, paragraphs wrapped to
 * the page.  Text from the target (type names, paths) never reaches the
 * terminal with control characters in it.
 */
#ifndef TEXTOUT_H
#define TEXTOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TEXTOUT_WIDTH 100

enum textout_color { TEXTOUT_PLAIN, TEXTOUT_BOLD, TEXTOUT_DIM, TEXTOUT_RED, TEXTOUT_GREEN, TEXTOUT_YELLOW };

struct textout {
	FILE *out;
	bool color;
};

/* printf; control characters and invalid UTF-8 in the result become `?`, and
 * only line breaks stay. */
void textout_put(struct textout *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As textout_put, coloured, padded to `width` columns (negative: to the left;
 * 0: not padded; longer text is cut when it is positive or negative). */
void textout_cell(struct textout *text, enum textout_color color, int width, const char *content);

/* One paragraph, broken at spaces: `first` stands before the first line (and
 * is coloured), the others are indented by its width or `indent`. */
void textout_paragraph(struct textout *text, enum textout_color color, const char *first, unsigned indent,
		       const char *content);

size_t textout_columns(const char *content); /* as it would be printed */

/* Results of these are in static storage of the caller. */
#define TEXTOUT_NUMBER 48
const char *textout_size(uint64_t bytes, char buffer[static TEXTOUT_NUMBER]);  /* "1.2 KiB" */
const char *textout_duration(uint64_t ns, char buffer[static TEXTOUT_NUMBER]); /* "12.3 ms" */
const char *textout_plural(uint64_t count, const char *one, const char *many,
			   char buffer[static TEXTOUT_NUMBER]); /* "2 structures" */

#endif
