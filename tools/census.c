/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows are first gathered one by one, then sorted and merged: sites of several
 * stacks may come down to the same functions.
 */
#include "census.h"

#include <stdlib.h>
#include <string.h>

#include "fingerprint.h"
#include "query.h"
#include "subject.h"
#include "text.h"

#define SITE_FRAMES 3

static struct census_row *add_row(struct census_rows *rows)
{
	if (rows->count == rows->capacity) {
		size_t capacity = rows->capacity ? 2 * rows->capacity : 64;
		struct census_row *grown = realloc(rows->rows, capacity * sizeof(*grown));

		if (!grown)
			return NULL;
		rows->rows = grown;
		rows->capacity = capacity;
	}
	rows->rows[rows->count] = (struct census_row){0};
	return &rows->rows[rows->count++];
}

static int compare_rows(const void *a, const void *b)
{
	const struct census_row *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->key ? 0 : strcmp(x->label, y->label);
}

static void sort_and_merge(struct census_rows *rows)
{
	size_t kept = 0;

	if (rows->count)
		qsort(rows->rows, rows->count, sizeof(*rows->rows), compare_rows);
	for (size_t i = 0; i < rows->count; i++) {
		struct census_row *row = &rows->rows[i], *last = kept ? &rows->rows[kept - 1] : NULL;

		if (!last || compare_rows(last, row)) {
			rows->rows[kept++] = *row;
			continue;
		}
		last->count += row->count;
		last->objects += row->objects;
		last->bytes += row->bytes;
		free(row->label);
	}
	rows->count = kept;
}

/* ---- findings -------------------------------------------------------------------- */

static bool add_subject(struct census_rows *rows, const struct subject *subject)
{
	struct census_row *row = add_row(rows);

	if (!row)
		return false;
	*row = (struct census_row){
		.key = subject->fingerprint,
		.label = strdup(subject->label),
		.verdict = subject->verdict,
		.count = subject->count,
		.objects = subject->objects,
		.bytes = subject->bytes,
	};
	return row->label != NULL;
}

static bool take_findings(const struct analysis *analysis, struct census_rows *rows)
{
	bool done = true;

	for (size_t i = 0; i < analysis->finding_count && done; i++) {
		struct subject subject;

		done = subject_of_finding(analysis, &analysis->findings[i], &subject) &&
		       add_subject(rows, &subject);
		subject_free(&subject);
	}
	for (size_t i = 0; i < analysis->leak_count && done; i++) {
		struct subject subject;

		done = subject_of_leak(analysis, &analysis->leaks[i], &subject) &&
		       add_subject(rows, &subject);
		subject_free(&subject);
	}
	return done;
}

/* ---- types ----------------------------------------------------------------------- */

struct tally {
	uint64_t count, bytes;
};

/* Per runtime, one after the other: type names are ids, so an array does. */
static bool take_types_of(const struct analysis *analysis, unsigned runtime, struct tally *tallies,
			  struct census_rows *rows)
{
	const struct graph *graph = analysis->graph;
	const struct trace *trace = analysis->trace;

	memset(tallies, 0, ((size_t)trace->string_count + 1) * sizeof(*tallies));
	for (uint32_t i = 0; i < graph->node_count; i++) {
		const struct graph_node *node = &graph->node[i];

		if (node->runtime != runtime || !(node->flags & GRAPH_NODE_COUNTED))
			continue;
		tallies[node->type].count++;
		tallies[node->type].bytes += node->size;
	}
	for (uint32_t type = 0; type < trace->string_count; type++) {
		const char *name = trace_text(trace, type);
		struct census_row *row;

		if (!tallies[type].count)
			continue;
		row = add_row(rows);
		if (!row ||
		    asprintf(&row->label, "%s:%s", trace_runtime_name(runtime), *name ? name : "?") < 0)
			return false;
		row->count = row->objects = tallies[type].count;
		row->bytes = tallies[type].bytes;
	}
	return true;
}

static bool take_types(const struct analysis *analysis, struct census_rows *rows)
{
	struct tally *tallies = malloc(((size_t)analysis->trace->string_count + 1) * sizeof(*tallies));
	bool done = tallies != NULL;

	for (size_t i = 0; i < analysis->runtime_count && done; i++)
		done = take_types_of(analysis, (unsigned)analysis->runtimes[i].runtime, tallies, rows);
	free(tallies);
	return done;
}

/* ---- sites ----------------------------------------------------------------------- */

static char *site_label(struct symbols *symbols, uint32_t stack)
{
	struct symbols_frame *frames = NULL;
	size_t count = symbols_program_stack(symbols, stack, SITE_FRAMES, &frames);
	char *label = NULL;
	size_t length;
	struct textout out = {.out = open_memstream(&label, &length)};

	for (size_t i = 0; i < count && out.out; i++) {
		textout_put(&out, "%s", i ? ", by " : "");
		text_frame(&out, &frames[i]);
	}
	free(frames);
	if (out.out && !count)
		textout_put(&out, "no stack");
	if (out.out && fclose(out.out) != 0) {
		free(label);
		label = NULL;
	}
	return label;
}

/* Live blocks by stack.  Where the allocations of Python objects are no events,
 * the objects themselves are counted: each is a block of its own. */
static enum error_code count_sites(struct analysis *analysis, struct tally *tallies, struct error *error)
{
	struct error failed = {0};
	size_t count;
	const struct replay_block *const *blocks = replay_blocks(analysis->replay, &count, &failed);
	const struct graph *graph = analysis->graph;
	bool python = false;

