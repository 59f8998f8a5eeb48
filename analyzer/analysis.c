/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of the pass, and which moment it looks at.  Each step frees what
 * the next ones do not need, because at ten million objects the arrays of the
 * steps together would be twice the graph.
 */
#include "analysis.h"

#include <stdlib.h>

#include "confirm.h"
#include "dominator.h"
#include "explain.h"
#include "findings.h"
#include "hidden.h"
#include "lost.h"
#include "moment.h"
#include "provenance.h"
#include "slots.h"
#include "summary.h"
#include "trial.h"
#include "verdict.h"

#define STRANDED_POOL 0
#define LATENT_POOL   1
#define LOST_POOL     2
#define HIDDEN_POOL   3

struct pass {
	struct analysis *analysis;
	const struct analysis_options *options;
	struct trial trial;
	struct confirm confirm;
	struct error *error;
};

void analysis_options_default(struct analysis_options *options)
{
	*options = (struct analysis_options){
		.snapshot = ANALYSIS_SNAPSHOT_LAST,
		.generation = 2,
	};
}

static enum error_code progress(const struct pass *pass, const char *phase, double fraction)
{
	const struct analysis_options *options = pass->options;

	if (options->progress && !options->progress(options->progress_arg, phase, fraction))
		return error_set(pass->error, ERROR_CANCELLED, "the analysis was cancelled");
	return ERROR_NONE;
}

/* ---- the moment --------------------------------------------------------------- */

/* Everything is judged at the time of the snapshot, annotated objects too: at
 * exit it comes before atexit handlers and destructors let go of things.
 * Without a snapshot the end of the events is all there is. */
static enum error_code choose_moment(const struct pass *pass)
{
	struct analysis *a = pass->analysis;
	enum error_code code = moment_find(a->trace, pass->options->snapshot, &a->snapshot, pass->error);

	a->ticks = a->snapshot ? a->snapshot->ticks : UINT64_MAX;
	return code;
}

static enum error_code note_unread(const struct pass *pass)
{
	const struct analysis *a = pass->analysis;

	if (!a->snapshot || !a->snapshot->unscanned_bytes)
		return ERROR_NONE;
	return trace_set_limit(a->trace, CASTAWAY_LIMIT_UNREAD, a->snapshot->unscanned_bytes, "") ==
			       ERROR_NONE
		       ? ERROR_NONE
		       : error_set(pass->error, ERROR_MEMORY, "out of memory for the limits of the trace");
}

static enum error_code load(struct pass *pass)
{
	struct analysis *a = pass->analysis;
	enum error_code code = choose_moment(pass);

	if (!code)
		code = note_unread(pass);
	if (!code)
		code = progress(pass, "events", 0);
	if (!code)
		code = replay_new(a->trace, &a->replay, pass->error);
	if (!code)
		code = replay_run(a->replay, a->ticks, pass->error);
	if (!code)
		code = progress(pass, "objects", 0.3);
	if (!code)
		code = graph_build(a->trace, a->replay, a->snapshot, &a->graph, pass->error);
	if (!code)
		code = symbols_new(a->trace, &pass->options->symbols, &a->symbols, pass->error);
	return code;
}

/* ---- the pass ----------------------------------------------------------------- */

static enum error_code run_trial(struct pass *pass)
{
	struct analysis *a = pass->analysis;
	enum error_code code = trial_run(a->graph, pass->options->generation, 0, &pass->trial, pass->error);

	if (code)
		return code;
	a->inexact = pass->trial.inexact;
	if (a->inexact && trace_set_limit(a->trace, CASTAWAY_LIMIT_INEXACT, a->inexact, "") != ERROR_NONE)
		return error_set(pass->error, ERROR_MEMORY, "out of memory for the limits of the trace");
	return ERROR_NONE;
}

/* Sources of the dead: the structures' members, and what no structure has. */
static enum error_code find_retained(struct pass *pass, const struct verdict_result *result)
{
	struct analysis *a = pass->analysis;
	struct dominators dominators;
	size_t count = 0;
	uint32_t *source = malloc(((size_t)pass->trial.dead + 1) * sizeof(*source));
	enum error_code code;

	if (!source)
		return error_set(pass->error, ERROR_MEMORY, "out of memory for retained sizes");
	for (size_t i = 0; i < result->count; i++) {
		for (uint32_t m = 0; m < result->structures[i].member_count; m++)
			source[count++] = result->structures[i].members[m];
	}
	for (uint32_t i = 0; i < result->lone_count; i++)
		source[count++] = result->lone[i];
	code = dominator_run(a->graph, GRAPH_OWNING, pass->trial.state, 1u << TRIAL_DEAD, source, count,
			     &dominators, pass->error);
	free(source);
	if (code)
		return code;
	a->retained = dominators.retained;
	free(dominators.parent);
	return ERROR_NONE;
}

