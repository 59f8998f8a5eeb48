/* SPDX-License-Identifier: Apache-2.0
 *
 * `castaway path TRACE OBJECT`: who holds it.
 */
#include <string.h>

#include "cmd.h"
#include "message.h"
#include "options.h"
#include "path_print.h"
#include "session.h"

static struct {
	uint64_t address, chains;
} g_path = {.chains = 3};

static bool parse_chains(const struct option_row *row, const char *argument)
{
	return option_parse_number(argument, &g_path.chains) && g_path.chains && g_path.chains <= 10000;
}

static const struct option_row g_rows[] = {
	{"chains", 'n', "N", parse_chains, NULL, "chains at most, each by another last step (default: 3)"},
	{"snapshot", 0, "K|last", options_parse_moment, NULL, "the moment to look at (default: last)"},
	{"debug-dir", 0, "DIR", option_list, &g_options.debug_dirs,
	 "look for separate debug files here (may be repeated)"},
	{"no-symbols", 0, NULL, option_flag, &g_options.analysis.symbols.off,
	 "open no program or library: addresses instead of names"},
	{0},
};

static const struct option_row *const g_tables[] = {g_rows, options_format_rows, options_output_rows, NULL};

static const struct option_set g_set = {
	.command = "path",
	.operands = "TRACE ADDRESS",
	.summary = "Prints who holds an object or a block: shortest chains of references from what the "
		   "program\nholds, or from the structure that keeps it; and what it retains.",
	.tables = g_tables,
};

static int print_path(struct analysis *analysis, void *arg)
{
	uint32_t node = path_locate(analysis->graph, g_path.address);
	struct error error = {0};
	struct path *path;

	if (node == GRAPH_NONE) {
		error_set(&error, ERROR_NOT_FOUND, "nothing known is at 0x%llx at this moment",
			  (unsigned long long)g_path.address);
		return session_fail(analysis->trace->path, &error);
	}
	if (path_find(analysis, node, (size_t)g_path.chains, &path, &error) != ERROR_NONE)
		return session_fail(analysis->trace->path, &error);
	if (g_options.json)
		path_print_json(analysis, path);
	else
		path_print_text(analysis, path, options_use_color(stdout));
	if (!analysis->graph->scanned)
		message_note("%s: %s: only references that are known exactly were followed",
			     analysis->trace->path, trace_limit_message(CASTAWAY_LIMIT_NOT_SCANNED));
	path_free(path);
	return EXIT_STATUS_OK;
}

int cmd_path(int argc, char **argv)
{
	int status, first = options_parse(&g_set, argc, argv, &status);

	if (first < 0)
		return status;
	if (argc - first != 2)
		return message_usage("path: expected a trace and an address (see castaway path --help)");
	if (!option_parse_address(argv[first + 1], &g_path.address))
		return message_usage(
			"path: '%s' is no address: expected 0x and hexadecimal digits, or decimal ones",
			argv[first + 1]);
	options_finish();
	status = session_run(argv[first], print_path, NULL);
	if (message_finish_output(stdout, "standard output"))
		return EXIT_STATUS_ERROR;
	return status;
}
