/* SPDX-License-Identifier: Apache-2.0
 *
 * Explanations for all findings of an analysis.  Never prints.
 */
#include "explain.h"

#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "hidden.h"
#include "stranding.h"

static const struct structure *representative(const struct analysis *analysis, const struct finding *finding)
{
	return &analysis->structures[finding->representative];
}

/* ---- evidence ---------------------------------------------------------------- */

/* For each node, the finding whose representative it is a member of. */
static uint32_t *map_members(struct analysis *analysis)
{
	const struct graph *graph = analysis->graph;
	uint32_t *map = malloc(((size_t)graph->node_count + 1) * sizeof(*map));

	if (!map)
		return NULL;
	memset(map, 0xff, ((size_t)graph->node_count + 1) * sizeof(*map));
	for (size_t f = 0; f < analysis->finding_count; f++) {
		const struct structure *s = representative(analysis, &analysis->findings[f]);

		analysis->findings[f].evidence = (struct evidence){.reachable_via = "none",
								   .edges = s->scanned    ? "scanned"
									    : s->inferred ? "mixed"
											  : "exact"};
		for (uint32_t m = 0; m < s->member_count; m++) {
			map[s->members[m]] = (uint32_t)f;
			analysis->findings[f].evidence.refcounts += graph->node[s->members[m]].refcount;
		}
	}
	return map;
}

static uint32_t owning_of(const struct structure *structure)
{
	return structure->inferred ? GRAPH_OWNING | GRAPH_INFERRED : GRAPH_OWNING;
}

static void weigh_holder(struct evidence *evidence, const struct graph_edge *edge, uint32_t owning,
			 bool inside, bool from_live)
{
	enum castaway_strength strength = graph_strength(edge);

	if (graph_is(edge, owning) && inside)
		evidence->explained_inside++;
	else if (graph_is(edge, owning))
		evidence->explained_outside++;
	else if (from_live && strength == CASTAWAY_WEAK)
		evidence->reachable_via = "weak";
	else if (from_live && strength == CASTAWAY_BORROWED && strcmp(evidence->reachable_via, "none") == 0)
		evidence->reachable_via = "borrowed";
}

/* Where the scan judged, a pointer from inside explains a count. */
static void weigh_pointer(struct evidence *evidence, const struct graph *graph, const uint32_t *strong,
			  const struct graph_edge *edge, bool inside)
{
	bool counted = graph->node[edge->to].flags & GRAPH_NODE_COUNTED;

	if (!graph_is(edge, GRAPH_HOLDING) ||
	    (!graph_is_strong(edge) && graph_is_accounted_for(graph, strong, edge->to)))
		return;
	if (!(edge->field_flags & CASTAWAY_EDGE_SCANNED) && inside)
		evidence->edges = "mixed";
	evidence->explained_inside += counted && inside;
	evidence->explained_outside += counted && !inside;
}

enum error_code explain_evidence(struct analysis *analysis, const struct trial *trial, struct error *error)
{
	const struct graph *graph = analysis->graph;
	uint32_t *map, *strong;

	if (analysis->finding_count == 0)
		return ERROR_NONE;
	map = map_members(analysis);
	if (!map)
		return error_set(error, ERROR_MEMORY, "out of memory to explain the findings");
	strong = graph_count_strong(graph);
	for (uint32_t i = 0; i < graph->node_count; i++) {
		bool live = trial->state[i] != TRIAL_DEAD;

		for (uint32_t e = graph->first[i]; e < graph->first[i + 1]; e++) {
			const struct graph_edge *edge = &graph->edge[e];
			uint32_t finding = map[edge->to];
			struct finding *f;

			if (finding == GRAPH_NONE)
				continue;
			f = &analysis->findings[finding];
			if (representative(analysis, f)->scanned)
				weigh_pointer(&f->evidence, graph, strong, edge, map[i] == finding);
			else
				weigh_holder(&f->evidence, edge, owning_of(representative(analysis, f)),
					     map[i] == finding, live);
		}
	}
	free(strong);
	free(map);
	for (size_t f = 0; f < analysis->finding_count; f++) {
		struct evidence *evidence = &analysis->findings[f].evidence;

		evidence->unexplained =
			evidence->refcounts - evidence->explained_inside - evidence->explained_outside;
	}
	return ERROR_NONE;
}

/* ---- advice and stranding ------------------------------------------------------ */

/* Of plain blocks alone there is nothing to be said: whose they are is not known. */
static uint32_t kinds_of(const struct graph *graph, const struct structure *s)
{
	for (uint32_t m = 0; s->scanned && m < s->member_count; m++) {
		if (graph->node[s->members[m]].flags & GRAPH_NODE_COUNTED)
			return GRAPH_HOLDING;
	}
	return GRAPH_OWNING;
}

enum error_code explain_advice(struct analysis *analysis, struct error *error)
{
	struct advice *advice;
	enum error_code code;

	if (analysis->finding_count == 0)
		return ERROR_NONE;
	code = advice_new(analysis->graph, analysis->replay, analysis->slots, &advice, error);
	if (code)
		return code;
	for (size_t f = 0; f < analysis->finding_count && !code; f++) {
		const struct structure *s = representative(analysis, &analysis->findings[f]);

		if (s->inferred)
			hidden_advice(analysis->graph, s, &analysis->findings[f].advice);
		else
			code = advice_for(advice, s->members, s->member_count, kinds_of(analysis->graph, s),
					  &analysis->findings[f].advice, error);
	}
	advice_free(advice);
	return code;
}

enum error_code explain_stranding(struct analysis *analysis, struct error *error)
{
	struct stranding_group *groups = calloc(analysis->finding_count + 1, sizeof(*groups));
	size_t count = 0;
	enum error_code code;

	if (!groups)
		return error_set(error, ERROR_MEMORY, "out of memory to find stranding events");
	for (size_t f = 0; f < analysis->finding_count; f++) {
		const struct structure *s = representative(analysis, &analysis->findings[f]);

		if (s->verdict != VERDICT_LATENT)
			groups[count++] = (struct stranding_group){s->members, s->member_count, {0}};
	}
	code = stranding_find(analysis->trace, analysis->replay, analysis->graph, analysis->ticks, groups,
			      count, error);
	count = 0;
	for (size_t f = 0; f < analysis->finding_count && !code; f++) {
		if (representative(analysis, &analysis->findings[f])->verdict != VERDICT_LATENT)
			analysis->findings[f].stranded_at = groups[count++].result;
	}
	free(groups);
	return code;
}
