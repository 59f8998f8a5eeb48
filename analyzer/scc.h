/* SPDX-License-Identifier: Apache-2.0
 *
 * Strongly connected components of all nodes or of a subset, by the edges of
 * some kinds.  Iterative, because paths of millions of objects are normal (a
 * linked list is one).
 *
 * Source: D. J. Pearce, "A Space-Efficient Algorithm for Finding Strongly
 * Connected Components", Information Processing Letters 116 (2016); it refines
 * R. Tarjan, "Depth-First Search and Linear Graph Algorithms", 1972.
 */
#ifndef SCC_H
#define SCC_H

#include "graph.h"

struct scc {
	/* Component of each node, GRAPH_NONE outside the subset.  An edge
	 * between two components leads from the higher number to the lower. */
	uint32_t *component;
	uint32_t count;
};

#define SCC_MAX_NODES (1u << 30)

/* `kinds`: GRAPH_OWNING or another set of edges.  `state` and `wanted`: a node takes part when bit
 * state[node] of `wanted` is set; state NULL = all.  12 bytes per node, of which 4 stay with the result. */
enum error_code scc_run(const struct graph *graph, uint32_t kinds, const uint8_t *state, uint32_t wanted,
			struct scc *ret, struct error *error);

void scc_done(struct scc *scc);

#endif
