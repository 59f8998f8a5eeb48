/* SPDX-License-Identifier: Apache-2.0
 *
 * Suppression files: one `kind:pattern` per line, `#` starts a comment.  A
 * finding is suppressed when any line matches.
 */
#ifndef SUPPRESS_H
#define SUPPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "subject.h"

/* X(kind, "what its pattern is compared with") */
#define SUPPRESS_KINDS(X)                                            \
	X(fingerprint, "the 16 hex digits of the finding")           \
	X(type, "glob over a member's type, or runtime:type")        \
	X(function, "glob over a function of an allocation's stack") \
	X(module, "glob over a module's path, or its last component")

enum suppress_kind {
#define X(kind, help) SUPPRESS_##kind,
	SUPPRESS_KINDS(X)
#undef X
};

struct suppression {
	enum suppress_kind kind;
	char *pattern;
	uint64_t fingerprint;
	const char *path; /* borrowed from the caller of suppress_read */
	unsigned line;
	uint64_t used;
};

struct suppressions {
	struct suppression *entries;
	size_t count;
};

/* Adds the entries of one file. */
enum error_code suppress_read(const char *path, struct suppressions *list, struct error *error);

/* Whether an entry matches; counts its use. */
bool suppress_match(struct suppressions *list, const struct subject *subject);

const char *suppress_kind_name(enum suppress_kind kind);

void suppress_free(struct suppressions *list);

#endif
