/* SPDX-License-Identifier: Apache-2.0
 *
 * Derived facts for the report writers.  Runs in the analyzer, reads struct
 * analysis and changes nothing in it but the cache of names.
 */
#include "report_model.h"

#include <stdlib.h>
#include <string.h>

#include "filter.h"
#include "gobject_fields.h"
#include "provenance.h"

#define MAX_LABEL_TYPES 3

enum error_code report_model_new(struct report_model *model, const struct analysis *analysis,
				 const struct report_options *options, struct error *error)
{
	size_t nodes = analysis->graph != NULL ? analysis->graph->node_count : 0;

	*model = (struct report_model){.analysis = analysis, .options = options};
	model->place = calloc(nodes + 1, sizeof(*model->place));
	if (model->place == NULL)
		return error_set(error, ERROR_MEMORY, "out of memory for a report over %zu objects", nodes);
	return ERROR_NONE;
}

void report_model_free(struct report_model *model)
{
	free(model->place);
	model->place = NULL;
}

void report_model_enter(struct report_model *model, const struct structure *structure)
{
	for (uint32_t i = 0; structure->entrained != NULL && i < structure->entrained_count; i++)
		model->place[structure->entrained[i]] = REPORT_ENTRAINED;
	for (uint32_t i = 0; structure->members != NULL && i < structure->member_count; i++)
		model->place[structure->members[i]] = i + 1;
	model->kinds = structure->scanned ? GRAPH_HOLDING : GRAPH_HOLDING & GRAPH_EXACT;
	if (structure->inferred)
		model->kinds |= GRAPH_INFERRED;
}

void report_model_leave(struct report_model *model, const struct structure *structure)
{
	for (uint32_t i = 0; structure->entrained != NULL && i < structure->entrained_count; i++)
		model->place[structure->entrained[i]] = 0;
	for (uint32_t i = 0; structure->members != NULL && i < structure->member_count; i++)
		model->place[structure->members[i]] = 0;
}

/* ---- one cycle ------------------------------------------------------------ */

bool report_model_inner(const struct report_model *model, const struct graph_edge *edge)
{
	uint32_t place = model->place[edge->to];

	return graph_is(edge, model->kinds) && place != 0 && place != REPORT_ENTRAINED;
}

static bool first_inner_edge(const struct report_model *model, const struct structure *structure,
			     struct report_step *ret)
{
	const struct graph *graph = model->analysis->graph;

	for (uint32_t i = 0; i < structure->member_count; i++) {
		uint32_t node = structure->members[i];

		for (uint32_t e = graph->first[node]; e < graph->first[node + 1]; e++)
			if (report_model_inner(model, &graph->edge[e])) {
				*ret = (struct report_step){node, e};
				return true;
			}
	}
	return false;
}

/* Breadth-first from the end of `start` back to where it begins; reached[i] is
 * the step by which member i was reached.  Returns false when it was not. */
static bool search_back(const struct report_model *model, const struct structure *structure,
			const struct report_step *start, struct report_step *reached, uint32_t *queue)
{
	const struct graph *graph = model->analysis->graph;
	uint32_t head = 0, tail = 0;

	for (uint32_t i = 0; i < structure->member_count; i++)
		reached[i].from = GRAPH_NONE;
	queue[tail++] = graph->edge[start->edge].to;
	reached[model->place[queue[0]] - 1] = *start;
	while (head < tail && reached[model->place[start->from] - 1].from == GRAPH_NONE) {
		uint32_t node = queue[head++];

		for (uint32_t e = graph->first[node]; e < graph->first[node + 1]; e++) {
			struct report_step *step;

			if (!report_model_inner(model, &graph->edge[e]))
				continue;
			step = &reached[model->place[graph->edge[e].to] - 1];
			if (step->from != GRAPH_NONE)
				continue;
			*step = (struct report_step){node, e};
			queue[tail++] = graph->edge[e].to;
		}
	}
	return reached[model->place[start->from] - 1].from != GRAPH_NONE;
}

