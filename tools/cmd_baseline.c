/* SPDX-License-Identifier: Apache-2.0
 *
 * `castaway baseline TRACE... -o FILE`: writes down what is known.
 */
#include "baseline.h"
#include "cmd.h"
#include "message.h"
#include "options.h"
#include "output.h"
#include "session.h"
#include "subject.h"

static const char *g_output;

static const struct option_row g_rows[] = {
	{"output", 'o', "FILE", option_text, &g_output,
	 "the baseline to write (default: standard output); it appears when it is complete"},
	{0},
};

static const struct option_row *const g_tables[] = {g_rows, options_analysis_rows, options_output_rows, NULL};

static const struct option_set g_set = {
	.command = "baseline",
	.operands = "TRACE...",
	.summary = "Writes the fingerprints of everything that the traces show, for check --baseline.",
	.tables = g_tables,
};

static bool add(struct baseline *baseline, const struct subject *subject)
{
	return baseline_add(baseline, subject->fingerprint, subject->verdict, subject->label, subject->count);
}

static int collect(struct analysis *analysis, void *arg)
{
	struct baseline *baseline = arg;
	struct subject subject;
	bool done = true;

	for (size_t i = 0; i < analysis->finding_count && done; i++) {
		done = subject_of_finding(analysis, &analysis->findings[i], &subject) &&
		       add(baseline, &subject);
		subject_free(&subject);
	}
	for (size_t i = 0; i < analysis->leak_count && done; i++) {
		done = subject_of_leak(analysis, &analysis->leaks[i], &subject) && add(baseline, &subject);
		subject_free(&subject);
	}
	return done ? EXIT_STATUS_OK : message_usage("out of memory");
}

int cmd_baseline(int argc, char **argv)
{
	struct baseline baseline = {0};
	struct output output;
	int closed, status, first = options_parse(&g_set, argc, argv, &status);

	if (first < 0)
		return status;
	if (first == argc)
		return message_usage("baseline: a trace is missing (see castaway baseline --help)");
	options_finish();
	if (!output_open(&output, g_output, argv + first))
		return EXIT_STATUS_ERROR;
	for (int i = first; i < argc && !status; i++)
		status = session_run(argv[i], collect, &baseline);
	if (!status)
		baseline_write(&baseline, output.stream);
	closed = output_close(&output, status == EXIT_STATUS_OK);
	if (!status && !closed)
		message_note("%zu fingerprint%s written", baseline.count, baseline.count == 1 ? "" : "s");
	baseline_free(&baseline);
	return status ? status : closed;
}
