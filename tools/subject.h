/* SPDX-License-Identifier: Apache-2.0
 *
 * What `check`, `baseline` and suppressions need to know about a finding, a
 * leak or a misuse, in one form.
 */
#ifndef SUBJECT_H
#define SUBJECT_H

#include "analysis.h"

/* Strings without duplicates, sorted; owned. */
struct subject_names {
	char **items;
	size_t count, capacity;
};

struct subject {
	const char *verdict; /* "stranded", ..., "misuse" */
	bool has_fingerprint;
	uint64_t fingerprint;
	uint64_t count, objects, bytes;
	uint32_t stack; /* one to show: of the representative's first member; 0 = none */
	struct subject_names types, qualified, functions, modules; /* qualified: runtime:type */
	char label[256];                                           /* for people, free of addresses */
};

/* Each fills `subject`; false when out of memory.  Free it in either case. */
bool subject_of_finding(const struct analysis *analysis, const struct finding *finding,
			struct subject *subject);
bool subject_of_leak(const struct analysis *analysis, const struct leak *leak, struct subject *subject);
bool subject_of_misuse(const struct analysis *analysis, const struct replay_misuse *misuse,
		       struct subject *subject);

void subject_free(struct subject *subject);

/* Adds a copy of `text` unless it is there. */
bool subject_names_add(struct subject_names *names, const char *text);

#endif
