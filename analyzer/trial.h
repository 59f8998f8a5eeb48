/* SPDX-License-Identifier: Apache-2.0
 *
 * Trial deletion: which objects are kept alive by nothing but each other.
 * Every candidate's count is reduced by the references that other candidates
 * hold; what is left over comes from outside.  Whatever such an object reaches
 * lives, the rest is dead.
 *
 * Sources: CPython 3.11, Modules/gcmodule.c (update_refs, subtract_refs,
 * move_unreachable) and its collector design document; D. F. Bacon and
 * V. T. Rajan, "Concurrent Cycle Collection in Reference Counted Systems",
 * ECOOP 2001; R. D. Lins, "Cyclic Reference Counting with Lazy Mark-Scan",
 * Information Processing Letters 44 (1992).
 *
 * Only exact strong edges take part.  Duplicates and self-edges count each.
 * Objects that are no candidates (an older generation, permanent, another
 * runtime, no known count) need no mark phase of their own: the counts that
 * they hold stay unexplained, as in CPython.
 */
#ifndef TRIAL_H
#define TRIAL_H

#include "graph.h"

enum trial_state {
	TRIAL_EXTERNAL = 0, /* no candidate */
	TRIAL_HELD = 1,     /* a candidate that something outside keeps alive */
	TRIAL_DEAD = 2,
};

struct trial {
	uint8_t *state; /* enum trial_state of each node */
	uint32_t candidates;
	uint32_t dead;
	/* Candidates with more references than counts.  The graph is wrong
	 * there, so they are taken as held. */
	uint32_t inexact;
};

/* `generation`: candidates are of this generation or a younger one.
 * `runtimes`: bit per enum castaway_runtime, 0 = all.
 * Needs 9 bytes per node, of which 1 stays with the result. */
enum error_code trial_run(const struct graph *graph, int generation, uint32_t runtimes, struct trial *ret,
			  struct error *error);

/* The same with more edges than the exact ones (`kinds`), and with candidates
 * that the runtime's collector does not know of.  GRAPH_OWNING must be in it. */
enum error_code trial_run_inferred(const struct graph *graph, uint32_t kinds, int generation,
				   uint32_t runtimes, struct trial *ret, struct error *error);

void trial_done(struct trial *trial);

#endif
