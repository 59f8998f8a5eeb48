/* SPDX-License-Identifier: Apache-2.0
 *
 * `castaway run [OPTIONS] -- CMD...`: record, then check, in one step.  The
 * report comes on standard output after what the program printed itself.
 */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "interrupt.h"
#include "judge.h"
#include "message.h"
#include "options.h"
#include "recording.h"
#include "session.h"
#include "settings.h"
#include "target.h"
#include "traces.h"

#define PATIENCE_SECONDS 10
#define SHOWN_FRAMES     12
#define CONFIRM_MS       "100" /* between the two looks of --confirm */

static struct {
	const char *output;
	bool force;
} g_run;

static const struct option_row g_rows[] = {
	{"output", 'o', "FILE", option_text, &g_run.output,
	 "keep the trace as FILE (%p: process id, %e: program), those of children as FILE.PID"},
	{"force", 0, NULL, option_flag, &g_run.force, "replace FILE when it exists"},
	{0},
};

static const struct option_row *const g_tables[] = {
	g_rows, judge_rows, settings_rows, options_analysis_rows, options_output_rows, NULL};

static const struct option_set g_set = {
	.command = "run",
	.operands = "-- CMD [ARGUMENT]...",
	.summary =
		"Runs CMD, then prints what its trace shows. The exit status is 23 when that is something\n"
		"new, else that of CMD (castaway check says more: 3 for a trace too incomplete to tell).",
	.tables = g_tables,
	.stop_at_operand = true,
};

struct run_check {
	struct judge *judge;
	bool child;
};

/* Prints the whole report, for a child process only when it has findings. */
static int report_and_judge(struct analysis *analysis, void *arg)
{
	struct run_check *check = arg;
	struct report_options options = {.color = options_use_color(stdout),
					 .all_members = g_options.analysis.instances,
					 .max_frames = SHOWN_FRAMES};
	struct error error = {0};

	if (!check->child || analysis->finding_count || analysis->leak_count)
		if (report_write(&report_text, analysis, &options, stdout, &error) != ERROR_NONE &&
		    !ferror(stdout))
			return session_fail(analysis->trace->path, &error);
	return judge_visit(analysis, check->judge);
}

static void judge_all(struct judge *judge, const struct traces *traces, pid_t pid)
{
	bool own = false;

	for (size_t i = 0; i < traces->count && !interrupt_pending(); i++) {
		const struct traces_file *file = &traces->files[i];
		struct run_check check = {.judge = judge, .child = file->pid != pid};
		bool unsure = judge->unsure;

		/* A child may have been killed before it wrote anything. */
		if (check.child && !file->pid)
			continue;
		if (session_run(file->path, report_and_judge, &check) && !check.child)
			continue;
		own |= !check.child;
		/* What a child's trace lacks does not matter. */
		if (check.child)
			judge->unsure = unsure;
	}
	if (own || judge->unsure)
		return;
	judge->unsure = true;
	snprintf(judge->why_unsure, sizeof(judge->why_unsure), "the program wrote no trace");
}

static int check_traces(struct traces *traces, const struct target *target)
{
	struct judge judge;
	int status = judge_begin(&judge, stdout);

	judge.silent = !judge.verbose;
	if (!status && traces_list(traces, target->pid)) {
		for (size_t i = 0; i < traces->count; i++)
			if (!target_wait_trace(traces->files[i].path, PATIENCE_SECONDS))
				message_note("%s: warning: still being written", traces->files[i].path);
		judge_all(&judge, traces, target->pid);
		status = judge_conclude(&judge);
		/* Without a finding the program's own end is all that counts: that
		 * the trace was too incomplete to say has been printed. */
		if (status == EXIT_STATUS_OK || status == EXIT_STATUS_UNSURE)
			status = target->status;
	}
	judge_end(&judge);
	if (message_finish_output(stdout, "standard output"))
		return EXIT_STATUS_ERROR;
	return interrupt_pending() ? EXIT_STATUS_SIGNAL + interrupt_pending() : status;
}

int cmd_run(int argc, char **argv)
{
	struct target target = {0};
	struct traces traces;
	int kept = EXIT_STATUS_OK, status, first = options_parse(&g_set, argc, argv, &status);

	if (first < 0)
		return status;
	if (first == argc)
		return message_usage("run: a program is missing (see castaway run --help)");
	options_finish();
	if (g_run.output && !strchr(g_run.output, '%') && !recording_may_write(g_run.output, g_run.force))
		return EXIT_STATUS_ERROR;
	if (!traces_create(&traces, g_run.output))
		return EXIT_STATUS_ERROR;
	target.command = argv + first;
	target.output = traces.pattern;
	if (g_options.analysis.confirm)
		settings_default("snapshot-twice", CONFIRM_MS);
	target.settings = settings_text();
	status = EXIT_STATUS_ERROR;
	if (target_run(&target)) {
		/* From here on a signal must not leave the directory behind. */
		interrupt_catch();
		status = check_traces(&traces, &target);
		if (g_run.output)
			kept = traces_keep(&traces, g_run.output);
		else
			message_note("the trace was not kept (-o FILE keeps it)");
	} else {
		status = target.status;
	}
	traces_remove(&traces);
	return kept ? kept : status;
}
