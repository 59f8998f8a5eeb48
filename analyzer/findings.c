/* SPDX-License-Identifier: Apache-2.0
 *
 * Every order here is total and free of addresses where it can be, so that two
 * runs of one program give reports that can be compared line by line.
 */
#include "findings.h"

#include <stdlib.h>
#include <string.h>

#include "filter.h"
#include "fingerprint.h"
#include "lost.h"

enum error_code findings_take(struct analysis *analysis, const struct analysis_options *options,
			      struct verdict_result *result, enum analysis_pool pool, struct error *error)
{
	size_t room = analysis->structure_count + result->count;
	struct structure *structures = realloc(analysis->structures, (room + 1) * sizeof(*structures));

	if (!structures)
		return error_set(error, ERROR_MEMORY, "out of memory for %zu structures", room);
	analysis->structures = structures;
	for (size_t i = 0; i < result->count; i++) {
		struct structure *s = &result->structures[i];

		filter_set_survived(analysis->graph, analysis->replay, s);
		if (filter_accepts(analysis->graph, options, s))
			structures[analysis->structure_count++] = *s;
	}
	analysis->pools[pool] = result->nodes;
	result->nodes = NULL;
	return ERROR_NONE;
}

/* ---- grouping -------------------------------------------------------------------- */

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_structures(const void *x, const void *y)
{
	const struct structure *a = x, *b = y;
	int order = compare_numbers(a->fingerprint, b->fingerprint);

	if (!order)
		order = compare_numbers(a->verdict, b->verdict);
	return order ? order : compare_numbers(a->members[0], b->members[0]);
}

static int compare_findings(const void *x, const void *y)
{
	const struct finding *a = x, *b = y;
	int order = compare_numbers(a->verdict, b->verdict);

	if (!order)
		order = compare_numbers(b->bytes, a->bytes);
	if (!order)
		order = compare_numbers(b->objects, a->objects);
	return order ? order : compare_numbers(a->fingerprint, b->fingerprint);
}

static enum error_code set_fingerprints(struct analysis *analysis, struct error *error)
{
	struct fingerprint *fingerprint;
	enum error_code code = fingerprint_new(analysis->graph, analysis->symbols, &fingerprint, error);

	if (code)
		return code;
	for (size_t i = 0; i < analysis->structure_count && !code; i++) {
		struct structure *s = &analysis->structures[i];

		code = fingerprint_of(fingerprint, s->members, s->member_count, &s->fingerprint, error);
	}
	fingerprint_free(fingerprint);
	return code;
}

static bool same_finding(const struct structure *a, const struct structure *b)
{
	return a->fingerprint == b->fingerprint && a->verdict == b->verdict;
}

static void add_to_finding(struct finding *finding, const struct structure *s)
{
	finding->count++;
	finding->objects += (uint64_t)s->member_count + s->entrained_count;
	finding->bytes += s->member_bytes + s->entrained_bytes + s->block_bytes;
	finding->entrained_objects += s->entrained_count;
	finding->entrained_bytes += s->entrained_bytes + s->block_bytes;
	finding->blocks += s->block_count;
}

enum error_code findings_group(struct analysis *analysis, struct error *error)
{
	const struct structure *s;
	enum error_code code = set_fingerprints(analysis, error);

	if (code)
		return code;
	if (analysis->structure_count)
		qsort(analysis->structures, analysis->structure_count, sizeof(*s), compare_structures);
	analysis->findings = calloc(analysis->structure_count + 1, sizeof(*analysis->findings));
	if (!analysis->findings)
		return error_set(error, ERROR_MEMORY, "out of memory for the findings");
	s = analysis->structures;
	for (size_t i = 0; i < analysis->structure_count; i++) {
		if (i == 0 || !same_finding(&s[i - 1], &s[i]))
			analysis->findings[analysis->finding_count++] = (struct finding){
				.fingerprint = s[i].fingerprint,
				.verdict = s[i].verdict,
				.first = (uint32_t)i,
				.representative = (uint32_t)i,
			};
		add_to_finding(&analysis->findings[analysis->finding_count - 1], &s[i]);
	}
	qsort(analysis->findings, analysis->finding_count, sizeof(struct finding), compare_findings);
	return ERROR_NONE;
}

/* ---- leaks -------------------------------------------------------------------------- */

