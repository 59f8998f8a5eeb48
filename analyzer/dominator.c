/* SPDX-License-Identifier: Apache-2.0
 *
 * Lengauer-Tarjan over depth-first numbers: number 0 is the virtual root, and
 * smaller numbers come nearer to it.  All arrays but the map from nodes are
 * indexed by number, so that memory goes by what is reached.
 */
#include "dominator.h"

#include <stdlib.h>
#include <string.h>

struct flow {
	const struct graph *graph;
	const uint8_t *state;
	uint32_t wanted;
	uint32_t *number;   /* of each node, GRAPH_NONE = not reached */
	uint32_t count;     /* numbers given, the root's 0 included */
	uint32_t *block;    /* the arrays below are parts of it */
	uint32_t *node;     /* of a number */
	uint32_t kinds;     /* of edges */
	uint32_t *parent;   /* in the depth-first tree */
	uint32_t *semi;     /* semidominator */
	uint32_t *label;    /* the least semidominator on the compressed path */
	uint32_t *ancestor; /* in the forest; GRAPH_NONE = a root of it */
	uint32_t *idom;
	uint32_t *bucket, *next;     /* those whose semidominator this is */
	uint32_t *path;              /* stack of the search, then of compress() */
	uint32_t *cursor;            /* next edge of a number on the stack */
	uint32_t *into_first, *into; /* predecessors, as rows of numbers */
};

#define FLOW_ARRAYS 11u

static bool takes_part(const struct flow *f, uint32_t node)
{
	return !f->state || (f->wanted >> f->state[node] & 1);
}

static bool allocate(struct flow *f)
{
	size_t room = 2;
	uint32_t **arrays[FLOW_ARRAYS] = {&f->node,     &f->parent, &f->semi,      &f->label,
					  &f->ancestor, &f->idom,   &f->bucket,    &f->next,
					  &f->path,     &f->cursor, &f->into_first};

	for (uint32_t i = 0; i < f->graph->node_count; i++)
		room += takes_part(f, i);
	f->block = malloc(FLOW_ARRAYS * room * sizeof(*f->block));
	f->number = malloc(((size_t)f->graph->node_count + 1) * sizeof(*f->number));
	if (!f->block || !f->number)
		return false;
	for (unsigned i = 0; i < FLOW_ARRAYS; i++)
		*arrays[i] = f->block + i * room;
	memset(f->number, 0xff, ((size_t)f->graph->node_count + 1) * sizeof(*f->number));
	return true;
}

/* ---- depth-first numbers ---------------------------------------------------- */

static void enter(struct flow *f, uint32_t node, uint32_t parent)
{
	uint32_t number = f->count++;

	f->number[node] = number;
	f->node[number] = node;
	f->parent[number] = parent;
	f->cursor[number] = f->graph->first[node];
}

/* The next new node that an edge of `number` leads to, or GRAPH_NONE. */
static uint32_t next_child(struct flow *f, uint32_t number)
{
	uint32_t end = f->graph->first[f->node[number] + 1];

	while (f->cursor[number] < end) {
		const struct graph_edge *edge = &f->graph->edge[f->cursor[number]++];

		if (graph_is(edge, f->kinds) && takes_part(f, edge->to) && f->number[edge->to] == GRAPH_NONE)
			return edge->to;
	}
	return GRAPH_NONE;
}

static void number_from(struct flow *f, uint32_t source)
{
	uint32_t depth = 0;

	if (!takes_part(f, source) || f->number[source] != GRAPH_NONE)
		return;
	f->path[depth++] = f->count;
	enter(f, source, 0);
	while (depth) {
		uint32_t number = f->path[depth - 1], child = next_child(f, number);

		if (child == GRAPH_NONE) {
			depth--;
			continue;
		}
		f->path[depth++] = f->count;
		enter(f, child, number);
	}
}

/* ---- predecessors ------------------------------------------------------------ */

/* Calls for each edge between numbered nodes: with `fill`, puts it in place,
 * else only counts it. */
static void walk_edges(struct flow *f, bool fill)
{
	for (uint32_t v = 1; v < f->count; v++) {
		for (uint32_t e = f->graph->first[f->node[v]]; e < f->graph->first[f->node[v] + 1]; e++) {
			const struct graph_edge *edge = &f->graph->edge[e];
			uint32_t w = f->number[edge->to];

			if (w == GRAPH_NONE || !graph_is(edge, f->kinds))
				continue;
			if (fill)
				f->into[--f->into_first[w]] = v;
			else
				f->into_first[w]++;
		}
	}
}

