/* SPDX-License-Identifier: Apache-2.0
 *
 * `castaway diff OLD NEW`: what came, went, grew and shrank between two traces,
 * by finding, by type and by allocation site.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "census.h"
#include "cmd.h"
#include "jsontext.h"
#include "message.h"
#include "options.h"
#include "session.h"
#include "textout.h"

#define DEFAULT_TOP 20

static struct {
	uint64_t top;
} g_diff = {.top = DEFAULT_TOP};

static const struct option_row g_rows[] = {
	{"at", 0, "K|last", options_parse_moment, NULL, "the snapshot to compare, in both (default: last)"},
	{"leaks", 0, NULL, option_flag, &g_options.analysis.leaks,
	 "compare also unreachable blocks that no cycle explains"},
	{"top", 0, "N", option_number, &g_diff.top,
	 "changes at most of each kind, in text; 0 = all (default: 20)"},
	{0},
};

static const struct option_row *const g_tables[] = {g_rows, options_format_rows, options_symbols_rows,
						    options_output_rows, NULL};

static const struct option_set g_set = {
	.command = "diff",
	.operands = "OLD NEW",
	.summary = "Compares two traces: what came, went, grew and shrank, by finding, by type and by\n"
		   "allocation site. The exit status is 0 whatever that is.",
	.tables = g_tables,
};

static const struct table {
	const char *name, *one, *many;
} g_names[] = {
#define X(NAME, name, one, many) {name, one, many},
	CENSUS_TABLES(X)
#undef X
};

static int take(struct analysis *analysis, void *arg)
{
	struct error error = {0};

	if (census_take(analysis, arg, &error) != ERROR_NONE)
		return session_fail(analysis->trace->path, &error);
	session_warn_partial(analysis->trace);
	return EXIT_STATUS_OK;
}

/* ---- text ------------------------------------------------------------------------ */

static void put_counts(struct textout *out, const struct census_change *changes, size_t count, size_t alike)
{
	size_t kinds[CENSUS_KIND_COUNT] = {0};

	for (size_t i = 0; i < count; i++)
		kinds[changes[i].kind]++;
	for (unsigned i = 0; i < CENSUS_KIND_COUNT; i++)
		textout_put(out, "%zu %s, ", kinds[i], census_change_name((enum census_change_kind)i));
	textout_put(out, "%zu alike\n", alike);
}

static void put_change(struct textout *out, const struct table *table, const struct census_change *change)
{
	const struct census_row *row = change->after ? change->after : change->before;
	uint64_t before = change->before ? change->before->bytes : 0;
	uint64_t after = change->after ? change->after->bytes : 0;
	char size[TEXTOUT_NUMBER], number[TEXTOUT_NUMBER], sized[TEXTOUT_NUMBER + 1];

	snprintf(sized, sizeof(sized), "%c%s", before <= after ? '+' : '-',
		 textout_size(before <= after ? after - before : before - after, size));
	textout_put(
		out, "  %-6s %11s  %" PRIu64 " -> %s  ", census_change_name(change->kind), sized,
		change->before ? change->before->count : 0,
		textout_plural(change->after ? change->after->count : 0, table->one, table->many, number));
	if (row->verdict)
		textout_put(out, "%s %016" PRIx64 ": ", row->verdict, row->key);
	textout_put(out, "%s\n", row->label);
}

static void print_text(const struct table *table, const struct census_change *changes, size_t count,
		       size_t alike)
{
	struct textout out = {.out = stdout};
	size_t shown = g_diff.top && count > g_diff.top ? (size_t)g_diff.top : count;

	textout_put(&out, "%c%s: ", table->name[0] - 'a' + 'A', table->name + 1);
	put_counts(&out, changes, count, alike);
	for (size_t i = 0; i < shown; i++)
		put_change(&out, table, &changes[i]);
	if (shown < count)
		textout_put(&out, "  ... and %zu more\n", count - shown);
}

/* ---- JSON ------------------------------------------------------------------------ */

static void put_row(struct jsontext *json, const char *key, const struct census_row *row)
{
	if (!row) {
		jsontext_null(json, key);
		return;
	}
	jsontext_object(json, key, JSONTEXT_FLAT);
	jsontext_count(json, "count", row->count);
	jsontext_count(json, "objects", row->objects);
	jsontext_count(json, "bytes", row->bytes);
	jsontext_object_end(json);
}

static void print_json(struct jsontext *json, const struct table *table, const struct census_change *changes,
		       size_t count)
{
	jsontext_array(json, table->name, JSONTEXT_LINES);
	for (size_t i = 0; i < count; i++) {
		const struct census_row *row = changes[i].after ? changes[i].after : changes[i].before;
		char fingerprint[17];

		jsontext_object(json, NULL, JSONTEXT_FLAT);
		jsontext_string(json, "change", census_change_name(changes[i].kind));
		if (row->verdict) {
			snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, row->key);
			jsontext_string(json, "fingerprint", fingerprint);
			jsontext_string(json, "verdict", row->verdict);
		}
		jsontext_string(json, "label", row->label);
		put_row(json, "old", changes[i].before);
		put_row(json, "new", changes[i].after);
		jsontext_object_end(json);
	}
	jsontext_array_end(json);
}

/* ---- the whole ------------------------------------------------------------------- */

static int print(const struct census *old, const struct census *new, char *const *paths)
{
	struct jsontext json;
	int status = EXIT_STATUS_OK;

	if (g_options.json) {
		jsontext_start(&json, stdout);
		jsontext_object(&json, NULL, JSONTEXT_LINES);
		jsontext_string(&json, "schema", "castaway-diff/1");
		jsontext_string(&json, "old", paths[0]);
		jsontext_string(&json, "new", paths[1]);
	}
	for (unsigned i = 0; i < CENSUS_TABLE_COUNT && !status; i++) {
		size_t count, alike;
		struct census_change *changes =
			census_compare(&old->table[i], &new->table[i], &count, &alike);

		if (!changes)
			status = message_usage("out of memory");
		else if (g_options.json)
			print_json(&json, &g_names[i], changes, count);
		else
			print_text(&g_names[i], changes, count, alike);
		free(changes);
	}
	if (g_options.json)
		jsontext_object_end(&json);
	return status;
}

int cmd_diff(int argc, char **argv)
{
	struct census old = {0}, new = {0};
	int status, first = options_parse(&g_set, argc, argv, &status);

	if (first < 0)
		return status;
	if (argc - first != 2)
		return message_usage("diff: expected two traces (see castaway diff --help)");
	options_finish();
	status = session_run(argv[first], take, &old);
	if (!status)
		status = session_run(argv[first + 1], take, &new);
	if (!status)
		status = print(&old, &new, argv + first);
	census_done(&old);
	census_done(&new);
	if (message_finish_output(stdout, "standard output"))
		return EXIT_STATUS_ERROR;
	return status;
}
