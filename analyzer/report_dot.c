/* SPDX-License-Identifier: Apache-2.0
 *
 * The findings as graphs for Graphviz: one cluster per finding, with its members
 * and the references between them.  The reference to break is red and dashed,
 * those of the cycle are bold, those that own nothing are grey.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "report_place.h"
#include "textout.h"
#include "utf8.h"

/* More than that nobody can read, and layout takes too long. */
#define MAX_MEMBERS 200u

/* A string in double quotes: \ and " are the only characters with a meaning.
 * Control characters and what is no UTF-8 are shown as "?". */
static void put_string(FILE *out, const char *text)
{
	fputc('"', out);
	while (text && *text) {
		size_t length = utf8_length(text);

		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		if (*text == '\n')
			fputs("\\n", out);
		else if (length == 0 || (unsigned char)*text < 0x20 || *text == 0x7f)
			fputc('?', out);
		else
			fwrite(text, 1, length, out);
		text += length ? length : 1;
	}
	fputc('"', out);
}

/* Takes the text. */
static void put_attribute(FILE *out, const char *name, char *text)
{
	fprintf(out, "%s=", name);
	put_string(out, text ? text : "?");
	free(text);
}

static uint32_t shown(const struct structure *structure)
{
	if (!structure->members)
		return 0;
	return structure->member_count < MAX_MEMBERS ? structure->member_count : MAX_MEMBERS;
}

static void write_member(FILE *out, const struct report_model *model, size_t finding, uint32_t place,
			 uint32_t index)
{
	const struct graph_node *node = &model->analysis->graph->node[index];
	char size[TEXTOUT_NUMBER];
	char *where = report_place(model, node->stack);

	fprintf(out, "    f%zu_%" PRIu32 " [", finding, place);
	if (node->flags & GRAPH_NODE_COUNTED)
		put_attribute(out, "label",
			      report_place_format("%s\n%s, refs %" PRId64, report_model_name(model, index),
						  textout_size(node->size, size), node->refcount));
	else
		put_attribute(out, "label",
			      report_place_format("%s\n%s", report_model_name(model, index),
						  textout_size(node->size, size)));
	fputs(", ", out);
	put_attribute(out, "tooltip",
		      report_place_format("0x%" PRIx64 ", allocated in %s", node->address,
					  where ? where : "an unknown place"));
	fputs("];\n", out);
	free(where);
}

static const char *style_of(const struct report_model *model, const struct finding *finding, uint32_t from,
			    uint32_t edge)
{
	const struct graph_edge *e = &model->analysis->graph->edge[edge];

	if (finding->advice.present && finding->advice.edge_from == from && finding->advice.edge == edge)
		return "color=red, fontcolor=red, style=dashed, penwidth=2";
	return report_model_inner(model, e) ? "penwidth=2" : "color=gray, fontcolor=gray";
}

static void write_edges(FILE *out, const struct report_model *model, size_t number,
			const struct finding *finding, const struct structure *structure)
{
	const struct graph *graph = model->analysis->graph;

	for (uint32_t i = 0; i < shown(structure); i++) {
		uint32_t from = structure->members[i];

		for (uint32_t e = graph->first[from]; e < graph->first[from + 1]; e++) {
			const struct graph_edge *edge = &graph->edge[e];
			uint32_t place = model->place[edge->to];
			const char *field = report_model_field(model, from, edge);

			if (place == 0 || place == REPORT_ENTRAINED || place > shown(structure))
				continue;
			fprintf(out, "    f%zu_%" PRIu32 " -> f%zu_%" PRIu32 " [label=", number, i + 1,
				number, place);
			put_string(out, field ? field : "");
			fprintf(out, ", %s];\n", style_of(model, finding, from, e));
		}
	}
}

/* What does not fit, and what hangs on it, as one note each. */
static void write_notes(FILE *out, size_t number, const struct structure *structure)
{
	char objects[TEXTOUT_NUMBER], bytes[TEXTOUT_NUMBER];
	uint32_t left_out = structure->member_count - shown(structure);

	if (left_out > 0)
		fprintf(out, "    f%zu_more [shape=note, label=\"and %s more\"];\n", number,
			textout_plural(left_out, "member", "members", objects));
	if (structure->entrained_count > 0)
		fprintf(out, "    f%zu_keeps [shape=note, label=\"keeps alive:\\n%s, %s\"];\n", number,
			textout_plural(structure->entrained_count, "object", "objects", objects),
			textout_size(structure->entrained_bytes, bytes));
}

static void write_finding(FILE *out, struct report_model *model, size_t number, const struct finding *finding)
{
	const struct structure *structure = &model->analysis->structures[finding->representative];
	char *label = report_model_label(model, structure);

	report_model_enter(model, structure);
	fprintf(out, "  subgraph cluster_%zu {\n    ", number);
	put_attribute(out, "label",
		      report_place_format("%zu. %s, %" PRIu32 " x %s\n%016" PRIx64, number,
					  verdict_name(finding->verdict), finding->count, label ? label : "?",
					  finding->fingerprint));
	fputs(";\n", out);
	for (uint32_t i = 0; i < shown(structure); i++)
		write_member(out, model, number, i + 1, structure->members[i]);
	write_edges(out, model, number, finding, structure);
	write_notes(out, number, structure);
	fputs("  }\n", out);
	report_model_leave(model, structure);
	free(label);
}

static enum error_code write_dot(struct report_model *model, FILE *out, struct error *error)
{
	const struct analysis *analysis = model->analysis;
	size_t limit = model->options->max_findings ? model->options->max_findings : SIZE_MAX;

	fputs("digraph castaway {\n  graph [fontname=\"sans-serif\", style=rounded];\n"
	      "  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n"
	      "  edge [fontname=\"sans-serif\", fontsize=11];\n",
	      out);
	for (size_t i = 0; i < analysis->finding_count && i < limit; i++)
		write_finding(out, model, i + 1, &analysis->findings[i]);
	fputs("}\n", out);
	return ERROR_NONE;
}

const struct report_format report_dot = {"dot", write_dot};
