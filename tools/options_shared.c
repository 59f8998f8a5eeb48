/* SPDX-License-Identifier: Apache-2.0
 *
 * The options that several commands share.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message.h"
#include "options.h"

struct options_shared g_options;

static bool parse_quiet(const struct option_row *row, const char *argument)
{
	message_set_quiet(true);
	return true;
}

static bool parse_color(const struct option_row *row, const char *argument)
{
	static const char *const names[] = {"auto", "always", "never"};

	for (unsigned i = 0; i < 3; i++) {
		if (!strcmp(argument, names[i])) {
			g_options.color = (enum options_color)i;
			return true;
		}
	}
	return false;
}

static bool parse_generation(const struct option_row *row, const char *argument)
{
	uint64_t number;

	if (!option_parse_number(argument, &number) || number > 2)
		return false;
	g_options.analysis.generation = (int)number;
	return true;
}

static bool parse_survived(const struct option_row *row, const char *argument)
{
	uint64_t number;

	if (!option_parse_number(argument, &number) || number > UINT32_MAX)
		return false;
	g_options.analysis.min_survived = (uint32_t)number;
	return true;
}

bool options_parse_moment(const struct option_row *row, const char *argument)
{
	uint64_t number = 0;

	g_options.analysis.snapshot = ANALYSIS_SNAPSHOT_LAST;
	if (!strcmp(argument, "last"))
		return true;
	if (!strcmp(argument, "late")) {
		g_options.analysis.snapshot = ANALYSIS_SNAPSHOT_LATE;
		return true;
	}
	if (!option_parse_number(argument, &number) || number > INT_MAX)
		return false;
	g_options.analysis.snapshot = (int)number;
	return true;
}

static bool parse_snapshot(const struct option_row *row, const char *argument)
{
	g_options.all_snapshots = !strcmp(argument, "all");
	return options_parse_moment(row, g_options.all_snapshots ? "last" : argument);
}

bool options_parse_runtime(const struct option_row *row, const char *argument)
{
	static const struct {
		const char *name;
		unsigned number;
	} runtimes[] = {
#define X(name, constant, number) {name, number},
		CASTAWAY_RUNTIMES(X)
#undef X
	};

	for (size_t i = 0; i < sizeof(runtimes) / sizeof(runtimes[0]); i++) {
		if (!strcmp(argument, runtimes[i].name)) {
			g_options.analysis.runtimes |= 1u << runtimes[i].number;
			return true;
		}
	}
	return false;
}

static bool parse_members(const struct option_row *row, const char *argument)
{
	g_options.analysis.instances = !strcmp(argument, "all");
	return g_options.analysis.instances || !strcmp(argument, "one");
}

#define X(name, constant, number) name " "
const char options_runtime_help[] = "only objects of this runtime: " CASTAWAY_RUNTIMES(X) "(may be repeated)";
#undef X

static bool parse_format(const struct option_row *row, const char *argument)
{
	g_options.json = !strcmp(argument, "json");
	return g_options.json || !strcmp(argument, "text");
}

const struct option_row options_format_rows[] = {
	{"format", 'f', "text|json", parse_format, NULL, "how to print it (default: text)"},
	{0},
};

const struct option_row options_symbols_rows[] = {
	{"debug-dir", 0, "DIR", option_list, &g_options.debug_dirs,
	 "look for separate debug files here (may be repeated)"},
	{"no-symbols", 0, NULL, option_flag, &g_options.analysis.symbols.off,
	 "open no program or library: addresses instead of function names"},
	{0},
};

const struct option_row options_output_rows[] = {
	{"quiet", 'q', NULL, parse_quiet, NULL, "no progress, notes or warnings; errors only"},
	{"color", 0, "WHEN", parse_color, NULL,
	 "color the text: auto (on a terminal, unless NO_COLOR is set), always or never"},
	{0},
};

const struct option_row options_analysis_rows[] = {
	{"snapshot", 0, "K|last|late|all", parse_snapshot, NULL, "the moment to look at (default: last)"},
	{"confirm", 0, NULL, option_flag, &g_options.analysis.confirm,
	 "of what was found by scanning, only what the snapshot before found too"},
	{"generation", 0, "0|1|2", parse_generation, NULL,
	 "limit the pass to this generation and younger ones (default: 2)"},
	{"min-survived", 0, "N", parse_survived, NULL, "only what outlived at least N generation passes"},
	{"latent", 0, NULL, option_flag, &g_options.analysis.latent,
	 "show also cycles that something outside still holds"},
	{"leaks", 0, NULL, option_flag, &g_options.analysis.leaks,
	 "show also unreachable blocks that no cycle explains"},
	{"only", 0, "GLOB", option_list, &g_options.only,
	 "only structures with a member whose type, or runtime:type, matches (may be repeated)"},
	{"ignore", 0, "GLOB", option_list, &g_options.ignore,
	 "not the structures with a member whose type, or runtime:type, matches (may be repeated)"},
	{"runtime", 0, "NAME", options_parse_runtime, NULL, options_runtime_help},
	{"members", 0, "one|all", parse_members, NULL,
	 "list one structure of each kind (default), or all of them with every address"},
	{"debug-dir", 0, "DIR", option_list, &g_options.debug_dirs,
	 "look for separate debug files here (may be repeated)"},
	{"no-symbols", 0, NULL, option_flag, &g_options.analysis.symbols.off,
	 "open no program or library: addresses instead of function names"},
	{0},
};

void options_finish(void)
{
	g_options.analysis.only = g_options.only.items;
	g_options.analysis.ignore = g_options.ignore.items;
	g_options.analysis.symbols.debug_dirs = g_options.debug_dirs.items;
}

bool options_use_color(FILE *stream)
{
	const char *no_color = getenv("NO_COLOR");

	if (g_options.color != OPTIONS_COLOR_AUTO)
		return g_options.color == OPTIONS_COLOR_ALWAYS;
	return isatty(fileno(stream)) && !(no_color && *no_color);
}