/* Reads the steps backwards from where `start` begins. */
static size_t collect_steps(const struct report_model *model, const struct report_step *start,
			    const struct report_step *reached, struct report_step **ret)
{
	struct report_step *steps;
	uint32_t node = start->from;
	size_t count = 0, at;

	do {
		node = reached[model->place[node] - 1].from;
		count++;
	} while (node != start->from);
	steps = calloc(count, sizeof(*steps));
	if (steps == NULL)
		return 0;
	for (at = count; at > 0; at--) {
		steps[at - 1] = reached[model->place[node] - 1];
		node = steps[at - 1].from;
	}
	*ret = steps;
	return count;
}

size_t report_model_cycle(const struct report_model *model, const struct finding *finding,
			  struct report_step **ret)
{
	const struct structure *structure = &model->analysis->structures[finding->representative];
	const struct graph *graph = model->analysis->graph;
	struct report_step start = {finding->advice.edge_from, finding->advice.edge};
	struct report_step *reached = NULL;
	uint32_t *queue = NULL;
	size_t count = 0;
	uint32_t place;

	*ret = NULL;
	if (structure->members == NULL || structure->member_count == 0)
		return 0;
	place = finding->advice.present && start.from < graph->node_count ? model->place[start.from] : 0;
	if (place == 0 || place == REPORT_ENTRAINED || start.edge >= graph->edge_count ||
	    !report_model_inner(model, &graph->edge[start.edge])) {
		if (!first_inner_edge(model, structure, &start))
			return 0;
	}
	reached = calloc(structure->member_count, sizeof(*reached));
	queue = calloc(structure->member_count, sizeof(*queue));
	if (reached != NULL && queue != NULL && search_back(model, structure, &start, reached, queue))
		count = collect_steps(model, &start, reached, ret);
	free(reached);
	free(queue);
	return count;
}

/* ---- nodes and edges ------------------------------------------------------ */

static const char *text_or_null(const struct report_model *model, uint32_t string)
{
	const char *text = string != 0 ? trace_text(model->analysis->trace, string) : "";

	return *text != '\0' ? text : NULL;
}

const char *report_model_type(const struct report_model *model, uint32_t node)
{
	return text_or_null(model, model->analysis->graph->node[node].type);
}

const char *report_model_name(const struct report_model *model, uint32_t node)
{
	const char *type = report_model_type(model, node);

	if (type != NULL)
		return type;
	return model->analysis->graph->node[node].flags & GRAPH_NODE_BLOCK ? "block" : "?";
}

const char *report_model_own_name(const struct report_model *model, uint32_t node)
{
	return text_or_null(model, graph_name(model->analysis->graph, node));
}

const char *report_model_field(const struct report_model *model, uint32_t from, const struct graph_edge *edge)
{
	const char *field = text_or_null(model, edge->field_flags >> 8);

	return field != NULL ? field : gobject_field_name(model->analysis->graph, from, edge);
}

uint32_t report_model_edge_stack(const struct report_model *model, const struct graph_edge *edge)
{
	if (edge->field_flags & CASTAWAY_EDGE_STACK)
		return edge->detail;
	return provenance_acquired(model->analysis, (uint32_t)(edge - model->analysis->graph->edge));
}

bool report_model_offset(const struct graph_edge *edge, int64_t *ret)
{
	*ret = (int32_t)edge->detail;
	return (edge->field_flags & (CASTAWAY_EDGE_STACK | CASTAWAY_EDGE_OFFSET)) == CASTAWAY_EDGE_OFFSET;
}

bool report_model_survived(const struct report_model *model, uint32_t node, uint32_t *ret)
{
	return filter_survived(model->analysis->replay, &model->analysis->graph->node[node], ret);
}

char *report_model_label(const struct report_model *model, const struct structure *structure)
{
	const char *seen[MAX_LABEL_TYPES] = {NULL};
	size_t count = 0, size;
	char *label = NULL;
	bool more = false;
	FILE *out = open_memstream(&label, &size);

	if (out == NULL)
		return NULL;
	for (uint32_t i = 0; structure->members != NULL && i < structure->member_count && !more; i++) {
		const char *type = report_model_name(model, structure->members[i]);
		size_t k = 0;

		while (k < count && strcmp(seen[k], type) != 0)
			k++;
		more = k == MAX_LABEL_TYPES;
		if (k < count || more)
			continue;
		seen[count++] = type;
		fprintf(out, "%s%s", k > 0 ? ", " : "", type);
	}
	if (more)
		fputs(", ...", out);
	if (fclose(out) == 0)
		return label;
	free(label);
	return NULL;
}