/* Whether something is lost that GObject or GStreamer counts. */
static bool has_counted(const struct graph *graph, const struct reach *reach)
{
	for (uint32_t i = 0; i < graph->node_count; i++) {
		const struct graph_node *node = &graph->node[i];

		if (reach->state[i] == REACH_LOST && node->flags & GRAPH_NODE_COUNTED &&
		    (node->runtime == CASTAWAY_RUNTIME_GOBJECT || node->runtime == CASTAWAY_RUNTIME_GST))
			return true;
	}
	return false;
}

static bool was_held(const void *arg, const struct graph_node *node)
{
	const struct pass *pass = arg;

	return !confirm_allows(&pass->confirm, node, pass->analysis->replay);
}

/* What the memory shows beyond the counts. */
static enum error_code judge_lost(struct pass *pass, struct verdict_result *dead)
{
	struct analysis *a = pass->analysis;
	const struct reach_more more = {was_held, pass};
	struct verdict_result lost = {0};
	struct reach reach;
	size_t stranded = 0;
	enum error_code code =
		reach_run(a->graph, &pass->trial, a->earlier ? &more : NULL, dead, &reach, pass->error);

	if (code)
		return code;
	if (has_counted(a->graph, &reach))
		code = slots_infer(a->graph, reach.state, &a->slots, pass->error);
	if (!code)
		code = lost_find(a->graph, &reach, a->slots, &lost, &stranded, pass->error);
	reach_done(&reach);
	if (!code)
		code = findings_add_lost(a, pass->options, lost.structures + stranded, lost.count - stranded,
					 pass->error);
	lost.count = stranded;
	if (!code)
		code = findings_take(a, pass->options, &lost, LOST_POOL, pass->error);
	verdict_done(&lost);
	return code;
}

/* Without a scan only counts speak: what has none left was not freed. */
static enum error_code judge_released(struct pass *pass, const struct verdict_result *dead)
{
	struct analysis *a = pass->analysis;

	if (!pass->options->leaks)
		return ERROR_NONE;
	if (trace_set_limit(a->trace, CASTAWAY_LIMIT_NOT_SCANNED, 1, "") != ERROR_NONE)
		return error_set(pass->error, ERROR_MEMORY, "out of memory for the limits of the trace");
	return findings_add_leaks(a, pass->options, dead->lone, dead->lone_count, pass->error);
}

static enum error_code find_stranded(const struct pass *pass, struct verdict_result *ret)
{
	const struct graph *graph = pass->analysis->graph;
	struct scc scc;
	enum error_code code =
		scc_run(graph, GRAPH_OWNING, pass->trial.state, 1u << TRIAL_DEAD, &scc, pass->error);

	if (code)
		return code;
	code = verdict_stranded(graph, &scc, ret, pass->error);
	scc_done(&scc);
	return code;
}

static enum error_code judge_dead(struct pass *pass)
{
	struct analysis *a = pass->analysis;
	struct verdict_result result = {0};
	enum error_code code = find_stranded(pass, &result);

	if (!code && pass->options->retained)
		code = find_retained(pass, &result);
	if (!code)
		code = a->graph->scanned ? judge_lost(pass, &result) : judge_released(pass, &result);
	if (!code)
		code = findings_take(a, pass->options, &result, STRANDED_POOL, pass->error);
	verdict_done(&result);
	return code;
}

/* What the counts explain only with what memory shows of extension types.  Of
 * that, a scan of all memory has found what nothing leads to. */
static enum error_code judge_hidden(struct pass *pass)
{
	struct analysis *a = pass->analysis;
	struct verdict_result result;
	enum error_code code =
		hidden_find(a->graph, &pass->trial, pass->options->generation, &result, pass->error);

	if (!code && a->graph->scanned)
		code = hidden_leave_out(a->graph, a->structures, a->structure_count, &result, pass->error);
	if (!code)
		code = findings_take(a, pass->options, &result, HIDDEN_POOL, pass->error);
	verdict_done(&result);
	return code;
}

static enum error_code judge_living(struct pass *pass)
{
	struct analysis *a = pass->analysis;
	struct verdict_result result = {0};
	struct scc scc;
	enum error_code code = scc_run(a->graph, GRAPH_OWNING, pass->trial.state,
				       1u << TRIAL_HELD | 1u << TRIAL_EXTERNAL, &scc, pass->error);

	if (code)
		return code;
	code = verdict_latent(a->graph, &scc, &result, pass->error);
	scc_done(&scc);
	if (!code)
		code = findings_take(a, pass->options, &result, LATENT_POOL, pass->error);
	verdict_done(&result);
	return code;
}

static enum error_code describe(struct pass *pass)
{
	struct analysis *a = pass->analysis;
	enum error_code code = progress(pass, "findings", 0.7);

