/* SPDX-License-Identifier: Apache-2.0
 *
 * Chains of references, read off backwards from what a walk left.  Never
 * recurses, never prints.
 */
#include <stdlib.h>

#include "path_internal.h"

/* A last step: an edge to the object, or (edge GRAPH_NONE) a root of it. */
struct last {
	uint32_t distance, node, edge;
	size_t root;
};

static int compare_lasts(const void *x, const void *y)
{
	const struct last *a = x, *b = y;

	if (a->distance != b->distance)
		return a->distance < b->distance ? -1 : 1;
	return a->node < b->node ? -1 : a->node > b->node;
}

static size_t count_lasts(const struct path_search *s, uint32_t target)
{
	const struct graph *graph = s->graph;
	size_t count = 1;

	for (uint32_t e = 0; e < graph->edge_count; e++)
		count += graph->edge[e].to == target;
	for (size_t i = 0; i < graph->root_count; i++)
		count += graph->root[i].node == target;
	return count;
}

/* One of each referrer is enough. */
static size_t find_lasts(const struct path_search *s, uint32_t target, struct last *last)
{
	const struct graph *graph = s->graph;
	size_t count = 0;

	for (size_t i = 0; s->origin == PATH_FROM_ROOT && i < graph->root_count; i++) {
		if (graph->root[i].node == target)
			last[count++] = (struct last){0, (uint32_t)count, GRAPH_NONE, i};
	}
	if (s->origin == PATH_FROM_COUNT && s->distance[target] == 0)
		last[count++] = (struct last){0, 0, GRAPH_NONE, 0};
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (s->distance[i] == GRAPH_NONE || i == target)
			continue;
		for (uint32_t e = graph->first[i]; e < graph->first[i + 1]; e++) {
			if (graph->edge[e].to != target || !graph_is(&graph->edge[e], s->kinds))
				continue;
			last[count++] = (struct last){s->distance[i] + 1, i, e, 0};
			break;
		}
	}
	return count;
}

/* Not through the object itself: what only it leads to does not hold it. */
static bool passes(const struct path_search *s, uint32_t node, uint32_t target)
{
	while (node != GRAPH_NONE && node != target)
		node = s->from[node];
	return node == target;
}

static bool make_chain(const struct path_search *s, uint32_t target, const struct last *last,
		       struct path_chain *ret)
{
	uint32_t count = last->distance + 1, node = last->node, edge = last->edge;

	*ret = (struct path_chain){.origin = s->origin, .root = last->root, .count = count};
	ret->step = calloc(count, sizeof(*ret->step));
	if (!ret->step)
		return false;
	ret->step[count - 1] = (struct path_step){target, edge};
	for (uint32_t i = count - 1; i-- > 0;) {
		edge = s->from[node] == GRAPH_NONE ? GRAPH_NONE : s->by[node];
		ret->step[i] = (struct path_step){node, edge};
		if (edge == GRAPH_NONE)
			ret->root = s->by[node];
		node = s->from[node];
	}
	return true;
}

bool path_chains(const struct path_search *s, struct path *path, size_t limit)
{
	struct last *last = malloc(count_lasts(s, path->node) * sizeof(*last));
	size_t count = last ? find_lasts(s, path->node, last) : 0;

	path->chain = calloc(limit + 1, sizeof(*path->chain));
	if (!last || !path->chain) {
		free(last);
		return false;
	}
	qsort(last, count, sizeof(*last), compare_lasts);
	for (size_t i = 0; i < count; i++) {
		if (last[i].edge != GRAPH_NONE && passes(s, last[i].node, path->node))
			continue;
		if (path->chain_count == limit) {
			path->more++;
			continue;
		}
		if (!make_chain(s, path->node, &last[i], &path->chain[path->chain_count]))
			break;
		path->chain_count++;
	}
	free(last);
	return true;
}
