/* SPDX-License-Identifier: Apache-2.0
 *
 * How many bytes at `text` form one valid UTF-8 character; 0 when they do not.
 * Overlong forms, surrogates and values above U+10FFFF are not valid.
 */
#ifndef UTF8_H
#define UTF8_H

#include <stddef.h>
#include <stdint.h>

/* `text` is NUL-terminated, so that a cut-off sequence ends at the NUL. */
static inline size_t utf8_length(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;
	size_t length = c[0] < 0x80 ? 1 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
	uint32_t value;

	if (length == 1)
		return 1;
	if (c[0] < 0xc2 || c[0] > 0xf4)
		return 0;
	value = c[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (c[i] & 0x3fu);
	}
	if ((length == 3 && (value < 0x800 || (value >= 0xd800 && value <= 0xdfff))) ||
	    (length == 4 && (value < 0x10000 || value > 0x10ffff)))
		return 0;
	return length;
}

#endif
