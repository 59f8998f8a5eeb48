/* SPDX-License-Identifier: Apache-2.0
 *
 * What one moment of a trace holds, counted by finding, by type and by
 * allocation site, in a form that outlives the trace and can be compared with
 * another one.
 */
#ifndef CENSUS_H
#define CENSUS_H

#include "analysis.h"

/* X(NAME, "name", "what is counted, one", "many") */
#define CENSUS_TABLES(X)                                   \
	X(FINDINGS, "findings", "structure", "structures") \
	X(TYPES, "types", "object", "objects")             \
	X(SITES, "sites", "block", "blocks")

enum census_table {
#define X(NAME, name, one, many) CENSUS_##NAME,
	CENSUS_TABLES(X)
#undef X
		CENSUS_TABLE_COUNT
};

struct census_row {
	uint64_t key; /* fingerprint of a finding or a site; 0: the label is the key */
	char *label;
	const char *verdict; /* of a finding, else NULL */
	uint64_t count, objects, bytes;
};

struct census_rows {
	struct census_row *rows; /* sorted by key and label */
	size_t count, capacity;
};

struct census {
	struct census_rows table[CENSUS_TABLE_COUNT];
};

/* Error already filled when it fails; call census_done in either case. */
enum error_code census_take(struct analysis *analysis, struct census *ret, struct error *error);
void census_done(struct census *census);

enum census_change_kind { CENSUS_CAME, CENSUS_WENT, CENSUS_GREW, CENSUS_SHRANK, CENSUS_KIND_COUNT };
const char *census_change_name(enum census_change_kind kind);

struct census_change {
	enum census_change_kind kind;
	const struct census_row *before, *after; /* NULL: not there */
};

/* What differs, the largest difference in bytes first; *alike: rows that do not.
 * *ret is malloc'ed; NULL when out of memory. */
struct census_change *census_compare(const struct census_rows *before, const struct census_rows *after,
				     size_t *count, size_t *alike);

#endif
