/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON report, `castaway-report/1`; its schema is report.schema.json.  All
 * keys are always there, null where nothing is known.  Written as a stream, so
 * that memory does not grow with the number of structures.
 */
#include "report_json.h"

#include <inttypes.h>
#include <stdlib.h>

#define SCHEMA "castaway-report/1"

static void optional_count(struct jsontext *json, const char *key, bool known, uint64_t value)
{
	if (known)
		jsontext_count(json, key, value);
	else
		jsontext_null(json, key);
}

static void write_frame(struct jsontext *json, const struct symbols_frame *frame)
{
	jsontext_object(json, NULL, JSONTEXT_FLAT);
	jsontext_string(json, "function", frame->function);
	jsontext_string(json, "file", frame->file);
	optional_count(json, "line", frame->line > 0, frame->line);
	jsontext_string(json, "module", frame->module);
	if (frame->offset != 0)
		jsontext_address(json, "offset", frame->offset);
	else
		jsontext_null(json, "offset");
	jsontext_string(json, "build_id", frame->build_id);
	jsontext_string(json, "language", frame->language);
	jsontext_object_end(json);
}

void report_json_stack(struct jsontext *json, const char *key, const struct report_model *model,
		       uint32_t stack)
{
	struct symbols_frame *frames = NULL;
	size_t count = 0;

	if (stack != 0 && model->analysis->symbols != NULL)
		count = symbols_program_stack(model->analysis->symbols, stack, model->options->max_frames,
					      &frames);
	jsontext_array(json, key, JSONTEXT_LINES);
	for (size_t i = 0; i < count; i++)
		write_frame(json, &frames[i]);
	jsontext_array_end(json);
	free(frames);
}

void report_json_fingerprint(struct jsontext *json, uint64_t fingerprint)
{
	char text[17];

	snprintf(text, sizeof(text), "%016" PRIx64, fingerprint);
	jsontext_string(json, "fingerprint", text);
}

static void write_trace(struct jsontext *json, const struct report_model *model)
{
	const struct trace *trace = model->analysis->trace;
	char started[40], writer[sizeof(trace->header.writer) + 1];
	uint64_t value = 0;
	bool known;

	snprintf(writer, sizeof(writer), "%.*s", (int)sizeof(trace->header.writer), trace->header.writer);
	jsontext_object(json, "trace", JSONTEXT_LINES);
	jsontext_string(json, "path", trace->path);
	jsontext_count(json, "pid", trace->header.pid);
	jsontext_array(json, "command", JSONTEXT_FLAT);
	for (size_t i = 0; i < trace->argc; i++)
		jsontext_string(json, NULL, trace->argv[i]);
	jsontext_array_end(json);
	jsontext_string(json, "started", report_model_started(model, started) ? started : NULL);
	known = trace->has_end && report_model_time(model, trace->end_ticks, &value);
	optional_count(json, "duration_ns", known, value);
	jsontext_bool(json, "complete", trace->complete);
	known = report_model_events(model, &value);
	optional_count(json, "events", known, value);
	known = report_model_dropped(model, &value);
	optional_count(json, "dropped_events", known, value);
	jsontext_count(json, "snapshots", trace->snapshot_count);
	jsontext_string(json, "castaway_version", writer[0] != '\0' ? writer : NULL);
	jsontext_object_end(json);
}

static void write_snapshot(struct jsontext *json, const struct report_model *model)
{
	const struct trace_snapshot *snapshot = model->analysis->snapshot;
	const struct trace_snapshot *earlier = model->analysis->earlier;
	const char *name = snapshot != NULL ? snapshot->name : NULL;
	uint64_t time;
	bool known = report_model_time(model, model->analysis->ticks, &time);

	jsontext_object(json, "snapshot", JSONTEXT_LINES);
	optional_count(json, "index", snapshot != NULL, snapshot != NULL ? snapshot->index : 0);
	jsontext_string(json, "reason", report_model_reason(snapshot));
	jsontext_string(json, "method", report_model_method(snapshot));
	optional_count(json, "time_ns", known, time);
	optional_count(json, "pause_ns", snapshot != NULL, snapshot != NULL ? snapshot->pause_ns : 0);
	jsontext_string(json, "label", name != NULL && *name != '\0' ? name : NULL);
	optional_count(json, "confirmed_by", earlier != NULL, earlier != NULL ? earlier->index : 0);
	jsontext_object_end(json);
}

/* X(key, known), in the order of the report */
#define SUMMARY_KEYS(X)                      \
	X(blocks, true)                      \
	X(bytes, true)                       \
	X(objects, true)                     \
	X(edges, true)                       \
	X(roots, summary->scanned)           \
	X(structures, true)                  \
	X(stranded_structures, true)         \
	X(stranded_objects, true)            \
	X(stranded_bytes, true)              \
	X(likely_stranded_structures, true)  \
	X(over_referenced, summary->scanned) \
	X(leaked_blocks, summary->scanned)   \
	X(leaked_bytes, summary->scanned)

static void write_summary(struct jsontext *json, const struct analysis_summary *summary)
{
	jsontext_object(json, "summary", JSONTEXT_LINES);
#define X(key, known) optional_count(json, #key, known, summary->key);
	SUMMARY_KEYS(X)
#undef X
	jsontext_object_end(json);
}

