/* SPDX-License-Identifier: Apache-2.0
 *
 * Which pointer holds which of the references that were not given back.  Never
 * prints.
 */
#include <stdlib.h>
#include <string.h>

#include "provenance.h"
#include "provenance_internal.h"
#include "slots.h"
#include "trace_internal.h"

/* An edge that may hold a reference. */
struct holder {
	uint32_t object, from, edge;
};

struct sharing {
	struct analysis *analysis;
	struct provenance_match *match;
	struct provenance_object *objects;
	size_t count;
	struct holder *holders;
	size_t holder_count, holder_capacity;
	struct error *error;
};

void provenance_remove(struct provenance_object *object, size_t at)
{
	object->count--;
	memmove(&object->outstanding[at], &object->outstanding[at + 1],
		(object->count - at) * sizeof(*object->outstanding));
}

static enum error_code find_holders(struct sharing *s)
{
	const struct graph *graph = s->analysis->graph;
	uint32_t *object = malloc(((size_t)graph->node_count + 1) * sizeof(*object));

	if (!object)
		return no_memory(s->error);
	memset(object, 0xff, (size_t)graph->node_count * sizeof(*object));
	for (size_t i = 0; i < s->count; i++)
		object[s->objects[i].node] = (uint32_t)i;
	for (uint32_t from = 0; from < graph->node_count; from++) {
		for (uint32_t e = graph->first[from]; e < graph->first[from + 1]; e++) {
			struct holder *grown;

			if (object[graph->edge[e].to] == GRAPH_NONE ||
			    !graph_is(&graph->edge[e], GRAPH_HOLDING) ||
			    slots_strength(s->analysis->slots, graph, from, &graph->edge[e]) == SLOT_BORROWS)
				continue;
			grown = array_reserve(s->holders, &s->holder_capacity, s->holder_count + 1,
					      sizeof(*grown));
			if (!grown) {
				free(object);
				return no_memory(s->error);
			}
			s->holders = grown;
			grown[s->holder_count++] = (struct holder){object[graph->edge[e].to], from, e};
		}
	}
	free(object);
	return ERROR_NONE;
}

static int by_object(const void *a, const void *b)
{
	const struct holder *left = a, *right = b;

	if (left->object != right->object)
		return left->object < right->object ? -1 : 1;
	return (left->edge > right->edge) - (left->edge < right->edge);
}

static void note(struct analysis *a, uint32_t edge, uint32_t stack)
{
	if (stack)
		a->acquired[a->acquired_count++] = (struct acquired){edge, stack};
}

/* More pairs than this are not compared: an object that so many refer to is no
 * riddle that a look at one place solves. */
#define MAX_PAIRS 65536u

/* Greedily: the best of all pairs, then the best of what is left. */
static void share_out(struct sharing *s, struct provenance_object *object, struct holder *holder,
		      size_t count)
{
	const struct graph *graph = s->analysis->graph;
	struct provenance_reference *reference = object->outstanding;

	if (object->count == 0 || count > MAX_PAIRS / object->count)
		return;
	while (object->count > 0 && count > 0) {
		size_t best_holder = 0, best_reference = 0;
		uint64_t best = 0;

		for (size_t h = 0; h < count; h++) {
			const struct graph_node *owner = &graph->node[holder[h].from];

			for (size_t r = 0; r < object->count; r++) {
				uint64_t score =
					1 + provenance_match_owner(s->match, &reference[r], owner->stack,
								   trace_text(graph->trace, owner->type));

				if (score <= best)
					continue;
				best = score;
				best_holder = h;
				best_reference = r;
			}
		}
		note(s->analysis, holder[best_holder].edge, reference[best_reference].stack);
		holder[best_holder] = holder[--count];
		provenance_remove(object, best_reference);
	}
}

static int by_edge(const void *a, const void *b)
{
	const struct acquired *left = a, *right = b;

	return (left->edge > right->edge) - (left->edge < right->edge);
}

static enum error_code share_all(struct sharing *s)
{
	struct analysis *a = s->analysis;
	enum error_code code = find_holders(s);

	if (code)
		return code;
	a->acquired = malloc((s->holder_count + 1) * sizeof(*a->acquired));
	if (!a->acquired)
		return no_memory(s->error);
	if (s->holder_count)
		qsort(s->holders, s->holder_count, sizeof(*s->holders), by_object);
	for (size_t i = 0; i < s->holder_count;) {
		size_t end = i;

		while (end < s->holder_count && s->holders[end].object == s->holders[i].object)
			end++;
		share_out(s, &s->objects[s->holders[i].object], &s->holders[i], end - i);
		i = end;
	}
	if (a->acquired_count)
		qsort(a->acquired, a->acquired_count, sizeof(*a->acquired), by_edge);
	return ERROR_NONE;
}

enum error_code provenance_share_out(struct analysis *analysis, struct provenance_match *match,
				     struct provenance_object *objects, size_t count, struct error *error)
{
	struct sharing sharing = {analysis, match, objects, count, .error = error};
	enum error_code code = share_all(&sharing);

	free(sharing.holders);
	return code;
}

uint32_t provenance_acquired(const struct analysis *analysis, uint32_t edge)
{
	const struct acquired key = {.edge = edge};
	const struct acquired *found = NULL;

	if (analysis->acquired_count)
		found = bsearch(&key, analysis->acquired, analysis->acquired_count, sizeof(key), by_edge);
	return found ? found->stack : 0;
}
