/* SPDX-License-Identifier: Apache-2.0
 *
 * `castaway check TRACE...`: for CI.  Exit 0 if nothing is new, 23 on a
 * finding, 3 if a trace is too incomplete to say.
 */
#include "cmd.h"
#include "judge.h"
#include "message.h"
#include "session.h"

static const struct option_row *const g_tables[] = {judge_rows, options_analysis_rows, options_output_rows,
						    NULL};

static const struct option_set g_set = {
	.command = "check",
	.operands = "TRACE...",
	.summary = "Fails (exit status 23) when a trace shows something that is not known yet.\n"
		   "Exit status 3: nothing was found, in a trace too incomplete to say.",
	.tables = g_tables,
};

int cmd_check(int argc, char **argv)
{
	struct judge judge;
	int status, first = options_parse(&g_set, argc, argv, &status);

	if (first < 0)
		return status;
	if (first == argc)
		return message_usage("check: a trace is missing (see castaway check --help)");
	options_finish();
	status = judge_begin(&judge, stdout);
	for (int i = first; i < argc && !status; i++)
		status = session_run(argv[i], judge_visit, &judge);
	if (!status)
		status = judge_conclude(&judge);
	judge_end(&judge);
	if (message_finish_output(stdout, "standard output"))
		return EXIT_STATUS_ERROR;
	return status;
}
