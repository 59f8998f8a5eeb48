/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of the pass, and which moment it looks at.  Each step frees what
 * the next ones do not need, because at ten million objects the arrays of the
 * steps together would be twice the graph.
 */
#include "analysis_internal.h"

#include <stdlib.h>

#include "explain.h"
#include "findings.h"
#include "moment.h"
#include "provenance.h"
#include "slots.h"
#include "summary.h"

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
		code = analysis_find_stranded(pass, &dead);
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
		code = analysis_judge(pass);
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
	for (unsigned i = 0; i < ANALYSIS_POOL_COUNT; i++)
		free(analysis->pools[i]);
	symbols_free(analysis->symbols);
	graph_free(analysis->graph);
	replay_free(analysis->replay);
	free(analysis);
}
