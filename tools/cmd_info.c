/* SPDX-License-Identifier: Apache-2.0
 *
 * `castaway info TRACE`: header, totals and limits, without an analysis.
 */
#include <inttypes.h>
#include <string.h>

#include "cmd.h"
#include "event.h"
#include "message.h"
#include "options.h"
#include "session.h"
#include "text.h"

static const struct option_row *const g_tables[] = {options_format_rows, options_output_rows, NULL};

static const struct option_set g_set = {
	.command = "info",
	.operands = "TRACE",
	.summary = "Prints who wrote a trace, what it holds, and what it lacks.",
	.tables = g_tables,
};

struct totals {
	uint64_t events, count[CASTAWAY_EVENT_LIMIT];
	uint64_t last_ticks;
};

static const char *end_reason(const struct trace *trace)
{
	static const char *const names[] = {
		[CASTAWAY_END_EXIT] = "exit",         [CASTAWAY_END_UNDER_EXIT] = "_exit",
		[CASTAWAY_END_ABORT] = "abort",       [CASTAWAY_END_EXEC] = "exec",
		[CASTAWAY_END_VANISHED] = "vanished", [CASTAWAY_END_STOPPED] = "tracing stopped",
	};

	if (!trace->has_end)
		return "none";
	if (trace->end_reason < CASTAWAY_END_EXIT || trace->end_reason > CASTAWAY_END_STOPPED)
		return "unknown";
	return names[trace->end_reason];
}

static const char *reason_name(enum castaway_snapshot_reason reason)
{
	switch (reason) {
#define X(name, constant, number)        \
	case CASTAWAY_REASON_##constant: \
		return name;
		CASTAWAY_REASONS(X)
#undef X
	}
	return "unknown";
}

/* Of a table whose entry 0 means "none". */
static uint32_t entries(uint32_t count)
{
	return count ? count - 1 : 0;
}

static bool count_event(const struct event *event, void *arg)
{
	struct totals *totals = arg;

	totals->events++;
	if (event->opcode < CASTAWAY_EVENT_LIMIT)
		totals->count[event->opcode]++;
	totals->last_ticks = event->ticks;
	return true;
}

static uint64_t duration_ns(const struct trace *trace, const struct totals *totals)
{
	return trace_time_ns(trace, trace->has_end ? trace->end_ticks : totals->last_ticks);
}

static void print_snapshots(struct textout *out, const struct trace *trace)
{
	for (size_t i = 0; i < trace->snapshot_count; i++) {
		const struct trace_snapshot *snapshot = &trace->snapshots[i];
		const char *name = snapshot->name ? snapshot->name : "";

		textout_put(out, "snapshot   %" PRIu32 ": %s, at %.3f s, pause %.3f ms%s%s%s\n",
			    snapshot->index, reason_name(snapshot->reason),
			    (double)trace_time_ns(trace, snapshot->ticks) / 1e9,
			    (double)snapshot->pause_ns / 1e6, *name ? ", " : "", name,
			    snapshot->complete ? "" : ", not finished");
	}
}

static void print_limits(struct textout *out, const struct trace *trace)
{
	for (size_t i = 0; i < trace->limit_count; i++) {
		const struct trace_limit *limit = &trace->limits[i];
		const char *detail = limit->detail ? limit->detail : "";

		textout_put(out, "limit      %s: %s (%" PRIu64 ")%s%s\n", trace_limit_code(limit->limit),
			    trace_limit_message(limit->limit), limit->count, *detail ? ": " : "", detail);
	}
}

static void print_text(const struct trace *trace, const struct totals *totals)
{
	struct textout out = {.out = stdout};
	char time[TEXT_TIME], size[TEXTOUT_NUMBER];

	textout_put(&out, "trace      %s, %s, format %u, written by %.*s\n", trace->path,
		    textout_size(source_size(trace->source), size), trace->header.version,
		    (int)sizeof(trace->header.writer), trace->header.writer);
	textout_put(&out, "process    %" PRIu32 ", parent %" PRIu32 ", %s\ncommand   ", trace->header.pid,
		    trace->header.ppid, trace->exe ? trace->exe : "?");
	for (size_t i = 0; i < trace->argc; i++)
		textout_put(&out, " %s", trace->argv[i]);
	textout_put(&out, "\nstarted    %s, ran %.3f s\n", text_time(trace->header.start_realtime_ns, time),
		    (double)duration_ns(trace, totals) / 1e9);
	textout_put(&out, "complete   %s (end: %s)\n", trace->complete ? "yes" : "no", end_reason(trace));
	if (trace->options && *trace->options)
		textout_put(&out, "options    %s\n", trace->options);
	textout_put(&out, "events     %" PRIu64 ", %" PRIu64 " dropped\n", totals->events,
		    trace->end_dropped);
	for (uint8_t i = 0; i < CASTAWAY_EVENT_LIMIT; i++)
		if (totals->count[i])
			textout_put(&out, "           %12" PRIu64 " %s\n", totals->count[i],
				    event_describe(i)->name);
	textout_put(&out,
		    "tables     %zu threads, %" PRIu32 " modules, %" PRIu32 " stack nodes, %" PRIu32
		    " strings\n",
		    trace->thread_count, trace->module_count, entries(trace->frame_count),
		    entries(trace->string_count));
	print_snapshots(&out, trace);
	print_limits(&out, trace);
}

