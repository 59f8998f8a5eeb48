/* SPDX-License-Identifier: Apache-2.0
 *
 * Components of what is lost, and what each of them is.  Linear; never prints.
 */
#include "lost.h"

#include <stdlib.h>

#include "lost_forgotten.h"

static bool is_counted(const struct graph *graph, uint32_t node)
{
	return graph->node[node].flags & GRAPH_NODE_COUNTED;
}

static uint32_t find_culprit(const struct graph *graph, const struct structure *s, const uint32_t *pointers)
{
	for (uint32_t m = 0; m < s->member_count; m++) {
		uint32_t node = s->members[m];

		if (is_counted(graph, node) && graph->node[node].refcount > (int64_t)pointers[node])
			return node;
	}
	return GRAPH_NONE;
}

/* In the order that they had. */
static size_t move_stranded_first(struct verdict_result *result, struct structure *room)
{
	size_t stranded = 0, others = 0;

	for (size_t i = 0; i < result->count; i++) {
		if (result->structures[i].verdict == VERDICT_STRANDED)
			result->structures[stranded++] = result->structures[i];
		else
			room[others++] = result->structures[i];
	}
	for (size_t i = 0; i < others; i++)
		result->structures[stranded + i] = room[i];
	return stranded;
}

static enum error_code judge(const struct graph *graph, const struct reach *reach, const struct slots *slots,
			     struct verdict_result *result, size_t *stranded, struct error *error)
{
	uint32_t *pointers = forgotten_count_pointers(graph, reach->state, NULL);
	struct structure *room = malloc((result->count + 1) * sizeof(*room));
	bool ok = pointers && room;

	for (size_t i = 0; ok && i < result->count; i++) {
		struct structure *s = &result->structures[i];

		s->culprit = find_culprit(graph, s, pointers);
		if (s->culprit != GRAPH_NONE)
			s->verdict = VERDICT_OVER_REFERENCED;
	}
	ok = ok && (!slots || forgotten_judge(graph, reach->state, slots, result));
	if (ok)
		*stranded = move_stranded_first(result, room);
	free(pointers);
	free(room);
	return ok ? ERROR_NONE
		  : error_set(error, ERROR_MEMORY, "out of memory for %u lost blocks", reach->lost);
}

enum error_code lost_find(const struct graph *graph, const struct reach *reach, const struct slots *slots,
			  struct verdict_result *ret, size_t *stranded, struct error *error)
{
	struct verdict_result result = {0};
	struct scc scc;
	enum error_code code = scc_run(graph, GRAPH_HOLDING, reach->state, 1u << REACH_LOST, &scc, error);

	if (code)
		return code;
	code = verdict_lost(graph, &scc, &result, error);
	scc_done(&scc);
	if (!code)
		code = judge(graph, reach, slots, &result, stranded, error);
	if (code)
		verdict_done(&result);
	else
		*ret = result;
	return code;
}

uint32_t lost_representative(const struct graph *graph, const struct structure *structure)
{
	uint32_t best = structure->members[0];

	if (structure->culprit != GRAPH_NONE)
		return structure->culprit;
	for (uint32_t m = 1; m < structure->member_count; m++) {
		uint32_t node = structure->members[m];

		if (is_counted(graph, node) &&
		    (!is_counted(graph, best) || graph->node[node].refcount > graph->node[best].refcount))
			best = node;
	}
	return best;
}
