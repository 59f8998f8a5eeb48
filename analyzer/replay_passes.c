/* SPDX-License-Identifier: Apache-2.0
 *
 * Generation passes.  What a thing went through follows from the pass number
 * of its birth, by the rule of CPython 3.11's collector: a pass of generation
 * g moves what it examines to min(g + 1, 2).
 */
#include <string.h>

#include "replay_state.h"

/* Lost PASS events leave a gap in the numbers; a larger one is damage. */
#define MAX_GAP 65536u

static const uint64_t default_threshold[3] = {700, 10, 10};

/* "threshold1=20" anywhere in the settings that the recording was made with. */
static void read_thresholds(struct replay_generations *g, const char *options)
{
	static const char name[] = "threshold";
	const size_t length = sizeof(name) - 1;

	while (options && *options) {
		const char *next = strchr(options, ':');

		if (strncmp(options, name, length) == 0 && options[length] >= '0' && options[length] <= '2' &&
		    options[length + 1] == '=')
			g->threshold[options[length] - '0'] = strtoull(options + length + 2, NULL, 10);
		options = next ? next + 1 : NULL;
	}
}

void passes_init(struct replay *replay)
{
	for (unsigned d = 0; d < CASTAWAY_DOMAIN_COUNT; d++) {
		struct replay_generations *g = &replay->generations[d];

		g->enabled = true;
		memcpy(g->threshold, default_threshold, sizeof(g->threshold));
		read_thresholds(g, replay->trace->options);
	}
	replay->passes_changed = true;
}

void passes_free(struct replay *replay)
{
	for (unsigned d = 0; d < CASTAWAY_DOMAIN_COUNT; d++) {
		free(replay->generations[d].passes);
		free(replay->generations[d].old_passes);
		free(replay->generations[d].full_before);
	}
}

void passes_start_at(struct replay_generations *g, uint64_t number)
{
	if (g->count == 0 && number > g->first && number < UINT32_MAX)
		g->first = number;
}

uint32_t passes_now(const struct replay *replay, enum castaway_domain domain)
{
	const struct replay_generations *g = &replay->generations[domain];

	return (uint32_t)(g->first + g->count);
}

static enum error_code put_pass(struct replay_generations *g, size_t at, const struct replay_pass *pass)
{
	struct replay_pass *passes = array_reserve(g->passes, &g->capacity, at + 1, sizeof(*passes));

	if (!passes)
		return ERROR_MEMORY;
	g->passes = passes;
	while (g->count <= at)
		passes[g->count++] = (struct replay_pass){0};
	passes[at] = *pass;
	return ERROR_NONE;
}

void passes_count_object(struct replay *replay, bool born)
{
	int64_t *counter = &replay->generations[CASTAWAY_DOMAIN_OBJECTS].counter[0];

	if (born)
		++*counter;
	else if (*counter > 0)
		--*counter;
}

/* A birth that starts a pass is recorded behind it, and is not counted again. */
static void reset_counters(struct replay_generations *g, unsigned generation)
{
	bool by_birth = g->enabled && g->threshold[0] && g->counter[0] >= 0 &&
			(uint64_t)g->counter[0] >= g->threshold[0];

	for (unsigned i = 0; i <= generation; i++)
		g->counter[i] = 0;
	if (generation < 2)
		g->counter[generation + 1]++;
	if (by_birth)
		g->counter[0] = -1;
}

enum error_code passes_add(struct replay *replay, const struct event *event)
{
	uint64_t domain = event->field[0], number = event->field[1], generation = event->field[2];
	struct replay_generations *g;
	struct replay_pass pass = {.generation = (uint8_t)generation,
				   .examined = event->field[3],
				   .promoted = event->field[4],
				   .ticks = event->ticks};

