/* SPDX-License-Identifier: Apache-2.0
 *
 * A component that hangs together only by references that own nothing (children
 * that know their parent) is no cycle: somebody forgot a reference to one of its
 * objects.  That they own nothing is inferred, so it is believed only where the
 * counts say that a reference is missing.  Never prints.
 */
#include "lost_forgotten.h"

#include <stdlib.h>
#include <string.h>

struct forgotten {
	const struct graph *graph;
	const struct slots *slots;
	const uint32_t *pointers; /* per node, from lost memory and by places that may own */
	uint32_t *local;          /* per node: its index among the members at hand, else GRAPH_NONE */
	uint32_t *into, *queue;   /* per member */
	size_t capacity;
};

static bool may_own(const struct forgotten *f, uint32_t from, const struct graph_edge *edge)
{
	return graph_is(edge, GRAPH_HOLDING) &&
	       slots_strength(f->slots, f->graph, from, edge) != SLOT_BORROWS;
}

uint32_t *forgotten_count_pointers(const struct graph *graph, const uint8_t *reach_state,
				   const struct slots *slots)
{
	const struct forgotten f = {.graph = graph, .slots = slots};
	uint32_t *pointers = calloc((size_t)graph->node_count + 1, sizeof(*pointers));

	for (uint32_t i = 0; pointers && i < graph->node_count; i++) {
		if (reach_state[i] != REACH_LOST)
			continue;
		for (uint32_t e = graph->first[i]; e < graph->first[i + 1]; e++)
			pointers[graph->edge[e].to] += may_own(&f, i, &graph->edge[e]);
	}
	return pointers;
}

/* Topological sort, by the references that may own. */
static bool is_acyclic(struct forgotten *f, const struct structure *s)
{
	const struct graph *graph = f->graph;
	uint32_t tail = 0;

	memset(f->into, 0, s->member_count * sizeof(*f->into));
	for (uint32_t m = 0; m < s->member_count; m++) {
		for (uint32_t e = graph->first[s->members[m]]; e < graph->first[s->members[m] + 1]; e++) {
			uint32_t to = f->local[graph->edge[e].to];

			if (to != GRAPH_NONE && may_own(f, s->members[m], &graph->edge[e]))
				f->into[to]++;
		}
	}
	for (uint32_t m = 0; m < s->member_count; m++) {
		if (f->into[m] == 0)
			f->queue[tail++] = m;
	}
	for (uint32_t head = 0; head < tail; head++) {
		uint32_t node = s->members[f->queue[head]];

		for (uint32_t e = graph->first[node]; e < graph->first[node + 1]; e++) {
			uint32_t to = f->local[graph->edge[e].to];

			if (to != GRAPH_NONE && may_own(f, node, &graph->edge[e]) && --f->into[to] == 0)
				f->queue[tail++] = to;
		}
	}
	return tail == s->member_count;
}

/* The member that has the most counts too many; GRAPH_NONE = none has. */
static uint32_t find_forgotten(const struct forgotten *f, const struct structure *s)
{
	uint32_t best = GRAPH_NONE;
	int64_t most = 0;

	for (uint32_t m = 0; m < s->member_count; m++) {
		const struct graph_node *node = &f->graph->node[s->members[m]];
		int64_t missing = node->refcount - (int64_t)f->pointers[s->members[m]];

		if (node->flags & GRAPH_NODE_COUNTED && missing > most) {
			most = missing;
			best = s->members[m];
		}
	}
	return best;
}

static bool reserve(struct forgotten *f, size_t count)
{
	if (count <= f->capacity)
		return true;
	free(f->into);
	free(f->queue);
	f->into = malloc(count * sizeof(*f->into));
	f->queue = malloc(count * sizeof(*f->queue));
	f->capacity = f->into && f->queue ? count : 0;
	return f->capacity != 0;
}

static bool judge(struct forgotten *f, struct structure *s)
{
	uint32_t culprit = find_forgotten(f, s);

	if (culprit == GRAPH_NONE)
		return true;
	if (!reserve(f, s->member_count))
		return false;
	for (uint32_t m = 0; m < s->member_count; m++)
		f->local[s->members[m]] = m;
	if (is_acyclic(f, s)) {
		s->verdict = VERDICT_OVER_REFERENCED;
		s->culprit = culprit;
	}
	for (uint32_t m = 0; m < s->member_count; m++)
		f->local[s->members[m]] = GRAPH_NONE;
	return true;
}

bool forgotten_judge(const struct graph *graph, const uint8_t *reach_state, const struct slots *slots,
		     struct verdict_result *result)
{
	struct forgotten f = {.graph = graph, .slots = slots};
	uint32_t *pointers = forgotten_count_pointers(graph, reach_state, slots);
	bool ok;

	f.pointers = pointers;
	f.local = malloc(((size_t)graph->node_count + 1) * sizeof(*f.local));
	ok = pointers && f.local;
	if (ok)
		memset(f.local, 0xff, ((size_t)graph->node_count + 1) * sizeof(*f.local));
	for (size_t i = 0; ok && i < result->count; i++) {
		if (result->structures[i].verdict == VERDICT_STRANDED)
			ok = judge(&f, &result->structures[i]);
	}
	free(pointers);
	free(f.local);
	free(f.into);
	free(f.queue);
	return ok;
}
