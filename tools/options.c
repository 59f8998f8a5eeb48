/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables of options over getopt_long.  Runs once, at the start of a command,
 * on the only thread there is.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "message.h"
#include "options.h"

#define MAX_ROWS    64
#define HELP_COLUMN 28
#define HELP_WIDTH  100
#define FIRST_VALUE 256 /* getopt values of rows: above every letter */
#define HELP_VALUE  (FIRST_VALUE + MAX_ROWS)

bool option_flag(const struct option_row *row, const char *argument)
{
	*(bool *)row->value = true;
	return true;
}

bool option_text(const struct option_row *row, const char *argument)
{
	*(const char **)row->value = argument;
	return argument[0] != '\0';
}

bool option_parse_number(const char *text, uint64_t *ret)
{
	char *end;

	/* strtoull would accept signs and leading blanks. */
	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return !errno && !*end;
}

bool option_parse_address(const char *text, uint64_t *ret)
{
	bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = text + 2;

	if (!hexadecimal)
		return option_parse_number(text, ret);
	if (!*digits || digits[strspn(digits, "0123456789abcdefABCDEF")])
		return false;
	errno = 0;
	*ret = strtoull(digits, NULL, 16);
	return !errno;
}

bool option_number(const struct option_row *row, const char *argument)
{
	return option_parse_number(argument, row->value);
}

bool option_list(const struct option_row *row, const char *argument)
{
	struct option_list *list = row->value;
	const char **items = realloc(list->items, (list->count + 2) * sizeof(*items));

	if (!items)
		return false;
	items[list->count++] = argument;
	items[list->count] = NULL;
	list->items = items;
	return argument[0] != '\0';
}

/* Prints `text` from HELP_COLUMN on, broken between words. */
static void print_wrapped(const char *text)
{
	size_t column = HELP_COLUMN;

	while (*text) {
		size_t length = strcspn(text, " ");

		if (column > HELP_COLUMN && column + 1 + length > HELP_WIDTH) {
			printf("\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
		}
		if (column > HELP_COLUMN) {
			putchar(' ');
			column++;
		}
		printf("%.*s", (int)length, text);
		column += length;
		text += length;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_row(const struct option_row *row)
{
	char left[80];
	int length;

	if (row->letter)
		length = snprintf(left, sizeof(left), "  -%c, --%s", row->letter, row->name);
	else
		length = snprintf(left, sizeof(left), "      --%s", row->name);
	if (row->argument)
		length += snprintf(left + length, sizeof(left) - (size_t)length, "=%s", row->argument);
	printf("%-*s", HELP_COLUMN, left);
	if (length >= HELP_COLUMN)
		printf("\n%*s", HELP_COLUMN, "");
	print_wrapped(row->help);
}

static int print_help(const struct option_set *set)
{
	printf("Usage: castaway %s [OPTIONS] %s\n%s\n\nOptions:\n", set->command, set->operands,
	       set->summary);
	for (size_t t = 0; set->tables[t]; t++)
		for (const struct option_row *row = set->tables[t]; row->name; row++)
			print_row(row);
	printf("%-*sprint this\n", HELP_COLUMN, "  -h, --help");
	return message_finish_output(stdout, "standard output");
}

/* Flattens the tables into what getopt_long wants. */
static size_t collect(const struct option_set *set, const struct option_row **rows, struct option *longs,
		      char *shorts)
{
	size_t count = 0;

	if (set->stop_at_operand)
		*shorts++ = '+';
	*shorts++ = ':'; /* tell a missing argument from an unknown option */
	*shorts++ = 'h';
	for (size_t t = 0; set->tables[t]; t++) {
		for (const struct option_row *row = set->tables[t]; row->name; row++) {
			if (count == MAX_ROWS)
				abort();
			longs[count] =
				(struct option){row->name, row->argument ? required_argument : no_argument,
						NULL, FIRST_VALUE + (int)count};
			rows[count++] = row;
			if (!row->letter)
				continue;
			*shorts++ = row->letter;
			if (row->argument)
				*shorts++ = ':';
		}
	}
	*shorts = '\0';
	longs[count] = (struct option){"help", no_argument, NULL, HELP_VALUE};
	longs[count + 1] = (struct option){NULL, 0, NULL, 0};
	return count;
}

static const struct option_row *find_row(const struct option_row **rows, size_t count, int value)
{
	if (value >= FIRST_VALUE)
		return rows[value - FIRST_VALUE];
	for (size_t i = 0; i < count; i++)
		if (rows[i]->letter == value)
			return rows[i];
	return NULL;
}

static int report_bad_option(const struct option_set *set, char **argv, bool missing)
{
	/* For a letter inside a group optind has not moved on yet: name the letter. */
	if (optopt > 0 && optopt < FIRST_VALUE)
		return message_usage("%s: %s -%c (see castaway %s --help)", set->command,
				     missing ? "an argument is missing after" : "unknown option", optopt,
				     set->command);
	return message_usage("%s: %s %s (see castaway %s --help)", set->command,
			     missing  ? "an argument is missing after"
			     : optopt ? "no argument is taken by"
				      : "unknown or ambiguous option",
			     argv[optind - 1], set->command);
}

int options_parse(const struct option_set *set, int argc, char **argv, int *status)
{
	const struct option_row *rows[MAX_ROWS];
	struct option longs[MAX_ROWS + 2];
	char shorts[2 * MAX_ROWS + 4];
	size_t count = collect(set, rows, longs, shorts);
	int value;

	*status = EXIT_STATUS_OK;
	analysis_options_default(&g_options.analysis);
	opterr = 0;
	optind = 0; /* GNU: forget how the last command line was read */
	while ((value = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct option_row *row;

		if (value == 'h' || value == HELP_VALUE) {
			*status = print_help(set);
			return -1;
		}
		if (value == '?' || value == ':') {
			*status = report_bad_option(set, argv, value == ':');
			return -1;
		}
		row = find_row(rows, count, value);
		if (!row->parse(row, optarg)) {
			*status = message_usage("%s: --%s does not take '%s': expected %s", set->command,
						row->name, optarg, row->argument);
			return -1;
		}
	}
	return optind;
}
