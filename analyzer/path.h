/* SPDX-License-Identifier: Apache-2.0
 *
 * Who holds one object or block: shortest chains of references from what the
 * program holds, or from the structure that keeps it, to it; what it retains;
 * and through what all chains go.
 */
#ifndef PATH_H
#define PATH_H

#include "analysis.h"

enum path_status {
	PATH_HELD,      /* by a root or, without a scan, by a count */
	PATH_MEMBER,    /* of a structure that is a finding */
	PATH_ENTRAINED, /* only such a structure leads to it */
	PATH_LOST,      /* nothing leads to it but what is lost itself */
};

enum path_origin {
	PATH_FROM_ROOT,   /* graph->root[origin] */
	PATH_FROM_COUNT,  /* the first node has a count that no known reference explains */
	PATH_FROM_MEMBER, /* the first node is a member of a structure */
	PATH_FROM_LOST,   /* the first node is lost itself */
};

/* `edge`: index in graph->edge, leads to `node`; GRAPH_NONE for the first. */
struct path_step {
	uint32_t node, edge;
};

struct path_chain {
	enum path_origin origin;
	size_t root;
	struct path_step *step;
	uint32_t count;
};

struct path {
	enum path_status status;
	uint32_t node;
	uint32_t structure; /* in analysis->structures; GRAPH_NONE */
	struct path_chain *chain;
	size_t chain_count, more; /* more: that `limit` left out */
	uint64_t retained;        /* bytes that would go with it, its own included */
	uint32_t *dominator;      /* through what all chains go, nearest first */
	size_t dominator_count;
};

/* The node at the address, or the one in whose block the address lies;
 * GRAPH_NONE. */
uint32_t path_locate(const struct graph *graph, uint64_t address);

/* At most `limit` chains, by different last steps, shortest first.  Four walks
 * over the graph. */
enum error_code path_find(const struct analysis *analysis, uint32_t node, size_t limit, struct path **ret,
			  struct error *error);
void path_free(struct path *path); /* NULL is fine */

#endif
