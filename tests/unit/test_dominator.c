/* SPDX-License-Identifier: Apache-2.0
 *
 * Dominators against their definition: A dominates B when B cannot be reached
 * once A is taken out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "dominator.h"
#include "hand_graph.h"

static void run(const struct graph *graph, const uint32_t *source, size_t count, struct dominators *ret)
{
	assert_int_equal(dominator_run(graph, GRAPH_OWNING, NULL, 0, source, count, ret, NULL), ERROR_NONE);
}

/* The example of Lengauer and Tarjan's paper, R = 0, A = 1 ... L = 12. */
static void test_paper(void **state)
{
	static const char *const edges[] = {"RA", "RB", "RC", "AD", "BA", "BD", "BE", "CF", "CG", "DL", "EH",
					    "FI", "GI", "GJ", "HE", "HK", "IK", "JI", "KI", "KR", "LH"};
	static const char names[] = "RABCDEFGHIJKL";
	static const char expected[] = "-RRRRRCCRRGRD";
	struct hand *h = hand_new(13);
	struct dominators d;
	uint32_t source = 0;

	for (size_t e = 0; e < sizeof(edges) / sizeof(edges[0]); e++)
		hand_edge(h, (uint32_t)(strchr(names, edges[e][0]) - names),
			  (uint32_t)(strchr(names, edges[e][1]) - names));
	run(hand_graph(h), &source, 1, &d);
	assert_int_equal(d.parent[0], DOMINATOR_ROOT);
	for (uint32_t i = 1; i < 13; i++)
		assert_int_equal(names[d.parent[i]], expected[i]);
	assert_int_equal(d.retained[0], 13 * 64);
	assert_int_equal(d.retained[3], 4 * 64); /* C, F, G, J; I can be reached by K as well */
	dominator_done(&d);
	hand_free(h);
}

static void test_subset_and_unreached(void **state)
{
	static const uint8_t states[] = {1, 1, 0, 1};
	struct hand *h = hand_new(4);
	struct dominators d;
	uint32_t source = 0;

	hand_edge(h, 0, 1);
	hand_edge(h, 1, 2);
	hand_edge(h, 2, 3);
	hand_edge_as(h, 1, 3, CASTAWAY_WEAK, NULL);
	assert_int_equal(dominator_run(hand_graph(h), GRAPH_OWNING, states, 1u << 1, &source, 1, &d, NULL),
			 ERROR_NONE);
	assert_int_equal(d.parent[1], 0);
	assert_int_equal(d.parent[2], GRAPH_NONE);
	assert_int_equal(d.parent[3], GRAPH_NONE);
	assert_int_equal(d.retained[0], 128);
	assert_int_equal(d.retained[3], 0);
	dominator_done(&d);
	hand_free(h);
}

/* Marks what the sources reach without going through `without`. */
static void reach_without(const struct graph *graph, uint32_t sources, uint32_t without, bool *reached)
{
	bool changed = true;

	for (uint32_t i = 0; i < graph->node_count; i++)
		reached[i] = i != without && (sources >> i & 1);
	while (changed) {
		changed = false;
		for (uint32_t i = 0; i < graph->node_count; i++) {
			for (uint32_t e = graph->first[i]; reached[i] && e < graph->first[i + 1]; e++) {
				uint32_t to = graph->edge[e].to;

				if (to != without && !reached[to])
					reached[to] = changed = true;
			}
		}
	}
}

static bool dominates(const struct dominators *d, uint32_t a, uint32_t b)
{
	while (b != DOMINATOR_ROOT && b != a)
		b = d->parent[b];
	return b == a;
}

static void check_by_removal(const struct graph *graph, uint32_t sources, const struct dominators *d)
{
	bool all[10], left[10];

	reach_without(graph, sources, GRAPH_NONE, all);
	for (uint32_t a = 0; a < graph->node_count; a++) {
		uint64_t retained = 0;

		assert_int_equal(d->parent[a] != GRAPH_NONE, all[a]);
		reach_without(graph, sources, a, left);
		for (uint32_t b = 0; b < graph->node_count && all[a]; b++) {
			if (!all[b])
				continue;
			assert_int_equal(dominates(d, a, b), !left[b]);
			retained += left[b] ? 0 : graph->node[b].size;
		}
		assert_int_equal(d->retained[a], retained);
	}
}

static void test_random_graphs(void **state)
{
	uint64_t seed = 3;

	for (unsigned i = 0; i < 10000; i++) {
		uint32_t nodes = 1 + (uint32_t)(hand_random(&seed) % 10);
		uint32_t edges = (uint32_t)(hand_random(&seed) % (2 * nodes + 1)), sources = 0, list[10];
		struct hand *h = hand_new(nodes);
		struct dominators d;
		size_t count = 0;

		for (uint32_t e = 0; e < edges; e++)
			hand_edge(h, (uint32_t)(hand_random(&seed) % nodes),
				  (uint32_t)(hand_random(&seed) % nodes));
		for (uint32_t n = 0; n < nodes; n++) {
			h->graph.node[n].size = 1 + hand_random(&seed) % 100;
			if (hand_random(&seed) % 3 == 0) {
				sources |= 1u << n;
				list[count++] = n;
			}
		}
		run(hand_graph(h), list, count, &d);
		check_by_removal(&h->graph, sources, &d);
		dominator_done(&d);
		hand_free(h);
	}
}

/* A ladder: each step has two ways, so only the left rail dominates. */
static void test_million(void **state)
{
	uint32_t steps = 333333, source = 0;
	struct hand *h = hand_new(3 * steps + 1);
	struct dominators d;
	clock_t start;

	for (uint32_t s = 0; s < steps; s++) {
		uint32_t at = 3 * s;

		hand_edge(h, at, at + 1);
		hand_edge(h, at, at + 2);
		hand_edge(h, at + 1, at + 3);
		hand_edge(h, at + 2, at + 3);
	}
	hand_graph(h);
	start = clock();
	run(&h->graph, &source, 1, &d);
	assert_true(clock() - start < 2 * CLOCKS_PER_SEC);
	for (uint32_t s = 0; s < steps; s++) {
		assert_int_equal(d.parent[3 * s + 3], 3 * s);
		assert_int_equal(d.retained[3 * s + 1], 64);
	}
	assert_int_equal(d.retained[0], 64 * (3 * (uint64_t)steps + 1));
	dominator_done(&d);
	hand_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paper),
		cmocka_unit_test(test_subset_and_unreached),
		cmocka_unit_test(test_random_graphs),
		cmocka_unit_test(test_million),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
