/* SPDX-License-Identifier: Apache-2.0
 *
 * Components against mutual reachability, and their numbering.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "hand_graph.h"
#include "scc.h"

static void run(const struct graph *graph, const uint8_t *state, uint32_t wanted, struct scc *scc)
{
	assert_int_equal(scc_run(graph, GRAPH_OWNING, state, wanted, scc, NULL), ERROR_NONE);
}

static void test_figure_eight(void **state)
{
	struct hand *h = hand_new(6);
	struct scc scc;

	/* 0-1 and 1-2 share node 1; 3 hangs below; 4 leads in; 5 is alone. */
	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	hand_edge(h, 1, 2);
	hand_edge(h, 2, 1);
	hand_edge(h, 2, 3);
	hand_edge(h, 4, 0);
	run(hand_graph(h), NULL, 0, &scc);
	assert_int_equal(scc.count, 4);
	assert_int_equal(scc.component[0], scc.component[1]);
	assert_int_equal(scc.component[1], scc.component[2]);
	assert_true(scc.component[4] > scc.component[0]);
	assert_true(scc.component[0] > scc.component[3]);
	scc_done(&scc);
	hand_free(h);
}

static void test_weak_edges_do_not_connect(void **state)
{
	struct hand *h = hand_new(2);
	struct scc scc;

	hand_edge(h, 0, 1);
	hand_edge_as(h, 1, 0, CASTAWAY_WEAK, "parent");
	run(hand_graph(h), NULL, 0, &scc);
	assert_int_equal(scc.count, 2);
	scc_done(&scc);
	hand_free(h);
}

/* Without node 1 the ring is a chain. */
static void test_subset(void **state)
{
	static const uint8_t states[] = {2, 1, 2, 0};
	struct hand *h = hand_new(4);
	struct scc scc;

	for (uint32_t i = 0; i < 4; i++)
		hand_edge(h, i, (i + 1) % 4);
	run(hand_graph(h), states, 1u << 2 | 1u << 0, &scc);
	assert_int_equal(scc.count, 3);
	assert_int_equal(scc.component[1], GRAPH_NONE);
	assert_true(scc.component[2] > scc.component[3]);
	assert_true(scc.component[3] > scc.component[0]);
	scc_done(&scc);
	run(&h->graph, states, 1u << 7, &scc);
	assert_int_equal(scc.count, 0);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(scc.component[i], GRAPH_NONE);
	scc_done(&scc);
	hand_free(h);
}

static void check_against_closure(const struct graph *graph, const bool *in, const struct scc *scc)
{
	bool reach[144];
	uint32_t n = graph->node_count;

	hand_closure(graph, in, reach);
	for (uint32_t a = 0; a < n; a++) {
		assert_int_equal(scc->component[a] != GRAPH_NONE, in[a]);
		for (uint32_t b = 0; b < n && in[a]; b++) {
			bool mutual = a == b || (reach[a * n + b] && reach[b * n + a]);

			if (!in[b])
				continue;
			assert_int_equal(scc->component[a] == scc->component[b], mutual);
			if (!mutual && reach[a * n + b])
				assert_true(scc->component[a] > scc->component[b]);
		}
	}
}

static void test_random_graphs(void **state)
{
	uint64_t seed = 2;

	for (unsigned i = 0; i < 10000; i++) {
		uint32_t nodes = 1 + (uint32_t)(hand_random(&seed) % 12);
		uint32_t edges = (uint32_t)(hand_random(&seed) % (2 * nodes + 1));
		struct hand *h = hand_new(nodes);
		uint8_t states[12];
		bool in[12];
		struct scc scc;

		for (uint32_t e = 0; e < edges; e++)
			hand_edge(h, (uint32_t)(hand_random(&seed) % nodes),
				  (uint32_t)(hand_random(&seed) % nodes));
		for (uint32_t n = 0; n < nodes; n++) {
			in[n] = hand_random(&seed) % 5 != 0;
			states[n] = in[n];
		}
		run(hand_graph(h), states, 1u << 1, &scc);
		check_against_closure(&h->graph, in, &scc);
		scc_done(&scc);
		hand_free(h);
	}
}

/* One path through a million nodes and back: depth must not be a problem. */
static void test_million(void **state)
{
	uint32_t nodes = 1000000;
	struct hand *h = hand_new(nodes);
	struct scc scc;
	clock_t start;

	for (uint32_t i = 0; i < nodes; i++)
		hand_edge(h, i, (i + 1) % nodes);
	hand_graph(h);
	start = clock();
	run(&h->graph, NULL, 0, &scc);
	assert_true(clock() - start < 2 * CLOCKS_PER_SEC);
	assert_int_equal(scc.count, 1);
	scc_done(&scc);
	h->edge_count--; /* open the ring: a chain, numbered from its end */
	run(hand_graph(h), NULL, 0, &scc);
	assert_int_equal(scc.count, nodes);
	assert_int_equal(scc.component[nodes - 1], 0);
	assert_int_equal(scc.component[0], nodes - 1);
	scc_done(&scc);
	hand_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figure_eight), cmocka_unit_test(test_weak_edges_do_not_connect),
		cmocka_unit_test(test_subset),       cmocka_unit_test(test_random_graphs),
		cmocka_unit_test(test_million),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
