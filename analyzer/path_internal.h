/* SPDX-License-Identifier: Apache-2.0
 *
 * What path.c (the walk) and path_chain.c (what it tells) share.
 */
#ifndef PATH_INTERNAL_H
#define PATH_INTERNAL_H

#include "path.h"

struct path_search {
	const struct graph *graph;
	const struct analysis *analysis;
	uint32_t kinds;     /* of edges */
	uint32_t *member;   /* per node: structure that has it, GRAPH_NONE */
	uint32_t *distance; /* GRAPH_NONE = not reached */
	uint32_t *from;     /* node before it; GRAPH_NONE = an origin */
	uint32_t *by;       /* edge, or what makes it an origin: number of a root */
	uint32_t *queue, *source;
	uint32_t tail, sources;
	enum path_origin origin;
};

/* Fills path->chain with the chains that lead to path->node. */
bool path_chains(const struct path_search *search, struct path *path, size_t limit);

#endif
