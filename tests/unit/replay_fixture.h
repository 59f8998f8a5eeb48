/* SPDX-License-Identifier: Apache-2.0
 *
 * For the tests of the replay: a trace under construction, and its state at a
 * moment.  Each test begins with an empty builder.
 */
#ifndef REPLAY_FIXTURE_H
#define REPLAY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "replay.h"
#include "trace_builder.h"

static struct builder *s_builder;
static struct trace *s_trace;
static struct replay *s_replay;

static inline int begin(void **state)
{
	s_builder = builder_new();
	*state = NULL;
	return 0;
}

static inline int finish(void **state)
{
	(void)state;
	replay_free(s_replay);
	trace_free(s_trace);
	builder_free(s_builder);
	s_replay = NULL;
	s_trace = NULL;
	return 0;
}

static inline void run_to(uint64_t ticks)
{
	struct error error = {0};

	if (!s_replay) {
		s_trace = builder_open(s_builder);
		assert_int_equal(replay_new(s_trace, &s_replay, &error), ERROR_NONE);
	}
	assert_int_equal(replay_run(s_replay, ticks, &error), ERROR_NONE);
}

static inline void run(void)
{
	run_to(UINT64_MAX);
}

static inline uint64_t limit_count(enum castaway_limit limit)
{
	uint64_t count = 0;

	for (size_t i = 0; i < s_trace->limit_count; i++)
		if (s_trace->limits[i].limit == limit)
			count += s_trace->limits[i].count;
	return count;
}

static inline const struct replay_object *object(uint64_t address)
{
	const struct replay_object *found = replay_find_object(s_replay, address);

	assert_non_null(found);
	return found;
}

static inline void assert_misuse(size_t index, enum replay_misuse_kind kind, uint64_t address, uint64_t count)
{
	size_t total;
	const struct replay_misuse *misuses = replay_misuses(s_replay, &total);

	assert_true(index < total);
	assert_int_equal(misuses[index].kind, kind);
	assert_true(misuses[index].address == address);
	assert_true(misuses[index].count == count);
}

static inline size_t misuse_count(void)
{
	size_t total;

	replay_misuses(s_replay, &total);
	return total;
}

#endif
