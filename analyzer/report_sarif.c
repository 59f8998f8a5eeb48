/* SPDX-License-Identifier: Apache-2.0
 *
 * The report as SARIF 2.1.0 (OASIS standard), for code scanning: one rule per
 * verdict, one result per fingerprint.  A result lies where the reference that
 * should be weak was taken or, where that is not known, where a member was
 * allocated.  Limits are notifications of the tool.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "jsontext.h"
#include "report_text.h"

#define SCHEMA "https://json.schemastore.org/sarif-2.1.0.json"

static const struct {
	enum verdict verdict;
	const char *level, *text;
} rules[] = {
	{VERDICT_STRANDED, "error",
	 "Objects that keep only each other alive: every count is explained from inside the cycle."},
	{VERDICT_LIKELY_STRANDED, "warning",
	 "Objects that seem to keep only each other alive: a reference that was discounted is only inferred "
	 "to "
	 "own nothing."},
	{VERDICT_OVER_REFERENCED, "error",
	 "An object with more counts than references, and without a cycle: an unref is missing."},
	{VERDICT_LEAKED, "warning", "Memory that nothing leads to."},
	{VERDICT_LATENT, "note", "A cycle of owning references that something outside still holds."},
};
#define RULES (sizeof(rules) / sizeof(rules[0]))

static size_t rule_of(enum verdict verdict)
{
	size_t i = 0;

	while (i < RULES - 1 && rules[i].verdict != verdict)
		i++;
	return i;
}

static void put_message(struct jsontext *json, const char *key, const char *text)
{
	jsontext_object(json, key, JSONTEXT_FLAT);
	jsontext_string(json, "text", text ? text : "");
	jsontext_object_end(json);
}

/* RFC 3986: what is not unreserved, nor a slash, is written as %XX. */
static char *uri_of(const char *path)
{
	char *uri = NULL;
	size_t size;
	FILE *out = open_memstream(&uri, &size);

	if (!out)
		return NULL;
	if (*path == '/')
		fputs("file://", out);
	for (; *path; path++) {
		const unsigned char c = (unsigned char)*path;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr("-._~/", c))
			fputc(c, out);
		else
			fprintf(out, "%%%02X", c);
	}
	fclose(out);
	return uri;
}

/* `what`: NULL = nothing to say about it. */
static void put_location(struct jsontext *json, const char *key, const struct symbols_frame *frame,
			 const char *what)
{
	const char *path = frame->file ? frame->file : frame->module;
	char *uri = path ? uri_of(path) : NULL;

	jsontext_object(json, key, JSONTEXT_LINES);
	if (uri) {
		jsontext_object(json, "physicalLocation", JSONTEXT_FLAT);
		jsontext_object(json, "artifactLocation", JSONTEXT_FLAT);
		jsontext_string(json, "uri", uri);
		jsontext_object_end(json);
		if (frame->file && frame->line > 0) {
			jsontext_object(json, "region", JSONTEXT_FLAT);
			jsontext_count(json, "startLine", frame->line);
			jsontext_object_end(json);
		}
		jsontext_object_end(json);
	}
	if (frame->function) {
		jsontext_array(json, "logicalLocations", JSONTEXT_FLAT);
		jsontext_object(json, NULL, JSONTEXT_FLAT);
		jsontext_string(json, "fullyQualifiedName", frame->function);
		jsontext_string(json, "kind", "function");
		jsontext_object_end(json);
		jsontext_array_end(json);
	}
	if (what)
		put_message(json, "message", what);
	jsontext_object_end(json);
	free(uri);
}

/* The place of a stack as the only or the next element of an array. */
static void put_place(struct jsontext *json, const struct report_model *model, uint32_t stack,
		      const char *what)
{
	struct symbols_frame *frames;
	size_t count = report_place_stack(model, stack, &frames);

	if (count > 0)
		put_location(json, NULL, &frames[report_place_pick(frames, count)], what);
	free(frames);
}

