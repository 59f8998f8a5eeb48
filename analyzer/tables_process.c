/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables that say what was recorded: process, clock, threads, limits.  All
 * of them are small, but a hostile file can repeat them: nothing is quadratic
 * and nothing grows beyond what the file's size can justify.
 */
#include <string.h>

#include "tables.h"

#define MAX_LIMITS    256u /* different ones; a lookup is a walk over them */
#define MAX_ARGUMENTS 131072u

static enum error_code append_string(struct table_load *load, char ***strings, size_t *count,
				     size_t *capacity, char *value)
{
	char **grown;

	if (*count >= MAX_ARGUMENTS) {
		load->cursor.failed = true;
		free(value);
		return ERROR_NONE;
	}
	grown = array_reserve(*strings, capacity, *count + 1, sizeof(*grown));
	if (!grown) {
		free(value);
		return no_memory(load->error);
	}
	*strings = grown;
	grown[(*count)++] = value;
	return ERROR_NONE;
}

static enum error_code set_process(struct table_load *load, uint64_t key, char *value)
{
	struct trace *trace = load->trace;
	char **single = NULL;

	switch (key) {
	case CASTAWAY_PROCESS_ARGV:
		return append_string(load, &trace->argv, &trace->argc, &trace->internal->argv_capacity,
				     value);
	case CASTAWAY_PROCESS_OPTION_ERROR:
		return append_string(load, &trace->option_errors, &trace->option_error_count,
				     &trace->internal->option_error_capacity, value);
	case CASTAWAY_PROCESS_EXE:
		single = &trace->exe;
		break;
	case CASTAWAY_PROCESS_OPTIONS:
		single = &trace->options;
		break;
	default: /* of a later writer */
		free(value);
		return ERROR_NONE;
	}
	free(*single);
	*single = value;
	return ERROR_NONE;
}

enum error_code tables_process(struct table_load *load)
{
	enum error_code code = ERROR_NONE;

	while (code == ERROR_NONE && codec_left(&load->cursor) > 0) {
		uint64_t key = codec_get_varint(&load->cursor);
		char *value = tables_string(&load->cursor);

		if (!value)
			return load->cursor.failed ? ERROR_NONE : no_memory(load->error);
		code = set_process(load, key, value);
	}
	return code;
}

static enum error_code add_clock_point(struct table_load *load, const struct trace_clock_point *point)
{
	struct trace *trace = load->trace;
	struct trace_clock_point *clock = array_reserve(trace->clock, &trace->internal->clock_capacity,
							trace->clock_count + 1, sizeof(*clock));

	if (!clock)
		return no_memory(load->error);
	trace->clock = clock;
	clock[trace->clock_count++] = *point;
	return ERROR_NONE;
}

enum error_code tables_clock(struct table_load *load)
{
	enum error_code code = ERROR_NONE;

	while (code == ERROR_NONE && codec_left(&load->cursor) > 0) {
		struct trace_clock_point point;

		point.ticks = codec_get_u64(&load->cursor);
		point.monotonic_ns = codec_get_u64(&load->cursor);
		point.realtime_ns = codec_get_u64(&load->cursor);
		if (load->cursor.failed)
			break;
		code = add_clock_point(load, &point);
	}
	return code;
}

static int compare_clock(const void *a, const void *b)
{
	const struct trace_clock_point *left = a, *right = b;

	return (left->ticks > right->ticks) - (left->ticks < right->ticks);
}

/* Sorted, each moment once; the header's start is the first point. */
enum error_code tables_finish_clock(struct table_load *load)
{
	struct trace *trace = load->trace;
	const struct castaway_file_header *header = &trace->header;
	struct trace_clock_point start = {header->start_ticks, header->start_monotonic_ns,
					  header->start_realtime_ns};
	enum error_code code = add_clock_point(load, &start);
	size_t kept = 0;

	if (code != ERROR_NONE)
		return code;
	qsort(trace->clock, trace->clock_count, sizeof(*trace->clock), compare_clock);
	for (size_t i = 0; i < trace->clock_count; i++) {
		const struct trace_clock_point *point = &trace->clock[i];
		uint64_t last = kept > 0 ? trace->clock[kept - 1].ticks : start.ticks;

		if (point->ticks > last)
			trace->clock[kept++] = *point;
		else if (kept == 0 && point->ticks == start.ticks)
			trace->clock[kept++] = start;
	}
	trace->clock_count = kept;
	return ERROR_NONE;
}

enum error_code tables_threads(struct table_load *load)
{
	struct trace *trace = load->trace;

	while (codec_left(&load->cursor) > 0) {
		struct trace_thread thread = {0};
		struct trace_thread *threads;
		char *name;

		thread.number = tables_number(&load->cursor, UINT32_MAX);
		thread.kernel_tid = tables_number(&load->cursor, UINT32_MAX);
		thread.start_ticks = codec_get_u64(&load->cursor);
		name = tables_string(&load->cursor);
		if (!name)
			return load->cursor.failed ? ERROR_NONE : no_memory(load->error);
		strncpy(thread.name, name, sizeof(thread.name) - 1);
		free(name);
		threads = array_reserve(trace->threads, &trace->internal->thread_capacity,
					trace->thread_count + 1, sizeof(*threads));
		if (!threads)
			return no_memory(load->error);
		trace->threads = threads;
		threads[trace->thread_count++] = thread;
	}
	return ERROR_NONE;
}

/* By number, then by kernel thread and time; qsort is not stable, so equal
 * numbers are told apart by their place in the array. */
static int compare_threads(const void *a, const void *b)
{
	const struct trace_thread *const *left = a, *const *right = b;

	if ((*left)->number != (*right)->number)
		return (*left)->number > (*right)->number ? 1 : -1;
	return (*left > *right) - (*left < *right);
}

/* Sorted by number; of several entries for one thread the last one holds. */
enum error_code tables_finish_threads(struct table_load *load)
{
	struct trace *trace = load->trace;
	size_t count = trace->thread_count, kept = 0;
	struct trace_thread **order = malloc((count + 1) * sizeof(*order));
	struct trace_thread *sorted = malloc((count + 1) * sizeof(*sorted));

	if (!order || !sorted) {
		free(order);
		free(sorted);
		return no_memory(load->error);
	}
	for (size_t i = 0; i < count; i++)
		order[i] = &trace->threads[i];
	qsort(order, count, sizeof(struct trace_thread *), compare_threads);
	for (size_t i = 0; i < count; i++) {
		if (kept > 0 && sorted[kept - 1].number == order[i]->number)
			kept--;
		sorted[kept++] = *order[i];
	}
	free(order);
	free(trace->threads);
	trace->threads = sorted;
	trace->thread_count = kept;
	return ERROR_NONE;
}

enum error_code tables_limits(struct table_load *load)
{
	while (codec_left(&load->cursor) > 0) {
		uint32_t limit = tables_number(&load->cursor, UINT32_MAX);
		uint64_t count = codec_get_varint(&load->cursor);
		char *detail = tables_string(&load->cursor);
		enum error_code code;

		if (!detail)
			return load->cursor.failed ? ERROR_NONE : no_memory(load->error);
		if (load->trace->limit_count >= MAX_LIMITS) {
			load->cursor.failed = true;
			free(detail);
			return ERROR_NONE;
		}
		code = trace_set_limit(load->trace, limit, count, detail);
		free(detail);
		if (code != ERROR_NONE)
			return no_memory(load->error);
	}
	return ERROR_NONE;
}