static bool collect_predecessors(struct flow *f, const uint32_t *source, size_t source_count)
{
	uint32_t total = 0;

	memset(f->into_first, 0, ((size_t)f->count + 1) * sizeof(*f->into_first));
	walk_edges(f, false);
	for (size_t i = 0; i < source_count; i++) {
		if (f->number[source[i]] != GRAPH_NONE)
			f->into_first[f->number[source[i]]]++;
	}
	for (uint32_t w = 0; w <= f->count; w++) {
		total += f->into_first[w];
		f->into_first[w] = total; /* the end; filling moves it to the start */
	}
	f->into = malloc(((size_t)total + 1) * sizeof(*f->into));
	if (!f->into)
		return false;
	walk_edges(f, true);
	for (size_t i = 0; i < source_count; i++) {
		if (f->number[source[i]] != GRAPH_NONE)
			f->into[--f->into_first[f->number[source[i]]]] = 0;
	}
	return true;
}

/* ---- dominators ---------------------------------------------------------------- */

/* Hangs the path above `v` directly below its forest root, from the top down. */
static void compress(struct flow *f, uint32_t v)
{
	uint32_t depth = 0;

	for (; f->ancestor[f->ancestor[v]] != GRAPH_NONE; v = f->ancestor[v])
		f->path[depth++] = v;
	while (depth) {
		uint32_t x = f->path[--depth], above = f->ancestor[x];

		if (f->semi[f->label[above]] < f->semi[f->label[x]])
			f->label[x] = f->label[above];
		f->ancestor[x] = f->ancestor[above];
	}
}

static uint32_t evaluate(struct flow *f, uint32_t v)
{
	if (f->ancestor[v] != GRAPH_NONE)
		compress(f, v);
	return f->label[v];
}

static void settle_bucket(struct flow *f, uint32_t of)
{
	for (uint32_t v = f->bucket[of]; v != GRAPH_NONE; v = f->next[v]) {
		uint32_t u = evaluate(f, v);

		f->idom[v] = f->semi[u] < f->semi[v] ? u : of;
	}
	f->bucket[of] = GRAPH_NONE;
}

static void find_dominators(struct flow *f)
{
	for (uint32_t v = 0; v < f->count; v++) {
		f->semi[v] = f->label[v] = v;
		f->ancestor[v] = f->bucket[v] = GRAPH_NONE;
	}
	for (uint32_t w = f->count; w-- > 1;) {
		for (uint32_t p = f->into_first[w]; p < f->into_first[w + 1]; p++) {
			uint32_t u = evaluate(f, f->into[p]);

			if (f->semi[u] < f->semi[w])
				f->semi[w] = f->semi[u];
		}
		f->next[w] = f->bucket[f->semi[w]];
		f->bucket[f->semi[w]] = w;
		f->ancestor[w] = f->parent[w];
		settle_bucket(f, f->parent[w]);
	}
	f->idom[0] = 0;
	for (uint32_t w = 1; w < f->count; w++) {
		if (f->idom[w] != f->semi[w])
			f->idom[w] = f->idom[f->idom[w]];
	}
}

/* A dominator has a smaller number than what it dominates: one walk from the
 * highest number down sums the sizes; the map of numbers becomes the answer. */
static void write_result(struct flow *f, uint64_t *retained)
{
	for (uint32_t w = f->count; w-- > 1;) {
		uint32_t node = f->node[w];

		retained[node] += f->graph->node[node].size;
		if (f->idom[w])
			retained[f->node[f->idom[w]]] += retained[node];
		f->number[node] = f->idom[w] ? f->node[f->idom[w]] : DOMINATOR_ROOT;
	}
}

enum error_code dominator_run(const struct graph *graph, uint32_t kinds, const uint8_t *state,
			      uint32_t wanted, const uint32_t *source, size_t source_count,
			      struct dominators *ret, struct error *error)
{
	struct flow f = {.graph = graph, .kinds = kinds, .state = state, .wanted = wanted, .count = 1};
	uint64_t *retained = calloc((size_t)graph->node_count + 1, sizeof(*retained));
	bool ok = retained && allocate(&f);

	for (size_t i = 0; ok && i < source_count; i++)
		number_from(&f, source[i]);
	ok = ok && collect_predecessors(&f, source, source_count);
	if (ok) {
		find_dominators(&f);
		write_result(&f, retained);
		*ret = (struct dominators){.parent = f.number, .retained = retained};
	} else {
		free(f.number);
		free(retained);
	}
	free(f.block);
	free(f.into);
	return ok ? ERROR_NONE
		  : error_set(error, ERROR_MEMORY, "out of memory for the dominators of %u objects",
			      graph->node_count);
}

void dominator_done(struct dominators *dominators)
{
	free(dominators->parent);
	free(dominators->retained);
	*dominators = (struct dominators){0};
}
