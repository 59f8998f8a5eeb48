/* SPDX-License-Identifier: Apache-2.0
 *
 * The verdicts of the pass: each looks for structures of one kind in the graph
 * and hands them to the findings.
 */
#include "analysis_internal.h"

#include <stdlib.h>

#include "dominator.h"
#include "findings.h"
#include "hidden.h"
#include "lost.h"
#include "slots.h"

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
		code = findings_take(a, pass->options, &lost, ANALYSIS_POOL_LOST, pass->error);
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

typedef enum error_code find_fn(const struct graph *graph, const struct scc *scc, struct verdict_result *ret,
				struct error *error);

/* What `find` makes of the cycles among the nodes in these states of the trial. */
static enum error_code find_cycles(const struct pass *pass, uint32_t states, find_fn *find,
				   struct verdict_result *ret)
{
	const struct graph *graph = pass->analysis->graph;
	struct scc scc;
	enum error_code code = scc_run(graph, GRAPH_OWNING, pass->trial.state, states, &scc, pass->error);

	if (code)
		return code;
	code = find(graph, &scc, ret, pass->error);
	scc_done(&scc);
	return code;
}

enum error_code analysis_find_stranded(const struct pass *pass, struct verdict_result *ret)
{
	return find_cycles(pass, 1u << TRIAL_DEAD, verdict_stranded, ret);
}

static enum error_code judge_dead(struct pass *pass)
{
	struct analysis *a = pass->analysis;
	struct verdict_result result = {0};
	enum error_code code = analysis_find_stranded(pass, &result);

	if (!code && pass->options->retained)
		code = find_retained(pass, &result);
	if (!code)
		code = a->graph->scanned ? judge_lost(pass, &result) : judge_released(pass, &result);
	if (!code)
		code = findings_take(a, pass->options, &result, ANALYSIS_POOL_STRANDED, pass->error);
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
		code = findings_take(a, pass->options, &result, ANALYSIS_POOL_HIDDEN, pass->error);
	verdict_done(&result);
	return code;
}

static enum error_code judge_living(struct pass *pass)
{
	struct analysis *a = pass->analysis;
	struct verdict_result result = {0};
	enum error_code code =
		find_cycles(pass, 1u << TRIAL_HELD | 1u << TRIAL_EXTERNAL, verdict_latent, &result);

	if (!code)
		code = findings_take(a, pass->options, &result, ANALYSIS_POOL_LATENT, pass->error);
	verdict_done(&result);
	return code;
}

enum error_code analysis_judge(struct pass *pass)
{
	enum error_code code = run_trial(pass);

	if (!code)
		code = judge_dead(pass);
	if (!code)
		code = judge_hidden(pass);
	if (!code && pass->options->latent)
		code = judge_living(pass);
	return code;
}
