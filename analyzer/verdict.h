/* SPDX-License-Identifier: Apache-2.0
 *
 * From dead nodes and their components to structures.
 *
 * A structure is a cyclic component that no other cyclic component of the dead
 * reaches, with its entrained nodes: what it reaches.  What several structures
 * reach together belongs to one of them, the nearest by number of edges; of
 * equally near ones, the one whose path starts at the smaller address.  So the
 * structures are disjoint.
 *
 * Dead nodes that no cycle reaches have, or hang on something that has, a
 * count of zero: released, but not ended.  An object is in that state while
 * its destructor runs or while it waits in a pool, so they are no finding by
 * themselves; they are listed apart.  A collector's snapshot has none.
 * Members, entrained and those together are exactly the dead nodes.
 */
#ifndef VERDICT_H
#define VERDICT_H

#include "analysis.h"
#include "scc.h"
#include "trial.h"

struct verdict_result {
	struct structure *structures; /* by smallest member; no fingerprints yet */
	size_t count;
	uint32_t *nodes;      /* backs members and entrained */
	const uint32_t *lone; /* dead without a cycle; inside `nodes` */
	uint32_t lone_count;
};

/* `scc`: components of the nodes with state TRIAL_DEAD. */
enum error_code verdict_stranded(const struct graph *graph, const struct scc *scc, struct verdict_result *ret,
				 struct error *error);

/* The same by inferred owners too (hidden.h): likely-stranded. */
enum error_code verdict_inferred(const struct graph *graph, const struct scc *scc, struct verdict_result *ret,
				 struct error *error);

/* `scc`: components, by GRAPH_HOLDING edges, of what no root reaches.  Each that
 * no other leads to is a structure with all that it leads to: stranded when it
 * is cyclic, else leaked.  There are no lone ones. */
enum error_code verdict_lost(const struct graph *graph, const struct scc *scc, struct verdict_result *ret,
			     struct error *error);

/* Every cyclic component of `scc` is one structure, and entrains nothing. */
enum error_code verdict_latent(const struct graph *graph, const struct scc *scc, struct verdict_result *ret,
			       struct error *error);

void verdict_done(struct verdict_result *result);

#endif
