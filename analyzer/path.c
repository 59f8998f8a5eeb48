/* SPDX-License-Identifier: Apache-2.0
 *
 * A breadth-first walk from all origins at once gives every node its distance
 * and the edge by which it was reached first; the chains are read off backwards
 * from the edges that lead to the object.  Never recurses, never prints.
 */
#include <stdlib.h>
#include <string.h>

#include "dominator.h"
#include "path_internal.h"

uint32_t path_locate(const struct graph *graph, uint64_t address)
{
	uint32_t low = 0, high = graph->node_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (graph->node[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return GRAPH_NONE;
	low--;
	if (address - graph->node[low].address >= (graph->node[low].size ? graph->node[low].size : 1))
		return GRAPH_NONE;
	return low;
}

/* ---- the walk -------------------------------------------------------------------- */

static bool allocate(struct path_search *s)
{
	size_t nodes = (size_t)s->graph->node_count + 1;
	uint32_t **arrays[] = {&s->member, &s->distance, &s->from, &s->by, &s->queue, &s->source};

	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
		*arrays[i] = malloc(nodes * sizeof(uint32_t));
		if (!*arrays[i])
			return false;
		memset(*arrays[i], 0xff, nodes * sizeof(uint32_t));
	}
	return true;
}

static void release(struct path_search *s)
{
	free(s->member);
	free(s->distance);
	free(s->from);
	free(s->by);
	free(s->queue);
	free(s->source);
}

static void mark_structures(struct path_search *s)
{
	for (size_t i = 0; i < s->analysis->structure_count; i++) {
		const struct structure *structure = &s->analysis->structures[i];

		if (structure->verdict == VERDICT_LATENT)
			continue;
		for (uint32_t m = 0; m < structure->member_count; m++)
			s->member[structure->members[m]] = (uint32_t)i;
		for (uint32_t m = 0; m < structure->entrained_count; m++)
			s->member[structure->entrained[m]] = (uint32_t)i;
	}
}

static void start(struct path_search *s, uint32_t node, uint32_t by)
{
	if (s->distance[node] != GRAPH_NONE)
		return;
	s->distance[node] = 0;
	s->by[node] = by;
	s->queue[s->tail++] = node;
	s->source[s->sources++] = node;
}

/* References that are known, from living objects and dead ones alike. */
static void start_from_counts(struct path_search *s)
{
	const struct graph *graph = s->graph;
	uint32_t *known = s->queue; /* not in use yet */

	memset(known, 0, ((size_t)graph->node_count + 1) * sizeof(*known));
	for (uint32_t e = 0; e < graph->edge_count; e++)
		known[graph->edge[e].to] += graph_owns(&graph->edge[e]);
	for (uint32_t i = 0; i < graph->node_count; i++) {
		bool counted = graph->node[i].flags & GRAPH_NODE_COUNTED;

		if (s->member[i] == GRAPH_NONE && (!counted || graph->node[i].refcount > (int64_t)known[i]))
			s->source[s->sources++] = i;
	}
	for (uint32_t i = 0; i < s->sources; i++) {
		s->distance[s->source[i]] = 0;
		s->queue[i] = s->source[i];
	}
	s->tail = s->sources;
	s->origin = PATH_FROM_COUNT;
}

static void start_from_roots(struct path_search *s)
{
	const struct graph *graph = s->graph;

	for (size_t i = 0; i < graph->root_count && i < GRAPH_NONE; i++) {
		if (s->member[graph->root[i].node] == GRAPH_NONE)
			start(s, graph->root[i].node, (uint32_t)i);
	}
	s->origin = PATH_FROM_ROOT;
}

static void start_from_structure(struct path_search *s, uint32_t structure)
{
	const struct structure *from = &s->analysis->structures[structure];

	for (uint32_t m = 0; m < from->member_count; m++)
		start(s, from->members[m], 0);
	s->origin = PATH_FROM_MEMBER;
}

/* `within`: the structure whose nodes may be entered; GRAPH_NONE = those of none. */
static void walk(struct path_search *s, uint32_t within)
{
	const struct graph *graph = s->graph;

	for (uint32_t head = 0; head < s->tail; head++) {
		uint32_t node = s->queue[head];

		for (uint32_t e = graph->first[node]; e < graph->first[node + 1]; e++) {
			uint32_t to = graph->edge[e].to;

			if (s->distance[to] != GRAPH_NONE || !graph_is(&graph->edge[e], s->kinds) ||
			    (s->member[to] != GRAPH_NONE && s->member[to] != within))
				continue;
			s->distance[to] = s->distance[node] + 1;
			s->from[to] = node;
			s->by[to] = e;
			s->queue[s->tail++] = to;
		}
	}
}

static void restart(struct path_search *s)
{
	size_t size = ((size_t)s->graph->node_count + 1) * sizeof(uint32_t);

	memset(s->distance, 0xff, size);
	memset(s->from, 0xff, size);
	memset(s->by, 0xff, size);
	s->tail = s->sources = 0;
}

/* ---- dominators ---------------------------------------------------------------------- */

static enum error_code find_retained(const struct path_search *s, struct path *path, struct error *error)
{
	struct dominators dominators;
	enum error_code code =
		dominator_run(s->graph, s->kinds, NULL, 0, s->source, s->sources, &dominators, error);
	size_t count = 0;

	if (code)
		return code;
	path->retained = dominators.retained[path->node];
	for (uint32_t node = dominators.parent[path->node]; node < DOMINATOR_ROOT;
	     node = dominators.parent[node])
		count++;
	path->dominator = calloc(count + 1, sizeof(*path->dominator));
	for (uint32_t node = dominators.parent[path->node]; path->dominator && node < DOMINATOR_ROOT;
	     node = dominators.parent[node])
		path->dominator[path->dominator_count++] = node;
	dominator_done(&dominators);
	return path->dominator ? ERROR_NONE : error_set(error, ERROR_MEMORY, "out of memory for dominators");
}

/* ---- the whole ------------------------------------------------------------------------- */

static void walk_in_structure(struct path_search *s, uint32_t structure)
{
	restart(s);
	start_from_structure(s, structure);
	walk(s, structure);
}

/* Structures hold too, whatever they hold: further from where the roots ended. */
static void walk_from_structures(struct path_search *s)
{
	for (uint32_t i = 0; i < s->analysis->structure_count; i++) {
		if (s->analysis->structures[i].verdict != VERDICT_LATENT)
			start_from_structure(s, i);
	}
	for (uint32_t i = 0; i < s->graph->node_count; i++)
		s->member[i] = GRAPH_NONE;
	walk(s, GRAPH_NONE);
}

/* From what is lost and has no lost one before it; for want of such, from the
 * object itself. */
static void walk_from_lost(struct path_search *s, uint32_t target)
{
	const struct graph *graph = s->graph;
	uint32_t *leads = s->member; /* no longer in use: whether a lost one leads to it */

	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (s->distance[i] != GRAPH_NONE)
			continue;
		for (uint32_t e = graph->first[i]; e < graph->first[i + 1]; e++) {
			if (graph_is(&graph->edge[e], s->kinds))
				leads[graph->edge[e].to] = 1;
		}
	}
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (leads[i] == GRAPH_NONE)
			start(s, i, 0);
		leads[i] = GRAPH_NONE;
	}
	walk(s, GRAPH_NONE);
	start(s, target, 0);
	s->origin = PATH_FROM_LOST;
}

