/* SPDX-License-Identifier: Apache-2.0
 *
 * The findings of the JSON report: one entry per fingerprint, with members and
 * edges of one representative, and on request the addresses of every instance.
 */
#include "report_json.h"

#include <stdlib.h>

/* What one entry shows without --members=all; "truncated" counts the rest. */
#define MAX_MEMBERS 4096u
#define MAX_EDGES   16384u

/* Weak and borrowed edges inside a structure keep nothing alive. */
static bool in_cycle(const struct report_model *model, uint32_t from, const struct graph_edge *edge)
{
	return model->place[from] != REPORT_ENTRAINED && report_model_inner(model, edge);
}

static const char *strength_name(const struct graph_edge *edge)
{
	switch (graph_strength(edge)) {
	case CASTAWAY_STRONG:
		return "strong";
	case CASTAWAY_WEAK:
		return "weak";
	case CASTAWAY_BORROWED:
		return "borrowed";
	case CASTAWAY_UNKNOWN:
		break;
	}
	return "unknown";
}

static void write_evidence(struct jsontext *json, const struct evidence *evidence)
{
	jsontext_object(json, "evidence", JSONTEXT_LINES);
	jsontext_integer(json, "refcounts", evidence->refcounts);
	jsontext_integer(json, "explained_inside", evidence->explained_inside);
	jsontext_integer(json, "explained_outside", evidence->explained_outside);
	jsontext_integer(json, "unexplained", evidence->unexplained);
	jsontext_string(json, "reachable_via", evidence->reachable_via);
	jsontext_string(json, "edges", evidence->edges);
	if (evidence->counted_by_runtime == 0) {
		jsontext_null(json, "references");
	} else {
		jsontext_object(json, "references", JSONTEXT_FLAT);
		jsontext_integer(json, "counted", evidence->counted_by_runtime);
		jsontext_integer(json, "explained", evidence->recorded);
		jsontext_integer(json, "calls_not_seen", evidence->unseen);
		jsontext_object_end(json);
	}
	jsontext_object_end(json);
}

static void write_member(struct jsontext *json, const struct report_model *model, uint32_t index)
{
	const struct graph_node *node = &model->analysis->graph->node[index];
	uint32_t survived;

	jsontext_object(json, NULL, JSONTEXT_LINES);
	jsontext_address(json, "address", node->address);
	jsontext_string(json, "runtime", trace_runtime_name(node->runtime));
	jsontext_string(json, "type", report_model_type(model, index));
	jsontext_string(json, "name", report_model_own_name(model, index));
	jsontext_count(json, "size", node->size);
	if (node->flags & GRAPH_NODE_COUNTED)
		jsontext_integer(json, "refcount", node->refcount);
	else
		jsontext_null(json, "refcount");
	jsontext_count(json, "generation", node->flags & GRAPH_NODE_GENERATION);
	if (report_model_survived(model, index, &survived))
		jsontext_count(json, "survived", survived);
	else
		jsontext_null(json, "survived");
	if (node->thread != 0)
		jsontext_count(json, "thread", node->thread);
	else
		jsontext_null(json, "thread");
	report_json_stack(json, "allocated_at", model, node->stack);
	jsontext_object_end(json);
}

static void write_edge(struct jsontext *json, const struct report_model *model, uint32_t from,
		       const struct graph_edge *edge)
{
	const struct graph *graph = model->analysis->graph;
	int64_t offset;

	jsontext_object(json, NULL, JSONTEXT_LINES);
	jsontext_address(json, "from", graph->node[from].address);
	jsontext_address(json, "to", graph->node[edge->to].address);
	jsontext_string(json, "field", report_model_field(model, from, edge));
	if (report_model_offset(edge, &offset))
		jsontext_integer(json, "offset", offset);
	else
		jsontext_null(json, "offset");
	jsontext_string(json, "strength", strength_name(edge));
	jsontext_string(json, "origin", edge->field_flags & CASTAWAY_EDGE_SCANNED ? "scanned" : "exact");
	jsontext_bool(json, "in_cycle", in_cycle(model, from, edge));
	report_json_stack(json, "acquired_at", model, report_model_edge_stack(model, edge));
	jsontext_object_end(json);
}

/* Edges that stay in the structure: first those of the cycle, so that a limit
 * cuts off what explains least.  Returns how many were left out. */
static uint64_t write_edges(struct jsontext *json, const struct report_model *model,
			    const struct structure *structure, uint64_t limit)
{
	const struct graph *graph = model->analysis->graph;
	uint64_t count = 0;

	jsontext_array(json, "edges", JSONTEXT_LINES);
	for (int round = 0; round < 2; round++)
		for (uint32_t i = 0; i < structure->member_count; i++) {
			uint32_t from = structure->members[i];

			for (uint32_t e = graph->first[from]; e < graph->first[from + 1]; e++) {
				const struct graph_edge *edge = &graph->edge[e];

				if (model->place[edge->to] == 0 ||
				    in_cycle(model, from, edge) != (round == 0))
					continue;
				if (count++ < limit)
					write_edge(json, model, from, edge);
			}
		}
	jsontext_array_end(json);
	return count > limit ? count - limit : 0;
}

