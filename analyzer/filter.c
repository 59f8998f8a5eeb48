/* SPDX-License-Identifier: Apache-2.0
 *
 * Filters by runtime, survival and globs.
 */
#include "filter.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

bool filter_survived(const struct replay *replay, const struct graph_node *node, uint32_t *ret)
{
	const struct replay_generations *generations;

	/* A runtime with a collector has passes of its own: an object of its
	 * generation N has outlived N of them at least. */
	if (node->runtime == CASTAWAY_RUNTIME_CPYTHON) {
		*ret = node->flags & GRAPH_NODE_GENERATION;
		return true;
	}
	if (!(node->flags & GRAPH_NODE_BIRTH_KNOWN) || !replay)
		return false;
	generations =
		replay_generations(replay, node->runtime == CASTAWAY_RUNTIME_NATIVE ? CASTAWAY_DOMAIN_OBJECTS
										    : CASTAWAY_DOMAIN_BLOCKS);
	if (!generations)
		return false;
	*ret = 0;
	replay_generation_of(generations, node->birth_pass, ret);
	return true;
}

void filter_set_survived(const struct graph *graph, const struct replay *replay, struct structure *structure)
{
	structure->survived = GRAPH_NONE;
	for (uint32_t m = 0; m < structure->member_count; m++) {
		uint32_t survived;

		if (filter_survived(replay, &graph->node[structure->members[m]], &survived) &&
		    survived < structure->survived)
			structure->survived = survived;
	}
}

/* Path of the module, or of the script, whose code allocated the object. */
static const char *allocating_module(const struct trace *trace, uint32_t stack)
{
	const struct trace_frame *frame;
	uint32_t module;

	if (stack == 0 || stack >= trace->frame_count)
		return "";
	frame = &trace->frames[stack];
	if (frame->tag == CASTAWAY_FRAME_SCRIPT)
		return trace_text(trace, frame->file);
	module = frame->tag - CASTAWAY_FRAME_MODULE0;
	if (frame->tag < CASTAWAY_FRAME_MODULE0 || module == 0 || module > trace->module_count)
		return "";
	return trace->modules[module - 1].path;
}

static bool matches(const struct trace *trace, const struct graph_node *node, const char *glob)
{
	const char *type = trace_text(trace, node->type);
	const char *module = allocating_module(trace, node->stack), *slash = strrchr(module, '/');
	char qualified[256];

	if (fnmatch(glob, type, 0) == 0)
		return true;
	snprintf(qualified, sizeof(qualified), "%s:%s", trace_runtime_name(node->runtime), type);
	if (fnmatch(glob, qualified, 0) == 0)
		return true;
	if (!*module)
		return false;
	return fnmatch(glob, module, 0) == 0 || fnmatch(glob, slash ? slash + 1 : module, 0) == 0;
}

static bool any_matches(const struct graph *graph, const uint32_t *member, uint32_t count,
			const char *const *globs)
{
	for (; *globs; globs++) {
		for (uint32_t m = 0; m < count; m++) {
			if (matches(graph->trace, &graph->node[member[m]], *globs))
				return true;
		}
	}
	return false;
}

static bool in_runtimes(const struct graph *graph, const uint32_t *member, uint32_t count, uint32_t runtimes)
{
	for (uint32_t m = 0; m < count; m++) {
		uint8_t runtime = graph->node[member[m]].runtime;

		if (runtime < 32 && (runtimes >> runtime & 1))
			return true;
	}
	return false;
}

static bool accepts(const struct graph *graph, const struct analysis_options *options, const uint32_t *member,
		    uint32_t count)
{
	if (options->runtimes && !in_runtimes(graph, member, count, options->runtimes))
		return false;
	if (options->only && *options->only && !any_matches(graph, member, count, options->only))
		return false;
	return !options->ignore || !any_matches(graph, member, count, options->ignore);
}

bool filter_accepts(const struct graph *graph, const struct analysis_options *options,
		    const struct structure *structure)
{
	/* What is not known to have survived has not been shown to. */
	if (options->min_survived &&
	    (structure->survived == GRAPH_NONE || structure->survived < options->min_survived))
		return false;
	return accepts(graph, options, structure->members, structure->member_count);
}

bool filter_accepts_node(const struct graph *graph, const struct analysis_options *options, uint32_t node)
{
	return accepts(graph, options, &node, 1);
}
