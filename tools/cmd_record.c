/* SPDX-License-Identifier: Apache-2.0
 *
 * `castaway record [OPTIONS] -- CMD...`: runs CMD under the preload and exits
 * as CMD does.
 */
#include <stdlib.h>
#include <time.h>

#include "cmd.h"
#include "message.h"
#include "options.h"
#include "recording.h"
#include "settings.h"
#include "target.h"

#define PATIENCE_SECONDS 10

static struct {
	const char *output;
	bool force;
} g_record;

static const struct option_row g_rows[] = {
	{"output", 'o', "FILE", option_text, &g_record.output,
	 "the trace to write; %p stands for the process id, %e for the program's name (default: "
	 "PROGRAM.PID.castaway in the current directory)"},
	{"force", 0, NULL, option_flag, &g_record.force, "replace FILE when it exists"},
	{0},
};

static const struct option_row *const g_tables[] = {g_rows, settings_rows, options_output_rows, NULL};

static const struct option_set g_set = {
	.command = "record",
	.operands = "-- CMD [ARGUMENT]...",
	.summary = "Runs CMD and records its trace. The exit status is that of CMD, 128+N on signal N.",
	.tables = g_tables,
	.stop_at_operand = true,
};

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void report_traces(const struct recording_files *files, const char *program)
{
	if (!files->count)
		message_note("%s: warning: the program wrote no trace", program);
	for (size_t i = 0; i < files->count; i++) {
		if (!target_wait_trace(files->file[i].path, PATIENCE_SECONDS))
			message_note("%s: warning: still being written", files->file[i].path);
		else
			message_note("the trace is in %s", files->file[i].path);
	}
}

int cmd_record(int argc, char **argv)
{
	struct target target = {0};
	struct recording_files files;
	const uint64_t since = now();
	char *pattern;
	int status, first = options_parse(&g_set, argc, argv, &status);

	if (first < 0)
		return status;
	if (first == argc)
		return message_usage("record: a program is missing (see castaway record --help)");
	pattern = recording_pattern(g_record.output, argv[first], g_record.force);
	if (!pattern)
		return EXIT_STATUS_ERROR;
	target.command = argv + first;
	target.output = pattern;
	target.settings = settings_text();
	if (target_run(&target)) {
		recording_find(pattern, target.pid, since, &files);
		report_traces(&files, argv[first]);
		recording_free(&files);
	}
	free(pattern);
	return target.status;
}
