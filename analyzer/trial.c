/* SPDX-License-Identifier: Apache-2.0
 *
 * Trial deletion.  Two linear sweeps over the rows and one breadth-first walk.
 * The walk uses a queue and not a stack: what comes next is then known some
 * steps ahead and can be prefetched, which halves its time on large graphs.
 * Never recurses, never prints.
 */
#include "trial.h"

#include <stdlib.h>

#define EDGE_AHEAD 24
#define NODE_AHEAD 8
#define ROW_AHEAD  4

struct choice {
	uint32_t kinds; /* of edges */
	int generation;
	uint32_t runtimes;
};

static bool is_candidate(const struct graph_node *node, const struct choice *choice)
{
	unsigned own = node->flags & GRAPH_NODE_GENERATION;

	if (own == 3 || (int)own > choice->generation || !(node->flags & GRAPH_NODE_COUNTED) ||
	    (node->untracked && choice->kinds == GRAPH_OWNING))
		return false;
	return choice->runtimes == 0 || (node->runtime < 32 && (choice->runtimes >> node->runtime & 1));
}

/* Counts are clamped: there are less than 2^31 edges, so a clamped count never
 * reaches zero.  That covers immortal objects as well. */
static int32_t clamp_count(int64_t count)
{
	if (count > INT32_MAX)
		return INT32_MAX;
	return count < 0 ? -1 : (int32_t)count;
}

static void load_counts(const struct graph *graph, const struct choice *choice, struct trial *trial,
			int32_t *left)
{
	for (uint32_t i = 0; i < graph->node_count; i++) {
		bool candidate = is_candidate(&graph->node[i], choice);

		trial->state[i] = candidate ? TRIAL_DEAD : TRIAL_EXTERNAL;
		trial->candidates += candidate;
		left[i] = candidate ? clamp_count(graph->node[i].refcount) : INT32_MAX;
	}
}

/* A negative count to begin with stays negative, whatever is subtracted. */
static void subtract_references(const struct graph *graph, uint32_t kinds, const struct trial *trial,
				int32_t *left)
{
	const struct graph_edge *edge = graph->edge;

	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (trial->state[i] == TRIAL_EXTERNAL)
			continue;
		for (uint32_t e = graph->first[i]; e < graph->first[i + 1]; e++) {
			if (e + EDGE_AHEAD < graph->edge_count)
				__builtin_prefetch(&left[edge[e + EDGE_AHEAD].to], 1);
			if (graph_is(&edge[e], kinds))
				left[edge[e].to]--;
		}
	}
}

/* A candidate with no count left must not have a reference from outside: it
 * would be one that nobody counted. */
static void mark_uncounted(const struct graph *graph, uint32_t kinds, const struct trial *trial,
			   int32_t *left)
{
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (trial->state[i] != TRIAL_EXTERNAL)
			continue;
		for (uint32_t e = graph->first[i]; e < graph->first[i + 1]; e++) {
			if (graph_is(&graph->edge[e], kinds) && left[graph->edge[e].to] == 0)
				left[graph->edge[e].to] = -1;
		}
	}
}

/* Moves the candidates with counts left over to the queue; returns how many. */
static uint32_t seed(const struct graph *graph, struct trial *trial, const int32_t *left, uint32_t *queue)
{
	uint32_t tail = 0;

	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (trial->state[i] == TRIAL_EXTERNAL || left[i] == 0)
			continue;
		trial->inexact += left[i] < 0;
		trial->state[i] = TRIAL_HELD;
		queue[tail++] = i;
	}
	return tail;
}

static void prefetch_row(const struct graph *graph, const uint32_t *queue, uint32_t head, uint32_t tail)
{
	if (head + NODE_AHEAD < tail)
		__builtin_prefetch(&graph->first[queue[head + NODE_AHEAD]]);
	if (head + ROW_AHEAD < tail)
		__builtin_prefetch(&graph->edge[graph->first[queue[head + ROW_AHEAD]]]);
}

/* Everything that a held candidate owns is held; returns how many there are. */
static uint32_t spread(const struct graph *graph, uint32_t kinds, struct trial *trial, uint32_t *queue,
		       uint32_t tail)
{
	for (uint32_t head = 0; head < tail; head++) {
		uint32_t node = queue[head];

		prefetch_row(graph, queue, head, tail);
		for (uint32_t e = graph->first[node]; e < graph->first[node + 1]; e++) {
			const struct graph_edge *edge = &graph->edge[e];

			if (trial->state[edge->to] != TRIAL_DEAD || !graph_is(edge, kinds))
				continue;
			trial->state[edge->to] = TRIAL_HELD;
			queue[tail++] = edge->to;
		}
	}
	return tail;
}

static enum error_code run(const struct graph *graph, const struct choice *choice, struct trial *ret,
			   struct error *error)
{
	size_t nodes = graph->node_count;
	struct trial trial = {.state = malloc(nodes + 1)};
	int32_t *left = malloc((nodes + 1) * sizeof(*left));
	uint32_t *queue = malloc((nodes + 1) * sizeof(*queue));
	enum error_code code = ERROR_NONE;

	if (!trial.state || !left || !queue) {
		code = error_set(error, ERROR_MEMORY, "out of memory for the cycle pass over %zu objects",
				 nodes);
		trial_done(&trial);
	} else {
		load_counts(graph, choice, &trial, left);
		subtract_references(graph, choice->kinds, &trial, left);
		mark_uncounted(graph, choice->kinds, &trial, left);
		trial.dead = trial.candidates -
			     spread(graph, choice->kinds, &trial, queue, seed(graph, &trial, left, queue));
		*ret = trial;
	}
	free(left);
	free(queue);
	return code;
}

enum error_code trial_run(const struct graph *graph, int generation, uint32_t runtimes, struct trial *ret,
			  struct error *error)
{
	return run(graph, &(struct choice){GRAPH_OWNING, generation, runtimes}, ret, error);
}

enum error_code trial_run_inferred(const struct graph *graph, uint32_t kinds, int generation,
				   uint32_t runtimes, struct trial *ret, struct error *error)
{
	return run(graph, &(struct choice){kinds, generation, runtimes}, ret, error);
}

void trial_done(struct trial *trial)
{
	free(trial->state);
	*trial = (struct trial){0};
}
