/* SPDX-License-Identifier: Apache-2.0
 *
 * Command lines from tables: a row says how an option is called, what its
 * argument is, where the value goes and what --help prints about it.  The
 * options that several commands share are written down once, here.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "report.h"

struct option_row {
	const char *name;
	char letter;          /* 0 = long form only */
	const char *argument; /* as --help shows it; NULL = the option takes none */
	/* Stores `argument` in row->value; false: it is malformed. */
	bool (*parse)(const struct option_row *row, const char *argument);
	void *value;
	const char *help;
};

/* Parsers, and what `value` points to. */
bool option_flag(const struct option_row *row, const char *argument);   /* bool, becomes true */
bool option_text(const struct option_row *row, const char *argument);   /* const char * */
bool option_number(const struct option_row *row, const char *argument); /* uint64_t */
bool option_list(const struct option_row *row, const char *argument);   /* struct option_list */

/* Reads a decimal number; false when it is none or too large. */
bool option_parse_number(const char *text, uint64_t *ret);

/* Reads 0x and hexadecimal digits, or a decimal number. */
bool option_parse_address(const char *text, uint64_t *ret);

struct option_list {
	const char **items; /* NULL-terminated; NULL when empty */
	size_t count;
};

struct option_set {
	const char *command;
	const char *operands; /* as --help shows them */
	const char *summary;  /* whole sentences for --help */
	/* NULL-terminated; each table ends with a row without a name. */
	const struct option_row *const *tables;
	bool stop_at_operand; /* what follows the first operand belongs to it */
};

/* Returns the index of the first operand, or -1 with the exit status in
 * *status: help was printed, or the usage error was. */
int options_parse(const struct option_set *set, int argc, char **argv, int *status);

/* ---- options that commands share ----------------------------------------- */
enum options_color { OPTIONS_COLOR_AUTO, OPTIONS_COLOR_ALWAYS, OPTIONS_COLOR_NEVER };

struct options_shared {
	struct analysis_options analysis;
	struct option_list only, ignore, debug_dirs;
	bool all_snapshots; /* --snapshot=all */
	enum options_color color;
	bool json; /* --format=json of the commands that print text or JSON */
};
extern struct options_shared g_options;

extern const struct option_row options_output_rows[];   /* --quiet, --color */
extern const struct option_row options_analysis_rows[]; /* what to analyze, and how */
extern const struct option_row options_format_rows[];   /* --format=text|json: g_options.json */
extern const struct option_row options_symbols_rows[];  /* where names come from */

/* For rows of other tables: --snapshot without `all`, and --runtime. */
bool options_parse_moment(const struct option_row *row, const char *argument);
bool options_parse_runtime(const struct option_row *row, const char *argument);
extern const char options_runtime_help[];

/* After options_parse: completes g_options.analysis from what was given. */
void options_finish(void);

/* Whether to color what goes to `stream`. */
bool options_use_color(FILE *stream);

#endif