static bool is_member(const struct path_search *s, uint32_t structure, uint32_t node)
{
	const struct structure *from = &s->analysis->structures[structure];

	for (uint32_t m = 0; m < from->member_count; m++) {
		if (from->members[m] == node)
			return true;
	}
	return false;
}

static void search(struct path_search *s, struct path *path)
{
	uint32_t structure;

	mark_structures(s);
	if (s->graph->scanned)
		start_from_roots(s);
	else
		start_from_counts(s);
	walk(s, GRAPH_NONE);
	if (s->distance[path->node] != GRAPH_NONE)
		return;
	structure = s->member[path->node];
	if (structure != GRAPH_NONE) {
		walk_in_structure(s, structure);
		path->structure = structure;
		path->status = is_member(s, structure, path->node) ? PATH_MEMBER : PATH_ENTRAINED;
		return;
	}
	walk_from_structures(s);
	path->status = PATH_ENTRAINED;
	if (s->distance[path->node] != GRAPH_NONE)
		return;
	path->status = PATH_LOST;
	walk_from_lost(s, path->node);
}

static enum error_code find(struct path_search *s, struct path *path, size_t limit, struct error *error)
{
	if (!allocate(s))
		return error_set(error, ERROR_MEMORY, "out of memory to look for paths among %u objects",
				 s->graph->node_count);
	search(s, path);
	if (!path_chains(s, path, limit))
		return error_set(error, ERROR_MEMORY, "out of memory for the paths to an object");
	return find_retained(s, path, error);
}

enum error_code path_find(const struct analysis *analysis, uint32_t node, size_t limit, struct path **ret,
			  struct error *error)
{
	struct path_search s = {.graph = analysis->graph, .analysis = analysis, .origin = PATH_FROM_ROOT};
	struct path *path = calloc(1, sizeof(*path));
	enum error_code code;

	if (!path)
		return error_set(error, ERROR_MEMORY, "out of memory for the paths to an object");
	s.kinds = s.graph->scanned ? GRAPH_HOLDING : (GRAPH_HOLDING & GRAPH_EXACT) | GRAPH_INFERRED;
	path->node = node;
	path->structure = GRAPH_NONE;
	code = find(&s, path, limit, error);
	release(&s);
	if (code)
		path_free(path);
	else
		*ret = path;
	return code;
}

void path_free(struct path *path)
{
	if (!path)
		return;
	for (size_t i = 0; i < path->chain_count; i++)
		free(path->chain[i].step);
	free(path->chain);
	free(path->dominator);
	free(path);
}
