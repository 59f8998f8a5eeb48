/* SPDX-License-Identifier: Apache-2.0
 *
 * Trial deletion: drawn graphs, and random ones against the definition.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "hand_graph.h"
#include "trial.h"

/* `expected`: one letter per node, D dead, H held, E external; frees h. */
static void expect_at(struct hand *h, int generation, uint32_t runtimes, const char *expected)
{
	const struct graph *graph = hand_graph(h);
	struct trial trial;
	uint32_t dead = 0;

	assert_int_equal(strlen(expected), graph->node_count);
	assert_int_equal(trial_run(graph, generation, runtimes, &trial, NULL), ERROR_NONE);
	for (uint32_t i = 0; i < graph->node_count; i++) {
		assert_int_equal("EHD"[trial.state[i]], expected[i]);
		dead += expected[i] == 'D';
	}
	assert_int_equal(trial.dead, dead);
	trial_done(&trial);
	hand_free(h);
}

static void expect(struct hand *h, const char *expected)
{
	expect_at(h, 2, 0, expected);
}

static void test_empty(void **state)
{
	expect(hand_new(0), "");
}

static void test_self_loop(void **state)
{
	struct hand *h = hand_new(2);

	hand_edge(h, 0, 0);
	hand_edge(h, 1, 1);
	hand_hold(h, 1, 1);
	expect(h, "DH");
}

static void test_pair_with_chain(void **state)
{
	struct hand *h = hand_new(5);

	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	hand_edge(h, 1, 2);
	hand_edge(h, 2, 3);
	hand_hold(h, 4, 1);
	expect(h, "DDDDH");
}

static void test_held_from_outside(void **state)
{
	struct hand *h = hand_new(4);

	hand_edge(h, 0, 1);
	hand_edge(h, 1, 2);
	hand_edge(h, 2, 0);
	hand_edge(h, 3, 1);
	hand_hold(h, 3, 1);
	expect(h, "HHHH");
}

/* The chain's end is also held by a living object: it stays, the rest goes. */
static void test_shared_tail(void **state)
{
	struct hand *h = hand_new(5);

	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	hand_edge(h, 0, 2);
	hand_edge(h, 2, 3);
	hand_edge(h, 4, 3);
	hand_hold(h, 4, 1);
	expect(h, "DDDHH");
}

static void test_duplicate_edges(void **state)
{
	struct hand *h = hand_new(2);

	hand_edge(h, 0, 1);
	hand_edge(h, 0, 1);
	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	expect(h, "DD");
}

static void test_weak_edge_breaks(void **state)
{
	struct hand *h = hand_new(3);

	/* 1 holds 0 weakly, so 0's count must come from somewhere else. */
	hand_edge(h, 0, 1);
	hand_edge_as(h, 1, 0, CASTAWAY_WEAK, "parent");
	hand_hold(h, 0, 1);
	hand_edge_as(h, 2, 2, CASTAWAY_BORROWED, NULL);
	hand_hold(h, 2, 1);
	expect(h, "HHH");
}

/* A weak reference from a living object does not save a cycle. */
static void test_weak_edge_does_not_hold(void **state)
{
	struct hand *h = hand_new(3);

	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	hand_edge_as(h, 2, 0, CASTAWAY_WEAK, "cache");
	hand_hold(h, 2, 1);
	expect(h, "DDH");
}

static void test_scanned_edge_is_no_proof(void **state)
{
	struct hand *h = hand_new(1);

	hand_edge(h, 0, 0);
	h->edge[0].edge.field_flags |= CASTAWAY_EDGE_SCANNED;
	expect(h, "H"); /* the count is there, but no exact edge explains it */
}

static void test_generations(void **state)
{
	static const char *const expected[] = {"DDEEE", "DDDDE", "DDDDE"};

	for (int limit = 0; limit <= 2; limit++) {
		struct hand *h = hand_new(5);

		hand_edge(h, 0, 1);
		hand_edge(h, 1, 0);
		hand_edge(h, 2, 3);
		hand_edge(h, 3, 2);
		hand_generation(h, 2, 1);
		hand_generation(h, 3, 1);
		hand_edge(h, 4, 4);
		hand_generation(h, 4, 3);
		expect_at(h, limit, 0, expected[limit]);
	}
}

/* References from an older generation count as external. */
static void test_old_generation_holds(void **state)
{
	struct hand *h = hand_new(3);

	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	hand_edge(h, 2, 0);
	hand_edge(h, 2, 2);
	hand_generation(h, 2, 2);
	expect_at(h, 1, 0, "HHE");
}

static void test_permanent_holds(void **state)
{
	struct hand *h = hand_new(3);

	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	hand_edge(h, 2, 1);
	hand_generation(h, 2, 3);
	expect(h, "HHE");
}

static void test_runtimes(void **state)
{
	struct hand *h = hand_new(4);

	for (uint32_t i = 0; i < 4; i += 2) {
		hand_edge(h, i, i + 1);
		hand_edge(h, i + 1, i);
	}
	h->graph.node[2].runtime = h->graph.node[3].runtime = CASTAWAY_RUNTIME_CPYTHON;
	expect_at(h, 2, 1u << CASTAWAY_RUNTIME_CPYTHON, "EEDD");
}

static void test_uncounted_holds(void **state)
{
	struct hand *h = hand_new(2);

	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	h->graph.node[1].flags &= (uint8_t)~GRAPH_NODE_COUNTED;
	expect(h, "HE");
}

static void test_immortal_holds(void **state)
{
	struct hand *h = hand_new(2);

	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	hand_hold(h, 0, INT64_C(1) << 40);
	expect(h, "HH");
}