	if (!code)
		code = findings_group(a, pass->error);
	if (!code)
		code = explain_evidence(a, &pass->trial, pass->error);
	if (!code)
		code = explain_advice(a, pass->error);
	if (!code)
		code = progress(pass, "stranding events", 0.8);
	if (!code)
		code = explain_stranding(a, pass->error);
	if (!code)
		code = provenance_run(a, pass->error);
	if (!code)
		code = summary_runtimes(a, pass->error);
	if (code)
		return code;
	summary_generations(a);
	summary_totals(a);
	if (!pass->options->leaks)
		a->leak_count = 0;
	return progress(pass, "done", 1);
}

/* ---- the moment before ---------------------------------------------------------- */

static enum error_code take_down(struct pass *pass, struct confirm *ret)
{
	struct analysis *a = pass->analysis;
	struct verdict_result dead = {0};
	struct reach reach = {0};
	enum error_code code = trial_run(a->graph, pass->options->generation, 0, &pass->trial, pass->error);

	if (!code)
		code = find_stranded(pass, &dead);
	if (!code)
		code = reach_run(a->graph, &pass->trial, NULL, &dead, &reach, pass->error);
	if (!code)
		code = confirm_take(a->graph, &reach, a->ticks, ret, pass->error);
	reach_done(&reach);
	verdict_done(&dead);
	return code;
}

/* Cancels as the whole does, but makes no progress. */
static bool stand_still(void *arg, const char *phase, double fraction)
{
	const struct analysis_options *options = arg;

	return options->progress(options->progress_arg, "the moment before", 0);
}

/* A pass of its own up to what is held, because the graph of one moment is all
 * that should be in memory. */
static enum error_code look_before(struct pass *pass)
{
	struct analysis_options options = *pass->options;
	struct pass before = {.options = &options, .error = pass->error};
	const struct trace_snapshot *earlier = NULL, *later = NULL;
	enum error_code code = moment_find(pass->analysis->trace, options.snapshot, &later, pass->error);

	if (code || !later || !moment_is_scanned(later))
		return code;
	earlier = moment_before(pass->analysis->trace, later);
	if (!earlier)
		return error_set(pass->error, ERROR_NOT_FOUND,
				 "no snapshot before %u that could confirm it (record with snapshot-twice)",
				 later->index);
	options.snapshot = (int)earlier->index;
	if (options.progress) {
		options.progress = stand_still;
		options.progress_arg = (void *)(uintptr_t)pass->options;
	}
	before.analysis = calloc(1, sizeof(*before.analysis));
	if (!before.analysis)
		return error_set(pass->error, ERROR_MEMORY, "out of memory for the analysis");
	before.analysis->trace = pass->analysis->trace;
	code = load(&before);
	if (!code)
		code = take_down(&before, &pass->confirm);
	trial_done(&before.trial);
	analysis_free(before.analysis);
	pass->analysis->earlier = earlier;
	return code;
}

static enum error_code run(struct pass *pass)
{
	enum error_code code = pass->options->confirm ? look_before(pass) : ERROR_NONE;

	if (!code)
		code = load(pass);

	if (!code)
		code = progress(pass, "cycles", 0.5);
	if (!code)
		code = run_trial(pass);
	if (!code)
		code = judge_dead(pass);
	if (!code)
		code = judge_hidden(pass);
	if (!code && pass->options->latent)
		code = judge_living(pass);
	if (!code)
		code = describe(pass);
	if (!code && !pass->analysis->snapshot)
		pass->analysis->ticks = replay_now(pass->analysis->replay);
	return code;
}

enum error_code analysis_run(struct trace *trace, const struct analysis_options *options,
			     struct analysis **ret, struct error *error)
{
	struct pass pass = {.options = options, .error = error};
	enum error_code code;

	pass.analysis = calloc(1, sizeof(*pass.analysis));
	if (!pass.analysis)
		return error_set(error, ERROR_MEMORY, "out of memory for the analysis");
	pass.analysis->trace = trace;
	pass.analysis->instances = options->instances;
	code = run(&pass);
	trial_done(&pass.trial);
	confirm_done(&pass.confirm);
	if (code)
		analysis_free(pass.analysis);
	else
		*ret = pass.analysis;
	return code;
}

void analysis_free(struct analysis *analysis)
{
	if (!analysis)
		return;
	for (size_t i = 0; i < analysis->runtime_count; i++) {
		free(analysis->runtimes[i].version);
		free(analysis->runtimes[i].note);
	}
	free(analysis->runtimes);
	free(analysis->structures);
	free(analysis->findings);
	free(analysis->leaks);
	free(analysis->acquired);
	slots_free(analysis->slots);
	free(analysis->retained);
	free(analysis->pools[STRANDED_POOL]);
	free(analysis->pools[LATENT_POOL]);
	free(analysis->pools[LOST_POOL]);
	free(analysis->pools[HIDDEN_POOL]);
	symbols_free(analysis->symbols);
	graph_free(analysis->graph);
	replay_free(analysis->replay);
	free(analysis);
}
