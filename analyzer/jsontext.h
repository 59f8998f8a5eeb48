/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes JSON as a stream: what comes out is valid JSON in valid UTF-8
 * whatever the strings hold.  `key` is NULL inside arrays.
 */
#ifndef JSONTEXT_H
#define JSONTEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct jsontext {
	FILE *out;
	unsigned depth;
	unsigned flat;   /* containers from this depth on stay on one line; 0 = none */
	uint64_t filled; /* bit per depth: the container has an element */
};

enum jsontext_style { JSONTEXT_LINES, JSONTEXT_FLAT };

void jsontext_start(struct jsontext *json, FILE *out);
void jsontext_object(struct jsontext *json, const char *key, enum jsontext_style style);
void jsontext_object_end(struct jsontext *json);
void jsontext_array(struct jsontext *json, const char *key, enum jsontext_style style);
void jsontext_array_end(struct jsontext *json);

void jsontext_string(struct jsontext *json, const char *key, const char *text); /* NULL: null */
/* Numbers stop at INT64_MAX: many readers of JSON refuse larger ones. */
void jsontext_count(struct jsontext *json, const char *key, uint64_t value);
void jsontext_integer(struct jsontext *json, const char *key, int64_t value);
void jsontext_bool(struct jsontext *json, const char *key, bool value);
void jsontext_null(struct jsontext *json, const char *key);
void jsontext_address(struct jsontext *json, const char *key, uint64_t value); /* "0x..." */

#endif
