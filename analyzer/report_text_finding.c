/* SPDX-License-Identifier: Apache-2.0
 *
 * One finding of the text report: what it is, its members, the cycle, how to
 * break it, and why the verdict holds.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report_text.h"

#define MAX_MEMBERS 8u /* rows of the table */
#define MAX_STEPS   12u
#define MAX_TAKEN   6u
#define MAX_TYPES   5u
#define INDENT      5
#define TITLE_SIZE  256u

struct type_count {
	uint32_t type;
	uint64_t count;
};

static enum textout_color verdict_color(enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_STRANDED:
	case VERDICT_OVER_REFERENCED:
	case VERDICT_LEAKED:
		return TEXTOUT_RED;
	case VERDICT_LIKELY_STRANDED:
		return TEXTOUT_YELLOW;
	case VERDICT_LATENT:
	case VERDICT_COUNT:
		break;
	}
	return TEXTOUT_BOLD;
}

static const char *type_of(const struct report_text *report, uint32_t node)
{
	const char *type = report_model_name(&report->model, node);

	return strcmp(type, "?") == 0 ? "(unknown type)" : type;
}

/* "function make", "type __main__.Node"; at most `size` - 1 bytes, cut at the end. */
static const char *title_of(const struct report_text *report, uint32_t node, char *text, size_t size)
{
	const char *name = report_model_own_name(&report->model, node);

	if (name == NULL)
		return type_of(report, node);
	snprintf(text, size, "%s %s", type_of(report, node), name);
	return text;
}

static void paragraph(struct report_text *report, const char *first, char *content)
{
	char *head = report_place_format("%*s%s", INDENT, "", first);

	if (head != NULL && content != NULL)
		textout_paragraph(&report->out, TEXTOUT_BOLD, head, INDENT + 2, content);
	free(head);
	free(content);
}

/* ---- members -------------------------------------------------------------- */

static void member_row(struct report_text *report, uint32_t number, uint32_t index, int type_width)
{
	const struct graph_node *node = &report->model.analysis->graph->node[index];
	char title[TITLE_SIZE], text[TEXTOUT_NUMBER], *place = report_place(&report->model, node->stack);

	textout_put(&report->out, "%*s", INDENT + 2, "");
	snprintf(text, sizeof(text), "#%" PRIu32, number);
	textout_cell(&report->out, TEXTOUT_DIM, -4, text);
	textout_cell(&report->out, TEXTOUT_PLAIN, -type_width, title_of(report, index, title, sizeof(title)));
	snprintf(text, sizeof(text), "  0x%" PRIx64, node->address);
	textout_cell(&report->out, TEXTOUT_PLAIN, -18, text);
	textout_cell(&report->out, TEXTOUT_PLAIN, 10, textout_size(node->size, text));
	if (node->flags & GRAPH_NODE_COUNTED)
		snprintf(text, sizeof(text), "%" PRId64, node->refcount);
	else
		snprintf(text, sizeof(text), "-");
	textout_cell(&report->out, TEXTOUT_PLAIN, 6, text);
	snprintf(text, sizeof(text), "%u", node->flags & GRAPH_NODE_GENERATION);
	textout_cell(&report->out, TEXTOUT_PLAIN, 5, text);
	textout_put(&report->out, "  %s%s\n", place != NULL ? place : "-",
		    place != NULL && node->flags & GRAPH_NODE_RECYCLED ? " (or later)" : "");
	free(place);
}

static void write_members(struct report_text *report, const struct structure *structure)
{
	uint32_t count = structure->members != NULL ? structure->member_count : 0;
	uint32_t shown = count > MAX_MEMBERS ? MAX_MEMBERS : count;
	int width = 8;

	for (uint32_t i = 0; i < shown; i++) {
		char title[TITLE_SIZE];
		size_t columns =
			textout_columns(title_of(report, structure->members[i], title, sizeof(title)));

		if (columns > (size_t)width)
			width = columns > 32 ? 32 : (int)columns;
	}
	if (shown == 0)
		return;
	textout_put(&report->out, "%*s", INDENT + 6, "");
	textout_cell(&report->out, TEXTOUT_DIM, -width, "type");
	textout_cell(&report->out, TEXTOUT_DIM, 0, "  address               size  refs  gen  allocated at");
	textout_put(&report->out, "\n");
	for (uint32_t i = 0; i < shown; i++)
		member_row(report, i + 1, structure->members[i], width);
	if (shown < count)
		textout_put(&report->out, "%*s... and %" PRIu32 " more\n", INDENT + 2, "", count - shown);
}

/* ---- the cycle ------------------------------------------------------------ */

static void print_node(FILE *out, const struct report_text *report, uint32_t node)
{
	fprintf(out, "%s#%" PRIu32, type_of(report, node), report->model.place[node]);
}

