/* SPDX-License-Identifier: Apache-2.0
 *
 * Fingerprint files, `castaway-baseline/1`: which findings are known.  One
 * entry per fingerprint, sorted, so that a diff in git shows what changed.
 */
#ifndef BASELINE_H
#define BASELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "error.h"

#define BASELINE_SCHEMA "castaway-baseline/1"

struct baseline_entry {
	uint64_t fingerprint;
	uint64_t count; /* structures alike when it was written */
	char *verdict;
	char *label; /* for people */
};

struct baseline {
	struct baseline_entry *entries; /* sorted by fingerprint */
	size_t count, capacity;
};

enum error_code baseline_read(const char *path, struct baseline *baseline, struct error *error);

/* Adds an entry; a fingerprint that is there already keeps its label and the
 * larger count.  False when out of memory. */
bool baseline_add(struct baseline *baseline, uint64_t fingerprint, const char *verdict, const char *label,
		  uint64_t count);

const struct baseline_entry *baseline_find(const struct baseline *baseline, uint64_t fingerprint);

void baseline_write(const struct baseline *baseline, FILE *out);

void baseline_free(struct baseline *baseline);

/* A fingerprint as files and reports write it: 16 lower-case hex digits. */
bool baseline_parse_fingerprint(const char *text, uint64_t *ret);

#endif