	if (failed.code)
		return error_set(error, failed.code, "%s", failed.what);
	for (size_t i = 0; i < count; i++) {
		tallies[blocks[i]->stack].count++;
		tallies[blocks[i]->stack].bytes += blocks[i]->size;
		python |= blocks[i]->runtime == CASTAWAY_RUNTIME_CPYTHON;
	}
	for (uint32_t i = 0; i < graph->node_count && !python; i++) {
		const struct graph_node *node = &graph->node[i];

		if (node->runtime != CASTAWAY_RUNTIME_CPYTHON)
			continue;
		tallies[node->stack].count++;
		tallies[node->stack].bytes += node->size;
	}
	return ERROR_NONE;
}

static bool add_sites(const struct analysis *analysis, struct fingerprint *fingerprint,
		      const struct tally *tallies, struct census_rows *rows)
{
	for (uint32_t stack = 0; stack < analysis->trace->frame_count; stack++) {
		struct census_row *row;

		if (!tallies[stack].count)
			continue;
		row = add_row(rows);
		if (!row)
			return false;
		*row = (struct census_row){
			.key = stack ? fingerprint_stack(fingerprint, CASTAWAY_RUNTIME_NONE, 0, stack) : 0,
			.label = site_label(analysis->symbols, stack),
			.count = tallies[stack].count,
			.objects = tallies[stack].count,
			.bytes = tallies[stack].bytes,
		};
		if (!row->label)
			return false;
	}
	return true;
}

static enum error_code take_sites(struct analysis *analysis, struct census_rows *rows, struct error *error)
{
	struct tally *tallies = calloc((size_t)analysis->trace->frame_count + 1, sizeof(*tallies));
	struct fingerprint *fingerprint = NULL;
	enum error_code code;

	if (!tallies)
		return error_set(error, ERROR_MEMORY, "out of memory for the allocation sites");
	code = fingerprint_new(analysis->graph, analysis->symbols, &fingerprint, error);
	if (!code)
		code = count_sites(analysis, tallies, error);
	if (!code && !add_sites(analysis, fingerprint, tallies, rows))
		code = error_set(error, ERROR_MEMORY, "out of memory for the allocation sites");
	fingerprint_free(fingerprint);
	free(tallies);
	return code;
}

enum error_code census_take(struct analysis *analysis, struct census *ret, struct error *error)
{
	enum error_code code;

	*ret = (struct census){0};
	if (!take_findings(analysis, &ret->table[CENSUS_FINDINGS]) ||
	    !take_types(analysis, &ret->table[CENSUS_TYPES]))
		return error_set(error, ERROR_MEMORY, "out of memory for what is to be compared");
	code = take_sites(analysis, &ret->table[CENSUS_SITES], error);
	for (unsigned i = 0; i < CENSUS_TABLE_COUNT && !code; i++)
		sort_and_merge(&ret->table[i]);
	return code;
}

void census_done(struct census *census)
{
	for (unsigned i = 0; i < CENSUS_TABLE_COUNT; i++) {
		for (size_t r = 0; r < census->table[i].count; r++)
			free(census->table[i].rows[r].label);
		free(census->table[i].rows);
	}
	*census = (struct census){0};
}

/* ---- comparison ------------------------------------------------------------------ */

const char *census_change_name(enum census_change_kind kind)
{
	static const char *const names[CENSUS_KIND_COUNT] = {
		[CENSUS_CAME] = "came",
		[CENSUS_WENT] = "went",
		[CENSUS_GREW] = "grew",
		[CENSUS_SHRANK] = "shrank",
	};

	return names[kind];
}

static uint64_t weight(const struct census_change *change)
{
	uint64_t before = change->before ? change->before->bytes : 0;
	uint64_t after = change->after ? change->after->bytes : 0;

	return before < after ? after - before : before - after;
}

static int by_weight(const void *a, const void *b)
{
	const struct census_change *x = a, *y = b;
	const struct census_row *row_x = x->after ? x->after : x->before;
	const struct census_row *row_y = y->after ? y->after : y->before;

	if (weight(x) != weight(y))
		return weight(x) > weight(y) ? -1 : 1;
	return compare_rows(row_x, row_y);
}

/* False: alike. */
static bool change_of(const struct census_row *before, const struct census_row *after,
		      struct census_change *ret)
{
	*ret = (struct census_change){.before = before, .after = after};
	if (!before || !after) {
		ret->kind = before ? CENSUS_WENT : CENSUS_CAME;
		return true;
	}
	if (before->count != after->count) {
		ret->kind = before->count < after->count ? CENSUS_GREW : CENSUS_SHRANK;
		return true;
	}
	ret->kind = before->bytes < after->bytes ? CENSUS_GREW : CENSUS_SHRANK;
	return before->bytes != after->bytes;
}

struct census_change *census_compare(const struct census_rows *before, const struct census_rows *after,
				     size_t *count, size_t *alike)
{
	struct census_change *changes = malloc((before->count + after->count + 1) * sizeof(*changes));
	size_t b = 0, a = 0;

	*count = *alike = 0;
	while (changes && (b < before->count || a < after->count)) {
		int order = b == before->count  ? 1
			    : a == after->count ? -1
						: compare_rows(&before->rows[b], &after->rows[a]);
		const struct census_row *old = order <= 0 ? &before->rows[b++] : NULL;
		const struct census_row *new = order >= 0 ? &after->rows[a++] : NULL;

		if (change_of(old, new, &changes[*count]))
			++*count;
		else
			++*alike;
	}
	if (changes && *count)
		qsort(changes, *count, sizeof(*changes), by_weight);
	return changes;
}