static void print_arrow(FILE *out, const struct report_text *report, const struct report_step *step)
{
	const struct graph_edge *edge = &report->model.analysis->graph->edge[step->edge];
	const char *field = report_model_field(&report->model, step->from, edge);
	int64_t offset;

	if (field != NULL)
		fprintf(out, " --%s--> ", field);
	else if (report_model_offset(edge, &offset))
		fprintf(out, offset < 0 ? " --(%" PRId64 ")--> " : " --+%" PRId64 "--> ", offset);
	else
		fputs(" --> ", out);
}

static void write_cycle(struct report_text *report, const struct report_step *steps, size_t count)
{
	const struct graph *graph = report->model.analysis->graph;
	char *text = NULL;
	size_t size;
	FILE *out = count > 0 ? open_memstream(&text, &size) : NULL;

	if (out == NULL)
		return;
	for (size_t i = 0; i < count; i++) {
		if (count > MAX_STEPS && i == MAX_STEPS - 2) {
			fprintf(out, "... %zu more ... ", count - MAX_STEPS + 1);
			i = count - 2;
			continue;
		}
		print_node(out, report, steps[i].from);
		print_arrow(out, report, &steps[i]);
	}
	print_node(out, report, graph->edge[steps[count - 1].edge].to);
	if (fclose(out) != 0) {
		free(text);
		text = NULL;
	}
	paragraph(report, "Cycle: ", text);
}

/* Where each reference of the drawn cycle was taken. */
static void write_acquired(struct report_text *report, const struct report_step *steps, size_t count)
{
	const struct graph *graph = report->model.analysis->graph;
	bool header = false;

	for (size_t i = 0; i < count && i < MAX_TAKEN; i++) {
		const struct graph_edge *edge = &graph->edge[steps[i].edge];
		const char *field = report_model_field(&report->model, steps[i].from, edge);
		char *place = report_place(&report->model, report_model_edge_stack(&report->model, edge));

		if (place == NULL)
			continue;
		if (!header) {
			textout_cell(&report->out, TEXTOUT_BOLD, 0, "     Taken at:");
			textout_put(&report->out, "\n");
		}
		header = true;
		textout_put(&report->out, "%*s%s#%" PRIu32 "%s%s: %s\n", INDENT + 2, "",
			    type_of(report, steps[i].from), report->model.place[steps[i].from],
			    field != NULL ? "." : "", field != NULL ? field : "", place);
		free(place);
	}
}

/* ---- judgement ------------------------------------------------------------ */

static void write_break(struct report_text *report, const struct break_advice *advice)
{
	if (advice->present)
		paragraph(report,
			  "Break it: ", report_place_format("%s (%s)", advice->action, advice->reason));
}

static void write_evidence(struct report_text *report, const struct evidence *evidence)
{
	const char *via = evidence->reachable_via, *edges = evidence->edges;
	char *reach = NULL;

	if (edges != NULL && strcmp(edges, "scanned") == 0 && evidence->refcounts == 0) {
		paragraph(report, "Evidence: ",
			  report_place_format("no pointer leads here from anything that the program holds"));
		return;
	}
	if (via != NULL && strcmp(via, "none") != 0)
		reach = report_place_format("; still pointed to, but only through a %s reference", via);
	paragraph(report, "Evidence: ",
		  report_place_format("%" PRId64 " %s: %" PRId64 " explained from inside, %" PRId64
				      " from outside, %" PRId64 " unexplained; %s edges%s",
				      evidence->refcounts, evidence->refcounts == 1 ? "count" : "counts",
				      evidence->explained_inside, evidence->explained_outside,
				      evidence->unexplained, edges != NULL ? edges : "unknown",
				      reach != NULL ? reach : ""));
	free(reach);
}

static void write_references(struct report_text *report, const struct evidence *evidence)
{
	char number[TEXTOUT_NUMBER], *unseen = NULL;

	if (evidence->counted_by_runtime == 0)
		return;
	if (evidence->unseen != 0)
		unseen = report_place_format(
			"; the counts differ from the recorded calls by %s, made where no call can be "
			"recorded",
			textout_plural((uint64_t)evidence->unseen, "call", "calls", number));
	paragraph(report, "References: ",
		  report_place_format("%" PRId64 " of %" PRId64 " explained by recorded calls%s",
				      evidence->recorded, evidence->counted_by_runtime,
				      unseen != NULL ? unseen : ""));
	free(unseen);
}

static void write_stranding(struct report_text *report, const struct stranding *stranding)
{
	const struct graph *graph = report->model.analysis->graph;
	char operation[32], duration[TEXTOUT_NUMBER];
	char *place, *when = NULL;
	uint64_t time;

	if (!stranding->present)
		return;
	place = report_place(&report->model, stranding->stack);
	if (report_model_time(&report->model, stranding->ticks, &time))
		when = report_place_format(", %s after the start", textout_duration(time, duration));
	paragraph(report, "Stranded by: ",
		  report_place_format("%s of %s in %s (thread %" PRIu32 "%s)",
				      report_model_opcode(stranding->opcode, operation),
				      stranding->object < graph->node_count
					      ? type_of(report, stranding->object)
					      : "an object",
				      place != NULL ? place : "an unknown place", stranding->thread,
				      when != NULL ? when : ""));
	report_text_stack(report, INDENT + 2, stranding->stack);
	free(place);
	free(when);
}