static void write_generations(struct jsontext *json, const struct generation_row rows[static 3])
{
	jsontext_array(json, "generations", JSONTEXT_LINES);
	for (unsigned i = 0; i < 3; i++) {
		jsontext_object(json, NULL, JSONTEXT_FLAT);
		jsontext_count(json, "generation", i);
		jsontext_count(json, "objects", rows[i].objects);
		jsontext_count(json, "collections", rows[i].collections);
		jsontext_count(json, "promoted", rows[i].promoted);
		jsontext_count(json, "threshold", rows[i].threshold);
		jsontext_count(json, "stranded_objects", rows[i].stranded_objects);
		jsontext_count(json, "count", rows[i].count);
		jsontext_object_end(json);
	}
	jsontext_array_end(json);
}

static void write_runtimes(struct jsontext *json, const struct analysis *analysis)
{
	jsontext_array(json, "runtimes", JSONTEXT_LINES);
	for (size_t i = 0; i < analysis->runtime_count; i++) {
		const struct runtime_row *row = &analysis->runtimes[i];

		jsontext_object(json, NULL, JSONTEXT_LINES);
		jsontext_string(json, "name", trace_runtime_name(row->runtime));
		jsontext_string(json, "version", row->version);
		jsontext_count(json, "objects", row->objects);
		jsontext_string(json, "status", report_model_status(row->status));
		jsontext_string(json, "note", row->note);
		jsontext_bool(json, "enabled", row->enabled);
		jsontext_count(json, "frozen", row->frozen);
		write_generations(json, row->generation);
		jsontext_object_end(json);
	}
	jsontext_array_end(json);
}

static void write_leaks(struct jsontext *json, const struct report_model *model)
{
	const struct analysis *analysis = model->analysis;

	jsontext_array(json, "leaks", JSONTEXT_LINES);
	for (size_t i = 0; i < analysis->leak_count; i++) {
		const struct leak *leak = &analysis->leaks[i];
		const char *type = trace_text(analysis->trace, leak->type);

		jsontext_object(json, NULL, JSONTEXT_LINES);
		report_json_fingerprint(json, leak->fingerprint);
		jsontext_string(json, "verdict", verdict_name(leak->verdict));
		jsontext_count(json, "count", leak->count);
		jsontext_count(json, "blocks", leak->blocks);
		jsontext_count(json, "bytes", leak->bytes);
		jsontext_count(json, "direct_bytes", leak->direct_bytes);
		jsontext_string(json, "type", *type != '\0' ? type : NULL);
		if (leak->verdict == VERDICT_OVER_REFERENCED)
			jsontext_integer(json, "refcount", leak->refcount);
		else
			jsontext_null(json, "refcount");
		report_json_stack(json, "allocated_at", model, leak->stack);
		report_json_stack(json, "unmatched_at", model, leak->taken);
		jsontext_object_end(json);
	}
	jsontext_array_end(json);
}

static void write_misuse(struct jsontext *json, const struct report_model *model)
{
	const struct analysis *analysis = model->analysis;
	const struct replay_misuse *misuses = NULL;
	size_t count = 0;

	if (analysis->replay != NULL)
		misuses = replay_misuses(analysis->replay, &count);
	jsontext_array(json, "misuse", JSONTEXT_LINES);
	for (size_t i = 0; i < count; i++) {
		const char *type = trace_text(analysis->trace, misuses[i].type);

		jsontext_object(json, NULL, JSONTEXT_LINES);
		jsontext_string(json, "kind", report_model_misuse(misuses[i].kind));
		jsontext_string(json, "type", *type != '\0' ? type : NULL);
		jsontext_address(json, "object", misuses[i].address);
		jsontext_count(json, "count", misuses[i].count);
		jsontext_count(json, "thread", misuses[i].thread);
		report_json_stack(json, "stack", model, misuses[i].stack);
		jsontext_object_end(json);
	}
	jsontext_array_end(json);
}

static void write_limits(struct jsontext *json, const struct report_model *model)
{
	struct report_limit limit;

	jsontext_array(json, "limits", JSONTEXT_LINES);
	for (size_t i = 0; report_model_limit(model, i, &limit); i++) {
		jsontext_object(json, NULL, JSONTEXT_FLAT);
		jsontext_string(json, "code", limit.code);
		jsontext_string(json, "message", limit.message);
		jsontext_count(json, "count", limit.count);
		jsontext_string(json, "detail", limit.detail);
		jsontext_object_end(json);
	}
	jsontext_array_end(json);
}

static enum error_code write_json(struct report_model *model, FILE *out, struct error *error)
{
	struct jsontext json;

	jsontext_start(&json, out);
	jsontext_object(&json, NULL, JSONTEXT_LINES);
	jsontext_string(&json, "schema", SCHEMA);
	write_trace(&json, model);
	write_snapshot(&json, model);
	write_summary(&json, &model->analysis->summary);
	write_runtimes(&json, model->analysis);
	write_generations(&json, model->analysis->generations);
	report_json_structures(&json, model);
	write_leaks(&json, model);
	write_misuse(&json, model);
	write_limits(&json, model); /* last: looking up names adds to them */
	jsontext_object_end(&json);
	return ERROR_NONE;
}

const struct report_format report_json = {"json", write_json};
