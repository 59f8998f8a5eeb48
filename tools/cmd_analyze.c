/* SPDX-License-Identifier: Apache-2.0
 *
 * `castaway analyze TRACE`: the report.  Exit 0 whatever it finds.
 */
#include "cmd.h"
#include "message.h"
#include "options.h"
#include "output.h"
#include "session.h"

static struct {
	const struct report_format *format;
	const char *output;
	uint64_t frames, findings;
	FILE *stream;
} g_analyze = {.format = &report_text, .frames = 12};

static bool parse_format(const struct option_row *row, const char *argument)
{
	g_analyze.format = report_find(argument);
	return g_analyze.format != NULL;
}

#define X(name) #name " "
static const struct option_row g_rows[] = {
	{"format", 'f', "FORMAT", parse_format, NULL, "one of: " REPORT_FORMATS(X) "(default: text)"},
	{"output", 'o', "FILE", option_text, &g_analyze.output,
	 "write to FILE instead of standard output; it appears when it is complete"},
	{"frames", 0, "N", option_number, &g_analyze.frames,
	 "frames per stack at most; 0 = all (default: 12)"},
	{"top", 0, "N", option_number, &g_analyze.findings,
	 "findings at most, in text, html and dot; 0 = all (default)"},
	{0},
};
#undef X

static const struct option_row *const g_tables[] = {g_rows, options_analysis_rows, options_output_rows, NULL};

static const struct option_set g_set = {
	.command = "analyze",
	.operands = "TRACE",
	.summary = "Reports what a trace shows. The exit status is 0 whatever that is.",
	.tables = g_tables,
};

static int write_report(struct analysis *analysis, void *arg)
{
	struct report_options options = {.color = options_use_color(g_analyze.stream),
					 .all_members = g_options.analysis.instances,
					 .max_frames = (size_t)g_analyze.frames,
					 .max_findings = (size_t)g_analyze.findings};
	struct error error = {0};

	if (report_write(g_analyze.format, analysis, &options, g_analyze.stream, &error) == ERROR_NONE)
		return EXIT_STATUS_OK;
	/* The stream remembers what went wrong; output_close says it. */
	if (ferror(g_analyze.stream))
		return EXIT_STATUS_OK;
	return session_fail(analysis->trace->path, &error);
}

int cmd_analyze(int argc, char **argv)
{
	struct output output;
	int closed, status, first = options_parse(&g_set, argc, argv, &status);

	if (first < 0)
		return status;
	if (argc - first != 1)
		return message_usage("analyze: expected one trace (see castaway analyze --help)");
	options_finish();
	if (!output_open(&output, g_analyze.output, argv + first))
		return EXIT_STATUS_ERROR;
	g_analyze.stream = output.stream;
	status = session_run(argv[first], write_report, NULL);
	closed = output_close(&output, status == EXIT_STATUS_OK);
	return status ? status : closed;
}
