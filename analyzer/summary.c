/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts and copies; no judgement happens here.
 */
#include "summary.h"

#include <stdlib.h>
#include <string.h>

#include "snapshot_reader.h"

/* ---- runtimes ----------------------------------------------------------------- */

static struct runtime_row *find_row(struct analysis *analysis, uint8_t runtime)
{
	for (size_t i = 0; i < analysis->runtime_count; i++) {
		if ((uint8_t)analysis->runtimes[i].runtime == runtime)
			return &analysis->runtimes[i];
	}
	return NULL;
}

static struct runtime_row *add_row(struct analysis *analysis, uint8_t runtime, const char *version,
				   const char *note)
{
	struct runtime_row *row = realloc(analysis->runtimes, (analysis->runtime_count + 1) * sizeof(*row));

	if (!row)
		return NULL;
	analysis->runtimes = row;
	row += analysis->runtime_count;
	*row = (struct runtime_row){
		.runtime = (enum castaway_runtime)runtime,
		.version = strdup(version),
		.note = strdup(note),
	};
	analysis->runtime_count++;
	return row->version && row->note ? row : NULL;
}

static bool copy_record(void *arg, const struct snapshot_runtime_record *record)
{
	struct analysis *analysis = arg;
	struct runtime_row *row;

	if (find_row(analysis, record->runtime))
		return true;
	row = add_row(analysis, record->runtime, record->version, record->note);
	if (!row)
		return false;
	row->status = record->status;
	row->enabled = record->enabled;
	row->frozen = record->frozen;
	for (uint32_t g = 0; g < 3 && g < record->generation_count; g++) {
		row->generation[g].count = record->generations[g].count;
		row->generation[g].threshold = record->generations[g].threshold;
		row->generation[g].collections = record->generations[g].collections;
	}
	return true;
}

/* The annotated objects' own collector: its passes are in the events.  A pass
 * counts for the oldest generation that it examined. */
static void fill_native(struct analysis *analysis, struct runtime_row *row)
{
	const struct replay_generations *generations =
		replay_generations(analysis->replay, CASTAWAY_DOMAIN_OBJECTS);

	row->enabled = generations->enabled;
	for (unsigned g = 0; g < 3; g++)
		row->generation[g].threshold = generations->threshold[g];
	for (size_t p = 0; p < generations->count; p++) {
		const struct replay_pass *pass = &generations->passes[p];
		unsigned g = pass->generation > 2 ? 2 : pass->generation;

		row->generation[g].collections++;
		row->generation[g].promoted += pass->promoted;
	}
}

enum error_code summary_runtimes(struct analysis *analysis, struct error *error)
{
	struct error failed = {0};
	enum error_code code = ERROR_NONE;

	if (analysis->snapshot)
		code = snapshot_read_runtimes(analysis->trace, analysis->snapshot, copy_record, analysis,
					      &failed);
	if (code == ERROR_CANCELLED)
		return error_set(error, ERROR_MEMORY, "out of memory for the runtimes of a snapshot");
	if (code) {
		if (error)
			*error = failed;
		return code;
	}
	for (uint32_t i = 0; i < analysis->graph->node_count; i++) {
		const struct graph_node *node = &analysis->graph->node[i];
		struct runtime_row *row;

		if (node->flags & GRAPH_NODE_BLOCK || node->untracked)
			continue;
		row = find_row(analysis, node->runtime);
		if (!row) {
			row = add_row(analysis, node->runtime, "", "");
			if (!row)
				return error_set(error, ERROR_MEMORY, "out of memory for the runtimes");
			if (node->runtime == CASTAWAY_RUNTIME_NATIVE)
				fill_native(analysis, row);
		}
		row->objects++;
		if ((node->flags & GRAPH_NODE_GENERATION) < 3)
			row->generation[node->flags & GRAPH_NODE_GENERATION].objects++;
		else if (node->runtime == CASTAWAY_RUNTIME_NATIVE)
			row->frozen++;
	}
	return ERROR_NONE;
}