/* ---- what it keeps alive -------------------------------------------------- */

static int compare_types(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

/* The most frequent types among the entrained, in order; returns how many. */
static size_t top_types(const struct graph *graph, const struct structure *structure,
			struct type_count top[static MAX_TYPES])
{
	uint32_t *types = calloc(structure->entrained_count, sizeof(*types));
	size_t count = 0;

	for (uint32_t i = 0; types != NULL && i < structure->entrained_count; i++)
		types[i] = graph->node[structure->entrained[i]].type;
	if (types != NULL)
		qsort(types, structure->entrained_count, sizeof(*types), compare_types);
	for (uint32_t i = 0, next; types != NULL && i < structure->entrained_count; i = next) {
		size_t at = count;

		for (next = i; next < structure->entrained_count && types[next] == types[i];)
			next++;
		while (at > 0 && top[at - 1].count < next - i)
			at--;
		if (at == MAX_TYPES)
			continue;
		count += count < MAX_TYPES;
		memmove(&top[at + 1], &top[at], (count - at - 1) * sizeof(top[0]));
		top[at] = (struct type_count){types[i], next - i};
	}
	free(types);
	return count;
}

static void write_entrained(struct report_text *report, const struct structure *structure)
{
	const struct analysis *analysis = report->model.analysis;
	struct type_count top[MAX_TYPES];
	char number[TEXTOUT_NUMBER], bytes[TEXTOUT_NUMBER], *text = NULL;
	size_t count = 0, size;
	const char *unknown = structure->scanned ? "block" : "(unknown type)";
	bool any = structure->entrained_count + structure->block_count > 0;
	FILE *out = any ? open_memstream(&text, &size) : NULL;

	if (out == NULL)
		return;
	if (structure->entrained != NULL)
		count = top_types(analysis->graph, structure, top);
	if (structure->entrained_count > 0)
		fprintf(out, "%s, %s",
			textout_plural(structure->entrained_count, "object", "objects", number),
			textout_size(structure->entrained_bytes, bytes));
	for (size_t i = 0; i < count; i++) {
		const char *type = trace_text(analysis->trace, top[i].type);

		fprintf(out, "%s %" PRIu64 " %s", i == 0 ? ":" : ",", top[i].count,
			*type != '\0' ? type : unknown);
	}
	if (count == MAX_TYPES)
		fputs(", ...", out);
	if (structure->block_count > 0)
		fprintf(out, "%s%s, %s", structure->entrained_count > 0 ? "; and " : "",
			textout_plural(structure->block_count, "block", "blocks", number),
			textout_size(structure->block_bytes, bytes));
	if (fclose(out) != 0) {
		free(text);
		text = NULL;
	}
	paragraph(report, "Keeps alive: ", text);
}

/* ---- a finding ------------------------------------------------------------ */

static void write_heading(struct report_text *report, size_t number, const struct finding *finding,
			  const struct structure *structure)
{
	char text[TEXTOUT_NUMBER], size[TEXTOUT_NUMBER];
	char *label = report_model_label(&report->model, structure);

	snprintf(text, sizeof(text), "%zu. ", number);
	textout_cell(&report->out, TEXTOUT_BOLD, -INDENT, text);
	textout_cell(&report->out, verdict_color(finding->verdict), 0, verdict_name(finding->verdict));
	textout_put(&report->out, "  %" PRIu32 " x  ", finding->count);
	textout_cell(&report->out, TEXTOUT_BOLD, label != NULL && strlen(label) > 52 ? -52 : 0,
		     label != NULL ? label : "?");
	textout_put(&report->out, "  [%016" PRIx64 "]\n", finding->fingerprint);
	textout_put(&report->out, "%*s%s, %s", INDENT, "",
		    textout_plural(finding->objects, "object", "objects", text),
		    textout_size(finding->bytes, size));
	if (structure->survived != GRAPH_NONE)
		textout_put(&report->out, "; outlived %s",
			    textout_plural(structure->survived, "pass", "passes", text));
	textout_put(&report->out, "%s\n", finding->count > 1 ? "; one of them:" : "");
	free(label);
}

void report_text_finding(struct report_text *report, size_t number, const struct finding *finding)
{
	const struct structure *structure = &report->model.analysis->structures[finding->representative];
	struct report_step *steps = NULL;
	size_t count;

	write_heading(report, number, finding, structure);
	report_model_enter(&report->model, structure);
	write_members(report, structure);
	count = report_model_cycle(&report->model, finding, &steps);
	write_cycle(report, steps, count);
	write_break(report, &finding->advice);
	write_evidence(report, &finding->evidence);
	write_references(report, &finding->evidence);
	write_acquired(report, steps, count);
	write_stranding(report, &finding->stranded_at);
	write_entrained(report, structure);
	report_model_leave(&report->model, structure);
	textout_put(&report->out, "\n");
	free(steps);
}