static void put_stack(struct jsontext *json, const struct report_model *model, uint32_t stack,
		      const char *what)
{
	size_t max = model->options->max_frames;
	struct symbols_frame *frames;
	size_t count = report_place_stack(model, stack, &frames);

	if (count > 0) {
		jsontext_object(json, NULL, JSONTEXT_LINES);
		put_message(json, "message", what);
		jsontext_array(json, "frames", JSONTEXT_LINES);
		for (size_t i = 0; i < count && (max == 0 || i < max); i++) {
			jsontext_object(json, NULL, JSONTEXT_LINES);
			put_location(json, "location", &frames[i], NULL);
			jsontext_string(json, "module", frames[i].module ? frames[i].module : "");
			jsontext_object_end(json);
		}
		jsontext_array_end(json);
		jsontext_object_end(json);
	}
	free(frames);
}

static void begin_result(struct jsontext *json, enum verdict verdict, const char *message,
			 uint64_t fingerprint, uint64_t count)
{
	size_t rule = rule_of(verdict);
	char text[17];

	snprintf(text, sizeof(text), "%016" PRIx64, fingerprint);
	jsontext_object(json, NULL, JSONTEXT_LINES);
	jsontext_string(json, "ruleId", verdict_name(verdict));
	jsontext_count(json, "ruleIndex", rule);
	jsontext_string(json, "level", rules[rule].level);
	put_message(json, "message", message);
	jsontext_object(json, "partialFingerprints", JSONTEXT_FLAT);
	jsontext_string(json, "castaway/v1", text);
	jsontext_object_end(json);
	jsontext_count(json, "occurrenceCount", count);
}

/* Where each reference of the cycle was taken. */
static void put_related(struct jsontext *json, const struct report_model *model,
			const struct report_step *steps, size_t count)
{
	const struct graph *graph = model->analysis->graph;

	jsontext_array(json, "relatedLocations", JSONTEXT_LINES);
	for (size_t i = 0; i < count; i++) {
		const struct graph_edge *edge = &graph->edge[steps[i].edge];
		const char *field = report_model_field(model, steps[i].from, edge);
		char *what =
			report_place_format("%s.%s was set here", report_model_name(model, steps[i].from),
					    field ? field : "(unnamed)");

		put_place(json, model, report_model_edge_stack(model, edge), what);
		free(what);
	}
	jsontext_array_end(json);
}

static uint32_t first_stack(const struct report_model *model, const struct finding *finding,
			    const struct structure *structure)
{
	const struct graph *graph = model->analysis->graph;
	uint32_t stack = finding->advice.present && finding->advice.edge < graph->edge_count
				 ? report_model_edge_stack(model, &graph->edge[finding->advice.edge])
				 : 0;

	for (uint32_t i = 0; stack == 0 && structure->members && i < structure->member_count; i++)
		stack = graph->node[structure->members[i]].stack;
	return stack;
}

static void write_finding(struct jsontext *json, struct report_model *model, const struct finding *finding)
{
	const struct structure *structure = &model->analysis->structures[finding->representative];
	char *message = report_text_line(model, finding);
	struct report_step *steps = NULL;
	size_t count;

	begin_result(json, finding->verdict, message, finding->fingerprint, finding->count);
	report_model_enter(model, structure);
	count = report_model_cycle(model, finding, &steps);
	jsontext_array(json, "locations", JSONTEXT_LINES);
	put_place(json, model, first_stack(model, finding, structure), NULL);
	jsontext_array_end(json);
	put_related(json, model, steps, count);
	jsontext_array(json, "stacks", JSONTEXT_LINES);
	if (structure->members && structure->member_count > 0)
		put_stack(json, model, model->analysis->graph->node[structure->members[0]].stack,
			  "a member was allocated here");
	if (finding->stranded_at.present)
		put_stack(json, model, finding->stranded_at.stack,
			  "this let go of the last reference from outside");
	jsontext_array_end(json);
	jsontext_object_end(json);
	report_model_leave(model, structure);
	free(steps);
	free(message);
}