static void print_json_process(struct jsontext *json, const struct trace *trace, const struct totals *totals)
{
	char writer[sizeof(trace->header.writer) + 1] = "", time[TEXT_TIME];

	memcpy(writer, trace->header.writer, sizeof(trace->header.writer));
	jsontext_string(json, "schema", "castaway-info/1");
	jsontext_string(json, "path", trace->path);
	jsontext_count(json, "size", source_size(trace->source));
	jsontext_count(json, "format", trace->header.version);
	jsontext_string(json, "castaway_version", writer);
	jsontext_count(json, "pid", trace->header.pid);
	jsontext_count(json, "ppid", trace->header.ppid);
	jsontext_string(json, "exe", trace->exe);
	jsontext_array(json, "command", JSONTEXT_FLAT);
	for (size_t i = 0; i < trace->argc; i++)
		jsontext_string(json, NULL, trace->argv[i]);
	jsontext_array_end(json);
	jsontext_string(json, "options", trace->options);
	jsontext_string(json, "started", text_time(trace->header.start_realtime_ns, time));
	jsontext_count(json, "duration_ns", duration_ns(trace, totals));
	jsontext_bool(json, "complete", trace->complete);
	jsontext_string(json, "end", end_reason(trace));
}

static void print_json_totals(struct jsontext *json, const struct trace *trace, const struct totals *totals)
{
	jsontext_count(json, "events", totals->events);
	jsontext_count(json, "dropped_events", trace->end_dropped);
	jsontext_object(json, "events_by_type", JSONTEXT_FLAT);
	for (uint8_t i = 0; i < CASTAWAY_EVENT_LIMIT; i++)
		if (totals->count[i])
			jsontext_count(json, event_describe(i)->name, totals->count[i]);
	jsontext_object_end(json);
	jsontext_count(json, "threads", trace->thread_count);
	jsontext_count(json, "modules", trace->module_count);
	jsontext_count(json, "stack_nodes", entries(trace->frame_count));
	jsontext_count(json, "strings", entries(trace->string_count));
}

static void print_json_lists(struct jsontext *json, const struct trace *trace)
{
	jsontext_array(json, "snapshots", JSONTEXT_LINES);
	for (size_t i = 0; i < trace->snapshot_count; i++) {
		const struct trace_snapshot *snapshot = &trace->snapshots[i];

		jsontext_object(json, NULL, JSONTEXT_FLAT);
		jsontext_count(json, "index", snapshot->index);
		jsontext_string(json, "reason", reason_name(snapshot->reason));
		jsontext_string(json, "name", snapshot->name && *snapshot->name ? snapshot->name : NULL);
		jsontext_count(json, "time_ns", trace_time_ns(trace, snapshot->ticks));
		jsontext_count(json, "pause_ns", snapshot->pause_ns);
		jsontext_bool(json, "complete", snapshot->complete);
		jsontext_object_end(json);
	}
	jsontext_array_end(json);
	jsontext_array(json, "limits", JSONTEXT_LINES);
	for (size_t i = 0; i < trace->limit_count; i++) {
		const struct trace_limit *limit = &trace->limits[i];

		jsontext_object(json, NULL, JSONTEXT_FLAT);
		jsontext_string(json, "code", trace_limit_code(limit->limit));
		jsontext_string(json, "message", trace_limit_message(limit->limit));
		jsontext_string(json, "detail", limit->detail && *limit->detail ? limit->detail : NULL);
		jsontext_count(json, "count", limit->count);
		jsontext_object_end(json);
	}
	jsontext_array_end(json);
}

static void print_json(const struct trace *trace, const struct totals *totals)
{
	struct jsontext json;

	jsontext_start(&json, stdout);
	jsontext_object(&json, NULL, JSONTEXT_LINES);
	print_json_process(&json, trace, totals);
	print_json_totals(&json, trace, totals);
	print_json_lists(&json, trace);
	jsontext_object_end(&json);
}

int cmd_info(int argc, char **argv)
{
	struct totals totals = {0};
	struct trace *trace;
	int status, first = options_parse(&g_set, argc, argv, &status);

	if (first < 0)
		return status;
	if (argc - first != 1)
		return message_usage("info: expected one trace (see castaway info --help)");
	trace = session_open(argv[first]);
	if (!trace)
		return EXIT_STATUS_ERROR;
	status = session_events(trace, false, count_event, &totals);
	if (!status && g_options.json)
		print_json(trace, &totals);
	else if (!status)
		print_text(trace, &totals);
	trace_free(trace);
	if (message_finish_output(stdout, "standard output"))
		return EXIT_STATUS_ERROR;
	return status;
}