	if (domain >= CASTAWAY_DOMAIN_COUNT || generation > 2) {
		replay->bad_events++;
		return ERROR_NONE;
	}
	g = &replay->generations[domain];
	if (replay->inherited)
		passes_start_at(g, number);
	/* Passes that threads recorded at nearly the same time may come in the
	 * wrong order; a number that is taken already is damage. */
	if (number < g->first || number - g->first > g->count + MAX_GAP || number >= UINT32_MAX - 1 ||
	    (number - g->first < g->count && g->passes[number - g->first].ticks != 0)) {
		replay->bad_events++;
		return ERROR_NONE;
	}
	replay->passes_changed = true;
	reset_counters(g, (unsigned)generation);
	return put_pass(g, (size_t)(number - g->first), &pass);
}

static enum error_code finish_domain(struct replay_generations *g)
{
	uint32_t full = 0;
	uint32_t *full_before =
		array_reserve(g->full_before, &g->full_capacity, g->count + 1, sizeof(*full_before));
	uint32_t *old = array_reserve(g->old_passes, &g->old_capacity, g->count + 1, sizeof(*old));

	if (full_before)
		g->full_before = full_before;
	if (old)
		g->old_passes = old;
	if (!full_before || !old)
		return ERROR_MEMORY;
	g->old_count = 0;
	for (size_t i = 0; i < g->count; i++) {
		full_before[i] = full;
		if (g->passes[i].generation >= 1)
			old[g->old_count++] = (uint32_t)i;
		full += g->passes[i].generation == 2;
	}
	full_before[g->count] = full;
	return ERROR_NONE;
}

enum error_code passes_finish(struct replay *replay)
{
	enum error_code code = ERROR_NONE;

	if (!replay->passes_changed)
		return ERROR_NONE;
	replay->passes_changed = false;
	for (unsigned d = 0; code == ERROR_NONE && d < CASTAWAY_DOMAIN_COUNT; d++)
		code = finish_domain(&replay->generations[d]);
	return code;
}

/* Index in old_passes of the first pass at or after `at` that reached beyond
 * generation 0. */
static size_t first_old(const struct replay_generations *g, size_t at)
{
	size_t low = 0, high = g->old_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (g->old_passes[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

unsigned replay_generation_of(const struct replay_generations *g, uint32_t birth_pass, uint32_t *survived)
{
	/* Of passes before the first recorded one it is only known that there
	 * were some. */
	bool earlier = birth_pass < g->first;
	size_t at = earlier ? 0 : (size_t)(birth_pass - g->first);
	uint32_t passes = earlier;
	unsigned generation = earlier;
	size_t old;

	if (at < g->count) {
		old = first_old(g, at);
		if (old == g->old_count || g->old_passes[old] > at) {
			passes = 1; /* its first one, of generation 0 */
			generation = 1;
		}
		if (old < g->old_count) {
			passes += 1 + g->full_before[g->count] - g->full_before[g->old_passes[old] + 1];
			generation = 2;
		}
	}
	if (survived)
		*survived = passes;
	return generation;
}

/* Both domains have one collector, which is on or off, and its thresholds. */
void passes_control(struct replay *replay, const struct event *event)
{
	uint64_t control = event->field[0];

	for (unsigned d = 0; d < CASTAWAY_DOMAIN_COUNT; d++) {
		struct replay_generations *g = &replay->generations[d];

		if (control == CASTAWAY_GC_ENABLE || control == CASTAWAY_GC_DISABLE)
			g->enabled = control == CASTAWAY_GC_ENABLE;
		if (control == CASTAWAY_GC_THRESHOLD)
			memcpy(g->threshold, &event->field[1], sizeof(g->threshold));
	}
	if (control == CASTAWAY_GC_FREEZE) {
		memset(replay->generations[CASTAWAY_DOMAIN_OBJECTS].counter, 0,
		       sizeof(replay->generations[CASTAWAY_DOMAIN_OBJECTS].counter));
		replay->frozen_until = event->index + 1;
	} else if (control == CASTAWAY_GC_UNFREEZE) {
		if (replay->frozen_until > replay->thawed_until)
			replay->thawed_until = replay->frozen_until;
		replay->frozen_until = 0;
		replay->unfrozen = true;
	}
	replay->freeze_changed |= control == CASTAWAY_GC_FREEZE || control == CASTAWAY_GC_UNFREEZE;
}
