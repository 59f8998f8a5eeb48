/* SPDX-License-Identifier: Apache-2.0
 *
 * Text into XML and HTML: what comes out is well-formed, in valid UTF-8,
 * whatever the strings hold.
 */
#ifndef MARKTEXT_H
#define MARKTEXT_H

#include <stdio.h>

/* `text` (NULL: nothing) with markup escaped, for content and for attributes in
 * double quotes.  What XML 1.0 has no character for becomes U+FFFD. */
void marktext_put(FILE *out, const char *text);

/* ` name="text"` */
void marktext_attribute(FILE *out, const char *name, const char *text);

/* printf, escaped. */
void marktext_format(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
