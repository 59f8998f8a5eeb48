/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole passes over traces made by hand.
 */
#include "judged.h"

struct analysis_options judged_options(void)
{
	struct analysis_options options;

	analysis_options_default(&options);
	options.symbols.off = true;
	return options;
}

struct judged judged_end(struct builder *b, uint64_t ticks, const struct analysis_options *options)
{
	const struct analysis_options defaults = judged_options();
	struct judged j = {.builder = b};

	builder_end(b, CASTAWAY_END_EXIT, ticks);
	j.trace = builder_open(b);
	j.code = analysis_run(j.trace, options ? options : &defaults, &j.analysis, &j.error);
	return j;
}

void judged_free(struct judged *j)
{
	analysis_free(j->analysis);
	trace_free(j->trace);
	builder_free(j->builder);
}

void judged_object(struct builder *b, uint64_t ticks, uint64_t address, const char *type, uint32_t stack)
{
	builder_event(b, 1, ticks, OBJECT, address, 64, builder_string(b, type), stack);
}

void judged_loop(struct builder *b, uint64_t ticks, uint64_t address, const char *type, uint32_t stack)
{
	judged_object(b, ticks, address, type, stack);
	builder_event(b, 1, ticks, LINK, address, address, builder_string(b, "self"), stack);
}