static void write_shape(struct jsontext *json, struct report_model *model, const struct structure *structure)
{
	bool all = model->options->all_members;
	uint32_t members = structure->members != NULL ? structure->member_count : 0;
	uint32_t shown = !all && members > MAX_MEMBERS ? MAX_MEMBERS : members;
	struct structure known = *structure;
	uint64_t cut;

	known.member_count = members;
	report_model_enter(model, structure);
	jsontext_array(json, "members", JSONTEXT_LINES);
	for (uint32_t i = 0; i < shown; i++)
		write_member(json, model, structure->members[i]);
	jsontext_array_end(json);
	cut = write_edges(json, model, &known, all ? UINT64_MAX : MAX_EDGES);
	report_model_leave(model, structure);
	jsontext_object(json, "truncated", JSONTEXT_FLAT);
	jsontext_count(json, "members", structure->member_count - shown);
	jsontext_count(json, "edges", cut);
	jsontext_object_end(json);
}

static void write_break(struct jsontext *json, const struct report_model *model,
			const struct break_advice *advice)
{
	const struct trace *trace = model->analysis->trace;

	if (!advice->present) {
		jsontext_null(json, "break");
		return;
	}
	jsontext_object(json, "break", JSONTEXT_LINES);
	jsontext_string(json, "from_type", advice->from_type ? trace_text(trace, advice->from_type) : NULL);
	jsontext_string(json, "field", advice->field ? trace_text(trace, advice->field) : NULL);
	jsontext_string(json, "to_type", advice->to_type ? trace_text(trace, advice->to_type) : NULL);
	jsontext_string(json, "reason", advice->reason);
	jsontext_object_end(json);
}

static void write_stranding(struct jsontext *json, const struct report_model *model,
			    const struct stranding *stranding)
{
	const struct graph *graph = model->analysis->graph;
	char operation[32];
	uint64_t time;

	if (!stranding->present) {
		jsontext_null(json, "stranded_at");
		return;
	}
	jsontext_object(json, "stranded_at", JSONTEXT_LINES);
	jsontext_count(json, "event", stranding->event);
	if (report_model_time(model, stranding->ticks, &time))
		jsontext_count(json, "time_ns", time);
	else
		jsontext_null(json, "time_ns");
	jsontext_count(json, "thread", stranding->thread);
	report_json_stack(json, "stack", model, stranding->stack);
	jsontext_string(json, "operation", report_model_opcode(stranding->opcode, operation));
	if (stranding->object < graph->node_count)
		jsontext_address(json, "object", graph->node[stranding->object].address);
	else
		jsontext_null(json, "object");
	jsontext_object_end(json);
}

static void write_addresses(struct jsontext *json, const char *key, const struct graph *graph,
			    const uint32_t *nodes, uint32_t count)
{
	jsontext_array(json, key, JSONTEXT_FLAT);
	for (uint32_t i = 0; nodes != NULL && i < count; i++)
		jsontext_address(json, NULL, graph->node[nodes[i]].address);
	jsontext_array_end(json);
}

static void write_instances(struct jsontext *json, const struct analysis *analysis,
			    const struct finding *finding)
{
	jsontext_array(json, "instances", JSONTEXT_LINES);
	for (uint32_t i = 0; i < finding->count; i++) {
		const struct structure *structure = &analysis->structures[finding->first + i];

		jsontext_object(json, NULL, JSONTEXT_FLAT);
		write_addresses(json, "members", analysis->graph, structure->members,
				structure->member_count);
		write_addresses(json, "entrained", analysis->graph, structure->entrained,
				structure->entrained_count);
		jsontext_object_end(json);
	}
	jsontext_array_end(json);
}

void report_json_structures(struct jsontext *json, struct report_model *model)
{
	const struct analysis *analysis = model->analysis;

	jsontext_array(json, "structures", JSONTEXT_LINES);
	for (size_t i = 0; i < analysis->finding_count; i++) {
		const struct finding *finding = &analysis->findings[i];
		const struct structure *structure = &analysis->structures[finding->representative];
		char *label = report_model_label(model, structure);

		jsontext_object(json, NULL, JSONTEXT_LINES);
		report_json_fingerprint(json, finding->fingerprint);
		jsontext_string(json, "verdict", verdict_name(finding->verdict));
		jsontext_string(json, "label", label);
		jsontext_count(json, "count", finding->count);
		jsontext_count(json, "objects", finding->objects);
		jsontext_count(json, "bytes", finding->bytes);
		jsontext_object(json, "entrained", JSONTEXT_FLAT);
		jsontext_count(json, "objects", finding->entrained_objects);
		jsontext_count(json, "bytes", finding->entrained_bytes);
		jsontext_count(json, "blocks", finding->blocks);
		jsontext_object_end(json);
		write_evidence(json, &finding->evidence);
		write_shape(json, model, structure);
		write_break(json, model, &finding->advice);
		write_stranding(json, model, &finding->stranded_at);
		if (model->options->all_members)
			write_instances(json, analysis, finding);
		jsontext_object_end(json);
		free(label);
	}
	jsontext_array_end(json);
}
