/* SPDX-License-Identifier: Apache-2.0
 *
 * Generations: the prefix tables against a collector that is simulated pass by
 * pass, thresholds, and the permanent generation.
 */
#include "replay_fixture.h"

/* CPython 3.11's rule, one pass after the other. */
static unsigned simulate(const unsigned *passes, size_t count, size_t birth, uint32_t *survived)
{
	unsigned generation = 0;

	*survived = 0;
	for (size_t i = birth; i < count; i++) {
		if (passes[i] < generation)
			continue;
		(*survived)++;
		generation = passes[i] == 0 ? 1 : 2;
	}
	return generation;
}

static void test_against_simulation(void **state)
{
	enum { PASSES = 300 };
	unsigned passes[PASSES];
	uint64_t random = 99;
	const struct replay_generations *g;

	(void)state;
	for (uint64_t i = 0; i < PASSES; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		passes[i] = (random >> 33) % 10 < 7 ? 0 : (random >> 40) % 3 == 0 ? 2 : 1;
		builder_event(s_builder, 1, i + 1, PASS, CASTAWAY_DOMAIN_OBJECTS, i, passes[i], i, i / 2);
	}
	for (size_t moment = 0; moment <= PASSES; moment += 50) {
		run_to(moment);
		g = replay_generations(s_replay, CASTAWAY_DOMAIN_OBJECTS);
		assert_int_equal(g->count, moment);
		for (size_t birth = 0; birth <= moment + 1; birth++) {
			uint32_t expected, survived;
			unsigned generation = simulate(passes, moment, birth, &expected);

			assert_int_equal(replay_generation_of(g, (uint32_t)birth, &survived), generation);
			assert_int_equal(survived, expected);
		}
	}
	g = replay_generations(s_replay, CASTAWAY_DOMAIN_OBJECTS);
	assert_int_equal(g->passes[7].examined, 7);
	assert_int_equal(g->passes[7].promoted, 3);
	assert_int_equal(g->passes[7].ticks, 8);
	assert_int_equal(replay_generations(s_replay, CASTAWAY_DOMAIN_BLOCKS)->count, 0);
	assert_int_equal(replay_generation_of(g, 0, NULL), 2);
}

static void test_births_count_passes_of_their_domain(void **state)
{
	struct builder *b = s_builder;

	(void)state;
	builder_event(b, 1, 1, PASS, CASTAWAY_DOMAIN_BLOCKS, 0, 0, 0, 0);
	builder_event(b, 1, 2, PASS, CASTAWAY_DOMAIN_BLOCKS, 1, 0, 0, 0);
	builder_event(b, 1, 3, PASS, CASTAWAY_DOMAIN_OBJECTS, 0, 1, 0, 0);
	builder_event(b, 1, 4, ALLOC, 0x1000, 8, 0);
	builder_event(b, 1, 5, OBJECT, 0x1000, 8, 0, 0);
	run_to(UINT64_MAX);
	assert_int_equal(replay_find_block(s_replay, 0x1000)->birth_pass, 2);
	assert_int_equal(replay_find_object(s_replay, 0x1000)->birth_pass, 1);
}

/* Two threads that pass at nearly the same time, a lost event, nonsense. */
static void test_numbers_out_of_order(void **state)
{
	struct builder *b = s_builder;
	const struct replay_generations *g;

	(void)state;
	builder_event(b, 1, 1, PASS, CASTAWAY_DOMAIN_BLOCKS, 1, 1, 11, 0);
	builder_event(b, 1, 1, PASS, CASTAWAY_DOMAIN_BLOCKS, 0, 0, 10, 0);
	builder_event(b, 1, 2, PASS, CASTAWAY_DOMAIN_BLOCKS, 4, 2, 14, 0);
	builder_event(b, 1, 3, PASS, CASTAWAY_DOMAIN_BLOCKS, 3, 0, 13, 0);
	builder_event(b, 1, 4, PASS, CASTAWAY_DOMAIN_BLOCKS, 3, 0, 99, 0);         /* again */
	builder_event(b, 1, 5, PASS, CASTAWAY_DOMAIN_BLOCKS, UINT32_MAX, 0, 0, 0); /* far away */
	builder_event(b, 1, 6, PASS, CASTAWAY_DOMAIN_BLOCKS, 5, 3, 0, 0);          /* no such generation */
	builder_event(b, 1, 7, PASS, CASTAWAY_DOMAIN_COUNT, 0, 0, 0, 0);           /* no such domain */
	run_to(UINT64_MAX);
	g = replay_generations(s_replay, CASTAWAY_DOMAIN_BLOCKS);
	assert_int_equal(g->first, 0);
	assert_int_equal(g->count, 5);
	assert_int_equal(g->passes[0].examined, 10);
	assert_int_equal(g->passes[1].examined, 11);
	assert_int_equal(g->passes[2].ticks, 0); /* was not recorded */
	assert_int_equal(g->passes[3].examined, 13);
	assert_int_equal(g->passes[4].examined, 14);
	assert_string_equal(s_trace->limits[s_trace->limit_count - 1].detail, "events of impossible values");
	assert_int_equal(s_trace->limits[s_trace->limit_count - 1].count, 4);
}

static void test_control(void **state)
{
	struct builder *b = s_builder;
	const struct replay_generations *g;

	(void)state;
	builder_process(b, CASTAWAY_PROCESS_OPTIONS, "depth=3:threshold1=20:threshold0=500");
	builder_event(b, 1, 1, GC_CONTROL, CASTAWAY_GC_DISABLE, 0, 0, 0);
	builder_event(b, 1, 2, GC_CONTROL, CASTAWAY_GC_THRESHOLD, 7, 8, 9);
	builder_event(b, 1, 3, GC_CONTROL, CASTAWAY_GC_ENABLE, 0, 0, 0);
	run_to(0);
	g = replay_generations(s_replay, CASTAWAY_DOMAIN_OBJECTS);
	assert_true(g->enabled);
	assert_true(g->threshold[0] == 500 && g->threshold[1] == 20 && g->threshold[2] == 10);
	run_to(2);
	assert_false(g->enabled);
	assert_true(g->threshold[0] == 7 && g->threshold[1] == 8 && g->threshold[2] == 9);
	run_to(3);
	assert_true(g->enabled);
}

static void test_freeze(void **state)
{
	struct builder *b = s_builder;
	const struct replay_object *old, *young;

	(void)state;
	builder_event(b, 1, 1, OBJECT, 0x10, 1, 0, 0);
	builder_event(b, 1, 2, GC_CONTROL, CASTAWAY_GC_FREEZE, 0, 0, 0);
	builder_event(b, 1, 3, OBJECT, 0x20, 1, 0, 0);
	builder_event(b, 1, 4, GC_CONTROL, CASTAWAY_GC_UNFREEZE, 0, 0, 0);
	run_to(3);
	old = replay_find_object(s_replay, 0x10);
	young = replay_find_object(s_replay, 0x20);
	assert_true(old->frozen && !old->oldest);
	assert_true(!young->frozen && !young->oldest);
	run_to(4);
	assert_true(!old->frozen && old->oldest);
	assert_true(!young->frozen && !young->oldest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_against_simulation, begin, finish),
		cmocka_unit_test_setup_teardown(test_births_count_passes_of_their_domain, begin, finish),
		cmocka_unit_test_setup_teardown(test_numbers_out_of_order, begin, finish),
		cmocka_unit_test_setup_teardown(test_control, begin, finish),
		cmocka_unit_test_setup_teardown(test_freeze, begin, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
