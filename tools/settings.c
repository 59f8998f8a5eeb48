/* SPDX-License-Identifier: Apache-2.0
 *
 * Collects the settings in the form that the preload reads.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preload/config.h"
#include "settings.h"

static char g_given[1024]; /* as large as the preload's own copy */
static char g_default[64];

static bool append(const char *key, const char *value)
{
	size_t length = strlen(g_given);
	int added = snprintf(g_given + length, sizeof(g_given) - length, "%s%s=%s", length ? ":" : "", key,
			     value);

	return added > 0 && (size_t)added < sizeof(g_given) - length;
}

static bool parse_BOOL(const struct option_row *row, const char *argument)
{
	if (strcmp(argument, "yes") && strcmp(argument, "no"))
		return false;
	return append(row->name, argument);
}

static bool parse_EVENTS(const struct option_row *row, const char *argument)
{
	if (strcmp(argument, "all") && strcmp(argument, "live"))
		return false;
	return append(row->name, argument);
}

static bool parse_UINT(const struct option_row *row, const char *argument)
{
	uint64_t number;

	return option_parse_number(argument, &number) && append(row->name, argument);
}

#define ARGUMENT_BOOL     "yes|no"
#define ARGUMENT_UINT     "N"
#define ARGUMENT_EVENTS   "all|live"
#define DEFAULT_BOOL_0    "no"
#define DEFAULT_BOOL_1    "yes"
#define DEFAULT_BOOL(v)   DEFAULT_BOOL_##v
#define DEFAULT_UINT(v)   #v
#define DEFAULT_EVENTS(v) "all"
#define X(type, key, field, value, help) \
	{key, 0, ARGUMENT_##type, parse_##type, NULL, help " (default: " DEFAULT_##type(value) ")"},
const struct option_row settings_rows[] = {CONFIG_KEYS(X){0}};
#undef X

void settings_default(const char *key, const char *value)
{
	snprintf(g_default, sizeof(g_default), "%s=%s:", key, value);
}

/* The later one of two equal keys wins: the command line's. */
const char *settings_text(void)
{
	static char text[2 * sizeof(g_given) + sizeof(g_default)];
	const char *inherited = getenv("CASTAWAY_OPTIONS");

	if (!g_given[0] && !g_default[0])
		return NULL;
	if (!inherited || strlen(inherited) >= sizeof(g_given))
		inherited = "";
	snprintf(text, sizeof(text), "%s%s%s%s", g_default, inherited, *inherited && g_given[0] ? ":" : "",
		 g_given);
	return text;
}
