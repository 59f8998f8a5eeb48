/* SPDX-License-Identifier: Apache-2.0
 *
 * Life and queries of a struct trace: names, times, limits.
 */
#include "trace.h"

#include <stdio.h>
#include <string.h>

#include "trace_internal.h"

static void free_strings(char **strings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(strings[i]);
	free(strings);
}

static void free_tables(struct trace *trace)
{
	for (uint32_t i = 0; i < trace->module_count; i++)
		free(trace->modules[i].path);
	for (size_t i = 0; i < trace->limit_count; i++)
		free(trace->limits[i].detail);
	for (size_t i = 0; i < trace->snapshot_count; i++)
		free(trace->snapshots[i].name);
	free_strings(trace->argv, trace->argc);
	free_strings(trace->option_errors, trace->option_error_count);
	free(trace->exe);
	free(trace->options);
	free(trace->clock);
	free(trace->strings);
	free(trace->frames);
	free(trace->modules);
	free(trace->threads);
	free(trace->limits);
	free(trace->snapshots);
	free(trace->chunks);
}

void trace_free(struct trace *trace)
{
	if (!trace)
		return;
	free_tables(trace);
	chunk_free(trace->internal);
	while (trace->internal->texts) {
		struct text_block *block = trace->internal->texts;

		trace->internal->texts = block->next;
		free(block);
	}
	free(trace->internal);
	source_free(trace->source);
	free(trace->path);
	free(trace);
}

const char *trace_text(const struct trace *trace, uint32_t string)
{
	return string < trace->string_count ? trace->strings[string].text : "";
}

/* The last clock point that is not later than `ticks`, but never the last of
 * all, so that there is a next one to draw the line to. */
static size_t clock_segment(const struct trace *trace, uint64_t ticks)
{
	size_t low = 0, high = trace->clock_count - 1;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (trace->clock[middle].ticks <= ticks)
			low = middle;
		else
			high = middle;
	}
	return low;
}

uint64_t trace_time_ns(const struct trace *trace, uint64_t ticks)
{
	uint64_t start_ns = trace->header.start_monotonic_ns;
	const struct trace_clock_point *a, *b;
	unsigned __int128 ns;

	if (trace->header.clock_source == CASTAWAY_CLOCK_MONOTONIC)
		return ticks > trace->header.start_ticks ? ticks - trace->header.start_ticks : 0;
	if (trace->clock_count < 2 || ticks <= trace->clock[0].ticks)
		return 0;
	a = &trace->clock[clock_segment(trace, ticks)];
	b = a + 1;
	ns = b->monotonic_ns > a->monotonic_ns ? b->monotonic_ns - a->monotonic_ns : 0;
	ns = ns * (ticks - a->ticks) / (b->ticks - a->ticks) + a->monotonic_ns;
	if (ns <= start_ns)
		return 0;
	return ns - start_ns > UINT64_MAX ? UINT64_MAX : (uint64_t)(ns - start_ns);
}

static struct trace_limit *find_limit(const struct trace *trace, uint32_t limit, const char *detail)
{
	for (size_t i = 0; i < trace->limit_count; i++)
		if (trace->limits[i].limit == limit && strcmp(trace->limits[i].detail, detail) == 0)
			return &trace->limits[i];
	return NULL;
}

static struct trace_limit *new_limit(struct trace *trace, uint32_t limit, const char *detail)
{
	struct trace_limit *limits = array_reserve(trace->limits, &trace->internal->limit_capacity,
						   trace->limit_count + 1, sizeof(*limits));
	char *copy;

	if (!limits)
		return NULL;
	trace->limits = limits;
	copy = strdup(detail);
	if (!copy)
		return NULL;
	limits[trace->limit_count] = (struct trace_limit){.limit = limit, .detail = copy};
	return &limits[trace->limit_count++];
}

enum error_code trace_set_limit(struct trace *trace, uint32_t limit, uint64_t count, const char *detail)
{
	struct trace_limit *entry = find_limit(trace, limit, detail);

	if (!entry)
		entry = new_limit(trace, limit, detail);
	if (!entry)
		return ERROR_MEMORY;
	entry->count = count;
	return ERROR_NONE;
}

enum error_code trace_add_limit(struct trace *trace, enum castaway_limit limit, uint64_t count,
				const char *detail)
{
	struct trace_limit *entry;

	if (!detail)
		detail = "";
	entry = find_limit(trace, limit, detail);
	return trace_set_limit(trace, limit, entry ? entry->count + count : count, detail);
}

/* The reader's own entry is the one whose detail says where the first damage
 * is; an earlier find later on moves that. */
enum error_code trace_count_damage(struct trace *trace, uint64_t offset)
{
	struct trace_internal *internal = trace->internal;
	struct trace_limit *entry = NULL;
	char detail[64];

	snprintf(detail, sizeof(detail), "first at offset %llu", (unsigned long long)internal->damage_offset);
	if (internal->damage_count > 0)
		entry = find_limit(trace, CASTAWAY_LIMIT_DAMAGED, detail);
	if (internal->damage_count++ == 0 || offset < internal->damage_offset)
		internal->damage_offset = offset;
	snprintf(detail, sizeof(detail), "first at offset %llu", (unsigned long long)internal->damage_offset);
	trace->complete = false;
	if (entry) {
		char *copy = strdup(detail);

		if (!copy)
			return ERROR_MEMORY;
		free(entry->detail);
		entry->detail = copy;
	}
	return trace_set_limit(trace, CASTAWAY_LIMIT_DAMAGED, internal->damage_count, detail);
}

enum error_code trace_mark_damaged(struct trace *trace, struct trace_chunk *chunk)
{
	if (chunk->damaged)
		return ERROR_NONE;
	chunk->damaged = true;
	return trace_count_damage(trace, chunk->offset);
}

const char *trace_limit_code(uint32_t limit)
{
	switch (limit) {
#define X(constant, number, code, message) \
	case number:                       \
		return code;
		CASTAWAY_LIMITS(X)
#undef X
	}
	return "unknown";
}

const char *trace_limit_message(uint32_t limit)
{
	switch (limit) {
#define X(constant, number, code, message) \
	case number:                       \
		return message;
		CASTAWAY_LIMITS(X)
#undef X
	}
	return "unknown";
}

const char *trace_runtime_name(uint32_t runtime)
{
	switch (runtime) {
#define X(name, constant, number) \
	case number:              \
		return name;
		CASTAWAY_RUNTIMES(X)
#undef X
	}
	return "unknown";
}
