/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the walk over the events (provenance.c), the sharing out of what it
 * left (provenance_share.c), and the comparison of call stacks (provenance_match.c).
 */
#ifndef PROVENANCE_INTERNAL_H
#define PROVENANCE_INTERNAL_H

#include "analysis.h"
#include "symbols.h"

/* A reference that was not given back. */
struct provenance_reference {
	uint32_t stack;
	bool birth; /* the first one, taken where the object was allocated */
};

/* An object of the findings. */
struct provenance_object {
	uint32_t node;
	struct provenance_reference *outstanding; /* the oldest first */
	size_t count, capacity;
	uint64_t birth; /* ticks */
	int64_t seen;   /* count, had only the recorded calls changed it */
	struct stranding last_unref;
};

void provenance_remove(struct provenance_object *object, size_t at);

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

/* Gives each pointer to one of the objects a reference that was not given back,
 * while there are any: fills in analysis->acquired.  `objects` is sorted by node. */
enum error_code provenance_share_out(struct analysis *analysis, struct provenance_match *match,
				     struct provenance_object *objects, size_t count, struct error *error);

#endif
