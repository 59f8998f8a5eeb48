/* SPDX-License-Identifier: Apache-2.0
 *
 * Pearce's algorithm with explicit stacks.  One array holds two stacks: the
 * path from the bottom up, nodes of unfinished components from the top down;
 * a node is on one of them at most, so they cannot collide.  A node's visiting
 * order, its "root of a component" mark and finally its component share one
 * word: 12 bytes of work per node.
 */
#include "scc.h"

#include <stdlib.h>

#define DONE UINT32_C(0x80000000) /* | component; as a number above every order */
#define ROOT UINT32_C(0x40000000) /* no edge back to an earlier node seen yet */

/* The order of a node without the mark; a finished one stays above all. */
static inline uint32_t order_of(uint32_t word)
{
	return word & ~ROOT;
}

struct search {
	const struct graph *graph;
	uint32_t kinds;
	uint32_t *word, *cursor, *stack;
	uint32_t path;   /* top of the path, from 0 up */
	uint32_t open;   /* top of the unfinished nodes, from node_count down */
	uint32_t order;  /* of the next node visited; 0 = not visited */
	uint32_t finish; /* components so far */
};

static inline void visit(struct search *s, uint32_t node)
{
	uint32_t from = s->graph->first[node], to = s->graph->first[node + 1];

	s->word[node] = s->order++ | ROOT;
	s->cursor[node] = from;
	s->stack[s->path++] = node;
	for (uint32_t e = from; e < to; e++)
		__builtin_prefetch(&s->word[s->graph->edge[e].to]);
}

/* Follows edges of `node` until one leads to a new node, which is visited;
 * false when there are no more. */
static inline bool advance(struct search *s, uint32_t node)
{
	const struct graph_edge *edge = s->graph->edge;
	uint32_t word = s->word[node], end = s->graph->first[node + 1];

	for (uint32_t e = s->cursor[node]; e < end; e++) {
		uint32_t other = s->word[edge[e].to];

		if (!graph_is(&edge[e], s->kinds))
			continue;
		if (other == 0) {
			s->cursor[node] = e; /* looked at again, for the order it will have found */
			s->word[node] = word;
			visit(s, edge[e].to);
			return true;
		}
		if (order_of(other) < order_of(word))
			word = order_of(other);
	}
	s->word[node] = word;
	return false;
}

/* `node` has no edges left: either it closes a component or it waits for the
 * node that does. */
static inline void leave(struct search *s, uint32_t node)
{
	uint32_t word = s->word[node], count = s->graph->node_count;

	s->path--;
	if (!(word & ROOT)) {
		s->stack[--s->open] = node;
		return;
	}
	while (s->open < count && order_of(s->word[s->stack[s->open]]) >= order_of(word)) {
		s->word[s->stack[s->open++]] = DONE | s->finish;
		s->order--;
	}
	s->word[node] = DONE | s->finish++;
	s->order--;
}

static void search_all(struct search *s)
{
	for (uint32_t root = 0; root < s->graph->node_count; root++) {
		if (s->word[root])
			continue;
		visit(s, root);
		while (s->path) {
			uint32_t node = s->stack[s->path - 1];

			if (!advance(s, node))
				leave(s, node);
		}
	}
}

enum error_code scc_run(const struct graph *graph, uint32_t kinds, const uint8_t *state, uint32_t wanted,
			struct scc *ret, struct error *error)
{
	size_t nodes = graph->node_count;
	struct search s = {.graph = graph, .kinds = kinds, .open = graph->node_count, .order = 1};

	if (nodes >= SCC_MAX_NODES)
		return error_set(error, ERROR_MEMORY, "%zu objects are more than this analyzer takes", nodes);
	s.word = calloc(nodes + 1, sizeof(*s.word));
	s.cursor = malloc((nodes + 1) * sizeof(*s.cursor));
	s.stack = malloc((nodes + 1) * sizeof(*s.stack));
	if (!s.word || !s.cursor || !s.stack) {
		free(s.word);
		free(s.cursor);
		free(s.stack);
		return error_set(error, ERROR_MEMORY, "out of memory for the components of %zu objects",
				 nodes);
	}
	for (size_t i = 0; state && i < nodes; i++) {
		if (!(wanted >> state[i] & 1))
			s.word[i] = GRAPH_NONE;
	}
	search_all(&s);
	for (size_t i = 0; i < nodes; i++) {
		if (s.word[i] != GRAPH_NONE)
			s.word[i] &= ~DONE;
	}
	free(s.cursor);
	free(s.stack);
	*ret = (struct scc){.component = s.word, .count = s.finish};
	return ERROR_NONE;
}

void scc_done(struct scc *scc)
{
	free(scc->component);
	*scc = (struct scc){0};
}
