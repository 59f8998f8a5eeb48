/* SPDX-License-Identifier: Apache-2.0
 *
 * `castaway dump TRACE`: the merged events, one per line, as text or JSON.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "event.h"
#include "message.h"
#include "options.h"
#include "session.h"
#include "text.h"

static struct {
	uint64_t from, to;
	bool json, stacks;
} g_dump = {.to = UINT64_MAX};

static bool parse_format(const struct option_row *row, const char *argument)
{
	g_dump.json = !strcmp(argument, "jsonl");
	return g_dump.json || !strcmp(argument, "text");
}

static const struct option_row g_rows[] = {
	{"from", 0, "N", option_number, &g_dump.from, "number of the first event to print (default: 0)"},
	{"to", 0, "N", option_number, &g_dump.to, "number of the last event to print (default: the last)"},
	{"format", 'f', "text|jsonl", parse_format, NULL,
	 "a line of text, or of JSON, per event (default: text)"},
	{"stacks", 0, NULL, option_flag, &g_dump.stacks, "print the call stack of each event"},
	{0},
};

static const struct option_row *const g_tables[] = {g_rows, options_symbols_rows, options_output_rows, NULL};

static const struct option_set g_set = {
	.command = "dump",
	.operands = "TRACE",
	.summary = "Prints a trace's events in the order of time.",
	.tables = g_tables,
};

static void put_text_field(struct textout *out, const struct trace *trace, char kind, const char *name,
			   uint64_t value)
{
	textout_put(out, " %s=", name);
	if (kind == 'b' || kind == 'o')
		textout_put(out, "0x%" PRIx64, value);
	else if (kind == 't')
		textout_put(out, "\"%s\"", trace_text(trace, (uint32_t)value));
	else if (kind == 'i')
		textout_put(out, "%" PRId64, (int64_t)value);
	else
		textout_put(out, "%" PRIu64, value);
}

static void put_json_field(struct jsontext *json, const struct trace *trace, char kind, const char *name,
			   uint64_t value)
{
	if (kind == 'b' || kind == 'o')
		jsontext_address(json, name, value);
	else if (kind == 't')
		jsontext_string(json, name, value ? trace_text(trace, (uint32_t)value) : NULL);
	else if (kind == 'i')
		jsontext_integer(json, name, (int64_t)value);
	else
		jsontext_count(json, name, value);
}

/* Copies the next of the comma-separated `names`; returns what is left. */
static const char *next_name(const char *names, char *name, size_t size)
{
	size_t length = strcspn(names, ",");

	snprintf(name, size, "%.*s", (int)length, names);
	return names + length + (names[length] == ',');
}

static void print_text(const struct trace *trace, const struct event *event,
		       const struct event_description *description, const struct symbols_frame *frames,
		       size_t frame_count)
{
	struct textout out = {.out = stdout};
	const char *names = description->fields;
	char name[32];

	textout_put(&out, "%" PRIu64 " %.9f thread %" PRIu32 " %s", event->index,
		    (double)trace_time_ns(trace, event->ticks) / 1e9, event->thread, description->name);
	for (unsigned i = 0; i < event->field_count; i++) {
		names = next_name(names, name, sizeof(name));
		put_text_field(&out, trace, description->signature[i], name, event->field[i]);
	}
	for (size_t i = 0; i < frame_count; i++) {
		textout_put(&out, i ? "\n    by " : "\n    at ");
		text_frame(&out, &frames[i]);
	}
	textout_put(&out, "\n");
}

static void print_json(const struct trace *trace, const struct event *event,
		       const struct event_description *description, const struct symbols_frame *frames,
		       size_t frame_count)
{
	const char *names = description->fields;
	struct jsontext json;
	char name[32];

	jsontext_start(&json, stdout);
	jsontext_object(&json, NULL, JSONTEXT_FLAT);
	jsontext_count(&json, "index", event->index);
	jsontext_count(&json, "time_ns", trace_time_ns(trace, event->ticks));
	jsontext_count(&json, "thread", event->thread);
	jsontext_string(&json, "event", description->name);
	for (unsigned i = 0; i < event->field_count; i++) {
		names = next_name(names, name, sizeof(name));
		put_json_field(&json, trace, description->signature[i], name, event->field[i]);
	}
	if (g_dump.stacks) {
		jsontext_array(&json, "frames", JSONTEXT_FLAT);
		for (size_t i = 0; i < frame_count; i++)
			text_frame_json(&json, &frames[i]);
		jsontext_array_end(&json);
	}
	jsontext_object_end(&json);
}

static void print_event(const struct trace *trace, const struct event *event, struct symbols *symbols)
{
	const struct event_description *description = event_describe(event->opcode);
	const char *stack = description ? strchr(description->signature, 's') : NULL;
	struct symbols_frame *frames = NULL;
	size_t count = 0;

	if (!description)
		return;
	if (symbols && stack)
		count = symbols_stack(symbols, (uint32_t)event->field[stack - description->signature], 0,
				      &frames);
	(g_dump.json ? print_json : print_text)(trace, event, description, frames, count);
	free(frames);
}

struct dump {
	const struct trace *trace;
	struct symbols *symbols; /* NULL: no stacks */
};

static bool dump_event(const struct event *event, void *arg)
{
	const struct dump *dump = arg;

	if (event->index > g_dump.to || ferror(stdout))
		return false;
	if (event->index >= g_dump.from)
		print_event(dump->trace, event, dump->symbols);
	return true;
}

static int dump(struct trace *trace, struct symbols *symbols)
{
	struct dump dump = {trace, symbols};

	return session_events(trace, isatty(STDOUT_FILENO), dump_event, &dump);
}

int cmd_dump(int argc, char **argv)
{
	struct symbols *symbols = NULL;
	struct error error = {0};
	struct trace *trace;
	int status, first = options_parse(&g_set, argc, argv, &status);

	if (first < 0)
		return status;
	if (argc - first != 1)
		return message_usage("dump: expected one trace (see castaway dump --help)");
	options_finish();
	trace = session_open(argv[first]);
	if (!trace)
		return EXIT_STATUS_ERROR;
	if (g_dump.stacks && symbols_new(trace, &g_options.analysis.symbols, &symbols, &error) != ERROR_NONE)
		status = session_fail(trace->path, &error);
	else
		status = dump(trace, symbols);
	if (symbols)
		symbols_free(symbols);
	if (!status && !message_finish_output(stdout, "standard output"))
		session_warn_partial(trace);
	trace_free(trace);
	if (message_finish_output(stdout, "standard output"))
		return EXIT_STATUS_ERROR;
	return status;
}
