/* SPDX-License-Identifier: Apache-2.0
 *
 * Dominators of the graph that structures form: a virtual root leads to every
 * given source, and node A dominates B when each path from the root to B goes
 * through A.  A node's retained size is its own and that of all it dominates:
 * what would go if it went.
 *
 * Source: T. Lengauer and R. E. Tarjan, "A Fast Algorithm for Finding
 * Dominators in a Flowgraph", TOPLAS 1 (1979), the simple version with path
 * compression, O(m log n), with explicit stacks.
 */
#ifndef DOMINATOR_H
#define DOMINATOR_H

#include "graph.h"

struct dominators {
	/* Per node: its immediate dominator; DOMINATOR_ROOT = only the root;
	 * GRAPH_NONE = not reached from the sources. */
	uint32_t *parent;
	uint64_t *retained; /* per node, in bytes; 0 when not reached */
};

#define DOMINATOR_ROOT (GRAPH_NONE - 1)

/* Follows edges of these kinds (GRAPH_OWNING) between nodes whose bit state[node] is set in
 * `wanted`; state NULL = all. */
enum error_code dominator_run(const struct graph *graph, uint32_t kinds, const uint8_t *state,
			      uint32_t wanted, const uint32_t *source, size_t source_count,
			      struct dominators *ret, struct error *error);

void dominator_done(struct dominators *dominators);

#endif
