/* SPDX-License-Identifier: Apache-2.0
 *
 * When a structure became garbage: a second walk over the events, for all
 * representatives at once.  For each structure the walk keeps
 *     outside = counts of its members - strong links among its members,
 * and the stranding is the last event that took this to zero.  It can be an
 * UNREF (the last holder let go), a LINK (a count that somebody held turned
 * out to live in a member), or a REF or UNLINK where a program corrects itself.
 *
 * Only annotated objects have such events; for others there is no answer.
 */
#ifndef STRANDING_H
#define STRANDING_H

#include "analysis.h"

struct stranding_group {
	const uint32_t *members; /* nodes */
	uint32_t count;
	struct stranding result;
};

/* `replay` stands at the moment of the analysis, `until` is its time in ticks.
 * Groups must be disjoint. */
enum error_code stranding_find(struct trace *trace, const struct replay *replay, const struct graph *graph,
			       uint64_t until, struct stranding_group *groups, size_t count,
			       struct error *error);

#endif