/* More references than counts: held, counted, and what it owns with it. */
static void test_inexact(void **state)
{
	struct hand *h = hand_new(3);
	struct trial trial;

	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	hand_edge(h, 1, 2);
	hand_hold(h, 0, -1);
	assert_int_equal(trial_run(hand_graph(h), 2, 0, &trial, NULL), ERROR_NONE);
	assert_int_equal(trial.inexact, 1);
	assert_int_equal(trial.dead, 0);
	assert_int_equal(trial.candidates, 3);
	trial_done(&trial);
	hand_free(h);
}

/* The same where the reference too many comes from an old object. */
static void test_uncounted_reference_from_outside(void **state)
{
	struct hand *h = hand_new(2);
	struct trial trial;

	hand_edge(h, 0, 0);
	hand_edge(h, 1, 0);
	hand_generation(h, 1, 2);
	hand_hold(h, 0, -1);
	assert_int_equal(trial_run(hand_graph(h), 1, 0, &trial, NULL), ERROR_NONE);
	assert_int_equal(trial.inexact, 1);
	assert_int_equal(trial.dead, 0);
	trial_done(&trial);
	hand_free(h);
}

static struct hand *random_graph(uint64_t *seed)
{
	uint32_t nodes = 1 + (uint32_t)(hand_random(seed) % 8);
	uint32_t edges = (uint32_t)(hand_random(seed) % (2 * nodes + 1));
	struct hand *h = hand_new(nodes);

	for (uint32_t e = 0; e < edges; e++) {
		uint32_t from = (uint32_t)(hand_random(seed) % nodes);
		uint32_t to = (uint32_t)(hand_random(seed) % nodes);

		hand_edge_as(h, from, to, hand_random(seed) % 6 ? CASTAWAY_STRONG : CASTAWAY_WEAK, NULL);
	}
	for (uint32_t i = 0; i < nodes; i++) {
		if (hand_random(seed) % 4 == 0)
			hand_hold(h, i, 1);
		if (hand_random(seed) % 4 == 0)
			hand_generation(h, i, (unsigned)(hand_random(seed) % 4));
	}
	return h;
}

/* Dead: a candidate that is not held from outside, nor by an edge from what is
 * no candidate, and that no such candidate reaches through candidates. */
static void check_by_definition(struct hand *h, int generation)
{
	const struct graph *graph = hand_graph(h);
	uint32_t n = graph->node_count;
	bool candidate[8], held[8], reach[64];
	struct trial trial;

	for (uint32_t i = 0; i < n; i++) {
		unsigned own = graph->node[i].flags & GRAPH_NODE_GENERATION;

		candidate[i] = own != 3 && (int)own <= generation;
		held[i] = h->held[i] > 0;
	}
	for (uint32_t e = 0; e < h->edge_count; e++) {
		if (!candidate[h->edge[e].from] && graph_owns(&h->edge[e].edge))
			held[h->edge[e].edge.to] = true;
	}
	hand_closure(graph, candidate, reach);
	assert_int_equal(trial_run(graph, generation, 0, &trial, NULL), ERROR_NONE);
	assert_int_equal(trial.inexact, 0);
	for (uint32_t i = 0; i < n; i++) {
		bool alive = held[i];

		for (uint32_t j = 0; j < n; j++)
			alive |= candidate[j] && held[j] && reach[j * n + i];
		assert_int_equal(trial.state[i], !candidate[i] ? TRIAL_EXTERNAL
						 : alive       ? TRIAL_HELD
							       : TRIAL_DEAD);
	}
	trial_done(&trial);
}

static void test_random_graphs(void **state)
{
	uint64_t seed = 1;

	for (unsigned i = 0; i < 20000; i++) {
		struct hand *h = random_graph(&seed);

		check_by_definition(h, (int)(hand_random(&seed) % 3));
		hand_free(h);
	}
}

/* A million objects in pairs, every tenth pair held: well under two seconds. */
static void test_million(void **state)
{
	uint32_t nodes = 1000000;
	struct hand *h = hand_new(nodes);
	struct trial trial;
	clock_t start;

	for (uint32_t i = 0; i < nodes; i += 2) {
		hand_edge(h, i, i + 1);
		hand_edge(h, i + 1, i);
		hand_edge(h, i, (uint32_t)((uint64_t)i * 7919 % nodes) & ~1u);
		if (i % 20 == 0)
			hand_hold(h, i, 1);
	}
	hand_graph(h);
	start = clock();
	assert_int_equal(trial_run(&h->graph, 2, 0, &trial, NULL), ERROR_NONE);
	assert_true(clock() - start < 2 * CLOCKS_PER_SEC);
	/* 7919 and 10^6 have no common factor, so the third kind of edge
	 * permutes the pairs.  A multiple of 20 leads to a multiple of 20, so
	 * a tenth of the pairs is held, and nothing else. */
	assert_int_equal(trial.dead, nodes - nodes / 10);
	trial_done(&trial);
	hand_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_self_loop),
		cmocka_unit_test(test_pair_with_chain),
		cmocka_unit_test(test_held_from_outside),
		cmocka_unit_test(test_shared_tail),
		cmocka_unit_test(test_duplicate_edges),
		cmocka_unit_test(test_weak_edge_breaks),
		cmocka_unit_test(test_weak_edge_does_not_hold),
		cmocka_unit_test(test_scanned_edge_is_no_proof),
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_old_generation_holds),
		cmocka_unit_test(test_permanent_holds),
		cmocka_unit_test(test_runtimes),
		cmocka_unit_test(test_uncounted_holds),
		cmocka_unit_test(test_immortal_holds),
		cmocka_unit_test(test_inexact),
		cmocka_unit_test(test_uncounted_reference_from_outside),
		cmocka_unit_test(test_random_graphs),
		cmocka_unit_test(test_million),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