static void write_leak(struct jsontext *json, const struct report_model *model, const struct leak *leak)
{
	char *message = report_text_leak_line(model, leak);

	begin_result(json, leak->verdict, message, leak->fingerprint, leak->count);
	jsontext_array(json, "locations", JSONTEXT_LINES);
	put_place(json, model, leak->stack, NULL);
	jsontext_array_end(json);
	jsontext_array(json, "stacks", JSONTEXT_LINES);
	put_stack(json, model, leak->stack, "it was allocated here");
	put_stack(json, model, leak->taken, "the reference that nobody gave back was taken here");
	jsontext_array_end(json);
	jsontext_object_end(json);
	free(message);
}

static void write_tool(struct jsontext *json)
{
	jsontext_object(json, "tool", JSONTEXT_LINES);
	jsontext_object(json, "driver", JSONTEXT_LINES);
	jsontext_string(json, "name", "castaway");
	jsontext_array(json, "rules", JSONTEXT_LINES);
	for (size_t i = 0; i < RULES; i++) {
		jsontext_object(json, NULL, JSONTEXT_LINES);
		jsontext_string(json, "id", verdict_name(rules[i].verdict));
		put_message(json, "shortDescription", rules[i].text);
		jsontext_object(json, "defaultConfiguration", JSONTEXT_FLAT);
		jsontext_string(json, "level", rules[i].level);
		jsontext_object_end(json);
		jsontext_object_end(json);
	}
	jsontext_array_end(json);
	jsontext_object_end(json);
	jsontext_object_end(json);
}

static void write_invocation(struct jsontext *json, const struct report_model *model)
{
	struct report_limit limit;

	jsontext_array(json, "invocations", JSONTEXT_LINES);
	jsontext_object(json, NULL, JSONTEXT_LINES);
	jsontext_bool(json, "executionSuccessful", true);
	jsontext_array(json, "toolExecutionNotifications", JSONTEXT_LINES);
	for (size_t i = 0; report_model_limit(model, i, &limit); i++) {
		char *text = report_model_limit_text(&limit);

		jsontext_object(json, NULL, JSONTEXT_LINES);
		jsontext_object(json, "descriptor", JSONTEXT_FLAT);
		jsontext_string(json, "id", limit.code);
		jsontext_object_end(json);
		jsontext_string(json, "level", "note");
		put_message(json, "message", text);
		jsontext_object_end(json);
		free(text);
	}
	jsontext_array_end(json);
	jsontext_object_end(json);
	jsontext_array_end(json);
}

static enum error_code write_sarif(struct report_model *model, FILE *out, struct error *error)
{
	const struct analysis *analysis = model->analysis;
	struct jsontext json;

	jsontext_start(&json, out);
	jsontext_object(&json, NULL, JSONTEXT_LINES);
	jsontext_string(&json, "$schema", SCHEMA);
	jsontext_string(&json, "version", "2.1.0");
	jsontext_array(&json, "runs", JSONTEXT_LINES);
	jsontext_object(&json, NULL, JSONTEXT_LINES);
	write_tool(&json);
	jsontext_array(&json, "results", JSONTEXT_LINES);
	for (size_t i = 0; i < analysis->finding_count; i++)
		write_finding(&json, model, &analysis->findings[i]);
	for (size_t i = 0; i < analysis->leak_count; i++)
		write_leak(&json, model, &analysis->leaks[i]);
	jsontext_array_end(&json);
	write_invocation(&json, model); /* last: looking up names adds to the limits */
	jsontext_object_end(&json);
	jsontext_array_end(&json);
	jsontext_object_end(&json);
	return ERROR_NONE;
}

const struct report_format report_sarif = {"sarif", write_sarif};
