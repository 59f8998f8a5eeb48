/* SPDX-License-Identifier: Apache-2.0
 *
 * Two breadth-first walks over the edges that hold: from the roots around the
 * dead structures, then from the structures into what is left.  Never recurses,
 * never prints.
 */
#include "reach.h"

#include <stdlib.h>

/* Runtimes give objects that are never freed a count that no program reaches. */
#define IMMORTAL (INT64_C(1) << 29)

#define EDGE_AHEAD 16
#define NODE_AHEAD 8

struct walk {
	const struct graph *graph;
	uint8_t *state;
	uint32_t *queue;
	uint32_t tail;
	uint32_t *owner; /* of dead and entrained nodes: the structure */
	struct verdict_result *dead;
	uint32_t *strong; /* graph_count_strong() */
};

/* ---- from the roots ---------------------------------------------------------- */

static void hold_one(struct walk *w, uint32_t node)
{
	if (w->state[node] != REACH_LOST)
		return;
	w->state[node] = REACH_HELD;
	w->queue[w->tail++] = node;
}

/* With a node everything else in its block is held. */
static void hold(struct walk *w, uint32_t node)
{
	const struct graph_node *nodes = w->graph->node;
	uint32_t first = node, count = w->graph->node_count;

	if (w->state[node] != REACH_LOST)
		return;
	while (nodes[first].flags & GRAPH_NODE_SHARED && first > 0)
		first--;
	hold_one(w, first);
	for (uint32_t i = first + 1; i < count && nodes[i].flags & GRAPH_NODE_SHARED; i++)
		hold_one(w, i);
}

/* Of an object that is in no block (on a stack, in a library's data) no scan
 * can tell who points to it. */
static bool is_kept(const struct graph_node *node, uint8_t trial_state)
{
	if (!(node->flags & (GRAPH_NODE_BLOCK | GRAPH_NODE_IN_BLOCK)))
		return true;
	if (!(node->flags & GRAPH_NODE_COUNTED))
		return false;
	return trial_state == TRIAL_EXTERNAL || node->refcount >= IMMORTAL;
}

static void hold_from_roots(struct walk *w, const struct trial *trial, const struct reach_more *more)
{
	const struct graph *graph = w->graph;

	for (size_t i = 0; i < graph->root_count; i++) {
		if (!graph_is_accounted_for(graph, w->strong, graph->root[i].node))
			hold(w, graph->root[i].node);
	}
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (is_kept(&graph->node[i], trial->state[i]) ||
		    (more && more->is_held(more->arg, &graph->node[i])))
			hold(w, i);
	}
	for (uint32_t head = 0; head < w->tail; head++) {
		uint32_t node = w->queue[head], end = graph->first[node + 1];

		if (head + NODE_AHEAD < w->tail)
			__builtin_prefetch(&graph->first[w->queue[head + NODE_AHEAD]]);
		for (uint32_t e = graph->first[node]; e < end; e++) {
			if (e + EDGE_AHEAD < graph->edge_count)
				__builtin_prefetch(&w->state[graph->edge[e + EDGE_AHEAD].to], 1);
			if (graph_is(&graph->edge[e], GRAPH_HOLDING) &&
			    (graph_is_strong(&graph->edge[e]) ||
			     !graph_is_accounted_for(graph, w->strong, graph->edge[e].to)))
				hold(w, graph->edge[e].to);
		}
	}
}

/* ---- from the structures -------------------------------------------------------- */

static void mark_dead(struct walk *w)
{
	for (size_t i = 0; i < w->dead->count; i++) {
		const struct structure *s = &w->dead->structures[i];

		for (uint32_t m = 0; m < s->member_count; m++)
			w->state[s->members[m]] = REACH_DEAD;
		for (uint32_t m = 0; m < s->entrained_count; m++)
			w->state[s->entrained[m]] = REACH_DEAD;
	}
}

static void enqueue_dead(struct walk *w, const uint32_t *node, uint32_t count, uint32_t structure)
{
	for (uint32_t i = 0; i < count; i++) {
		w->owner[node[i]] = structure;
		w->queue[w->tail++] = node[i];
	}
}

static void entrain(struct walk *w)
{
	const struct graph *graph = w->graph;

	w->tail = 0;
	for (uint32_t i = 0; i < w->dead->count; i++) {
		const struct structure *s = &w->dead->structures[i];

		enqueue_dead(w, s->members, s->member_count, i);
		enqueue_dead(w, s->entrained, s->entrained_count, i);
	}
	for (uint32_t head = 0; head < w->tail; head++) {
		uint32_t node = w->queue[head];

		for (uint32_t e = graph->first[node]; e < graph->first[node + 1]; e++) {
			uint32_t to = graph->edge[e].to;
			struct structure *s = &w->dead->structures[w->owner[node]];

			if (w->state[to] != REACH_LOST || !graph_is(&graph->edge[e], GRAPH_HOLDING))
				continue;
			w->state[to] = REACH_ENTRAINED;
			w->owner[to] = w->owner[node];
			w->queue[w->tail++] = to;
			s->block_count++;
			s->block_bytes += graph->node[to].size;
		}
	}
}

static uint32_t count_lost(const struct walk *w)
{
	uint32_t lost = 0;

	for (uint32_t i = 0; i < w->graph->node_count; i++)
		lost += w->state[i] == REACH_LOST;
	return lost;
}

enum error_code reach_run(const struct graph *graph, const struct trial *trial, const struct reach_more *more,
			  struct verdict_result *dead, struct reach *ret, struct error *error)
{
	size_t nodes = (size_t)graph->node_count + 1;
	struct walk walk = {.graph = graph, .dead = dead};
	enum error_code code = ERROR_NONE;

	walk.state = calloc(nodes, 1);
	walk.queue = malloc(nodes * sizeof(*walk.queue));
	walk.owner = malloc(nodes * sizeof(*walk.owner));
	if (walk.state && walk.queue && walk.owner) {
		walk.strong = graph_count_strong(graph);
		mark_dead(&walk);
		hold_from_roots(&walk, trial, more);
		entrain(&walk);
		*ret = (struct reach){.state = walk.state, .lost = count_lost(&walk)};
	} else {
		code = error_set(error, ERROR_MEMORY, "out of memory to follow the references of %u objects",
				 graph->node_count);
		free(walk.state);
	}
	free(walk.queue);
	free(walk.owner);
	free(walk.strong);
	return code;
}

void reach_done(struct reach *reach)
{
	free(reach->state);
	*reach = (struct reach){0};
}
