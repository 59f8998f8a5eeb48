/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the walk over the events and the comparison of call stacks.
 */
#ifndef PROVENANCE_INTERNAL_H
#define PROVENANCE_INTERNAL_H

#include "graph.h"
#include "symbols.h"

/* A reference that was not given back. */
struct provenance_reference {
	uint32_t stack;
	bool birth; /* the first one, taken where the object was allocated */
};

struct provenance_match;

enum error_code provenance_match_new(struct symbols *symbols, struct provenance_match **ret,
				     struct error *error);
void provenance_match_free(struct provenance_match *match);

/* Index of the reference that an unref from `stack` gave back; `count` > 0, the
 * oldest first. */
size_t provenance_match_unref(struct provenance_match *match, const struct provenance_reference *reference,
			      size_t count, uint32_t stack);

/* How well the reference suits an owner that was allocated at `allocated` and has
 * this type; "" when it has none. */
uint64_t provenance_match_owner(struct provenance_match *match, const struct provenance_reference *reference,
				uint32_t allocated, const char *type);

#endif