/* ---- generations ---------------------------------------------------------------- */

static void count_stranded(struct analysis *analysis, const uint32_t *nodes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct graph_node *node = &analysis->graph->node[nodes[i]];
		struct runtime_row *row = node->flags & GRAPH_NODE_BLOCK || node->untracked
						  ? NULL
						  : find_row(analysis, node->runtime);
		unsigned g = node->flags & GRAPH_NODE_GENERATION;

		if (row && g < 3)
			row->generation[g].stranded_objects++;
	}
}

/* Sums over the runtimes; of the thresholds and counters, which have no sum,
 * those of the first runtime that has any. */
static void add_generations(struct generation_row *sum, const struct generation_row *row)
{
	sum->objects += row->objects;
	sum->collections += row->collections;
	sum->promoted += row->promoted;
	sum->stranded_objects += row->stranded_objects;
	if (!sum->threshold)
		sum->threshold = row->threshold;
	if (!sum->count)
		sum->count = row->count;
}

void summary_generations(struct analysis *analysis)
{
	for (size_t i = 0; i < analysis->structure_count; i++) {
		const struct structure *s = &analysis->structures[i];

		if (s->verdict == VERDICT_LATENT)
			continue;
		count_stranded(analysis, s->members, s->member_count);
		count_stranded(analysis, s->entrained, s->entrained_count);
	}
	for (size_t r = 0; r < analysis->runtime_count; r++) {
		for (unsigned g = 0; g < 3; g++)
			add_generations(&analysis->generations[g], &analysis->runtimes[r].generation[g]);
	}
}

/* ---- totals ------------------------------------------------------------------------ */

/* Blocks are no objects, even where the scan shows a cycle of them. */
static uint64_t count_objects(const struct graph *graph, const uint32_t *node, uint32_t count)
{
	uint64_t objects = 0;

	for (uint32_t i = 0; i < count; i++)
		objects += !(graph->node[node[i]].flags & GRAPH_NODE_BLOCK);
	return objects;
}

static void add_structure(const struct graph *graph, struct analysis_summary *summary,
			  const struct structure *s)
{
	summary->structures++;
	if (s->verdict == VERDICT_LIKELY_STRANDED)
		summary->likely_stranded_structures++;
	if (s->verdict != VERDICT_STRANDED)
		return;
	summary->stranded_structures++;
	summary->stranded_objects += count_objects(graph, s->members, s->member_count) +
				     count_objects(graph, s->entrained, s->entrained_count);
	summary->stranded_bytes += s->member_bytes + s->entrained_bytes + s->block_bytes;
}

static uint64_t count_exact(const struct graph *graph)
{
	uint64_t exact = 0;

	for (uint32_t e = 0; e < graph->edge_count; e++)
		exact += !(graph->edge[e].field_flags & CASTAWAY_EDGE_SCANNED);
	return exact;
}

void summary_totals(struct analysis *analysis)
{
	struct analysis_summary *summary = &analysis->summary;
	const struct graph *graph = analysis->graph;

	*summary = (struct analysis_summary){
		.blocks = replay_block_count(analysis->replay),
		.bytes = replay_block_bytes(analysis->replay),
		.objects = graph->node_count - graph->block_count,
		.edges = graph->edge_count,
		.references = count_exact(graph),
		.roots = graph->root_count,
		.scanned = graph->scanned,
	};
	for (size_t i = 0; i < analysis->structure_count; i++)
		add_structure(graph, summary, &analysis->structures[i]);
	for (size_t i = 0; i < analysis->leak_count; i++) {
		const struct leak *leak = &analysis->leaks[i];

		summary->over_referenced += leak->verdict == VERDICT_OVER_REFERENCED ? leak->count : 0;
		summary->leaked_blocks += leak->verdict == VERDICT_LEAKED ? leak->blocks : 0;
		summary->leaked_bytes += leak->verdict == VERDICT_LEAKED ? leak->bytes : 0;
	}
}