/* A fingerprint names functions only: two leaks of one function share it. */
static int compare_by_place(const void *x, const void *y)
{
	const struct leak *a = x, *b = y;
	int order = compare_numbers(a->fingerprint, b->fingerprint);

	if (!order)
		order = compare_numbers(a->verdict, b->verdict);
	return order ? order : compare_numbers(a->stack, b->stack);
}

static int compare_leaks(const void *x, const void *y)
{
	const struct leak *a = x, *b = y;
	int order = compare_numbers(b->bytes, a->bytes);

	return order ? order : compare_by_place(x, y);
}

/* One row per source first; rows of one stack are then added up. */
static void merge_leaks(struct analysis *analysis)
{
	struct leak *leak = analysis->leaks;
	size_t kept = 0;

	qsort(leak, analysis->leak_count, sizeof(*leak), compare_by_place);
	for (size_t i = 0; i < analysis->leak_count; i++) {
		if (kept && compare_by_place(&leak[kept - 1], &leak[i]) == 0) {
			leak[kept - 1].count += leak[i].count;
			leak[kept - 1].blocks += leak[i].blocks;
			leak[kept - 1].bytes += leak[i].bytes;
			leak[kept - 1].direct_bytes += leak[i].direct_bytes;
		} else {
			leak[kept++] = leak[i];
		}
	}
	analysis->leak_count = kept;
	qsort(leak, kept, sizeof(*leak), compare_leaks);
}

static bool begin_leaks(struct analysis *analysis, size_t count)
{
	analysis->leaks = calloc(count + 1, sizeof(*analysis->leaks));
	return analysis->leaks != NULL;
}

/* A row with `node` as the example. */
static struct leak *add_leak(struct analysis *analysis, struct fingerprint *fingerprint, uint32_t node)
{
	const struct graph_node *n = &analysis->graph->node[node];
	struct leak *leak = &analysis->leaks[analysis->leak_count++];

	*leak = (struct leak){
		.fingerprint = fingerprint_stack(fingerprint, n->runtime, n->type, n->stack),
		.verdict = VERDICT_LEAKED,
		.count = 1,
		.blocks = 1,
		.bytes = n->size,
		.direct_bytes = n->size,
		.type = n->type,
		.stack = n->stack,
		.node = node,
		.refcount = n->refcount,
	};
	return leak;
}

/* Of one of `count` things: its node, and the leak to be completed. */
struct leak_source {
	const struct analysis *analysis;
	const uint32_t *node;         /* plain blocks, or */
	const struct structure *lost; /* structures */
};

static uint32_t source_node(const struct leak_source *source, size_t i)
{
	return source->node ? source->node[i]
			    : lost_representative(source->analysis->graph, &source->lost[i]);
}

static void complete_lost(struct leak *leak, const struct structure *s)
{
	leak->verdict = s->verdict;
	leak->count = s->member_count;
	leak->blocks = (uint64_t)s->member_count + s->entrained_count;
	leak->bytes = s->member_bytes + s->entrained_bytes;
	leak->direct_bytes = s->member_bytes;
}

static enum error_code add_leaks(struct analysis *analysis, const struct analysis_options *options,
				 const struct leak_source *source, size_t count, struct error *error)
{
	struct fingerprint *fingerprint;
	enum error_code code = fingerprint_new(analysis->graph, analysis->symbols, &fingerprint, error);

	if (code)
		return code;
	if (!begin_leaks(analysis, count))
		code = error_set(error, ERROR_MEMORY, "out of memory for the leaks");
	for (size_t i = 0; i < count && !code; i++) {
		uint32_t node = source_node(source, i);
		struct leak *leak;

		if (!filter_accepts_node(analysis->graph, options, node))
			continue;
		leak = add_leak(analysis, fingerprint, node);
		if (source->lost)
			complete_lost(leak, &source->lost[i]);
	}
	fingerprint_free(fingerprint);
	if (!code)
		merge_leaks(analysis);
	return code;
}

enum error_code findings_add_leaks(struct analysis *analysis, const struct analysis_options *options,
				   const uint32_t *node, uint32_t count, struct error *error)
{
	struct leak_source source = {.analysis = analysis, .node = node};

	return add_leaks(analysis, options, &source, count, error);
}

enum error_code findings_add_lost(struct analysis *analysis, const struct analysis_options *options,
				  const struct structure *lost, size_t count, struct error *error)
{
	struct leak_source source = {.analysis = analysis, .lost = lost};

	return add_leaks(analysis, options, &source, count, error);
}
