/* SPDX-License-Identifier: Apache-2.0
 *
 * Structures: who is a member, who is entrained by whom, and that nothing that
 * is dead is lost or counted twice.
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
#include "verdict.h"

static void judge(const struct graph *graph, struct verdict_result *result)
{
	struct trial trial;
	struct scc scc;

	assert_int_equal(trial_run(graph, 2, 0, &trial, NULL), ERROR_NONE);
	assert_int_equal(scc_run(graph, GRAPH_OWNING, trial.state, 1u << TRIAL_DEAD, &scc, NULL), ERROR_NONE);
	assert_int_equal(verdict_stranded(graph, &scc, result, NULL), ERROR_NONE);
	scc_done(&scc);
	trial_done(&trial);
}

/* One letter per node: the structure's, capital for members and small for
 * entrained; 0 for the dead without a cycle, - for the living. */
static void write_down(const struct graph *graph, const struct verdict_result *result, char *text)
{
	memset(text, '-', graph->node_count);
	text[graph->node_count] = '\0';
	for (size_t i = 0; i < result->count; i++) {
		const struct structure *s = &result->structures[i];

		for (uint32_t m = 0; m < s->member_count; m++) {
			assert_int_equal(text[s->members[m]], '-');
			text[s->members[m]] = (char)('A' + i);
		}
		for (uint32_t m = 0; m < s->entrained_count; m++) {
			assert_int_equal(text[s->entrained[m]], '-');
			text[s->entrained[m]] = (char)('a' + i);
		}
		assert_int_equal(s->member_bytes, 64 * s->member_count);
		assert_int_equal(s->entrained_bytes, 64 * s->entrained_count);
		assert_int_equal(s->verdict, VERDICT_STRANDED);
	}
	for (uint32_t i = 0; i < result->lone_count; i++) {
		assert_int_equal(text[result->lone[i]], '-');
		text[result->lone[i]] = '0';
	}
}

static void expect(struct hand *h, const char *expected)
{
	struct verdict_result result;
	char text[64];

	judge(hand_graph(h), &result);
	write_down(&h->graph, &result, text);
	assert_string_equal(text, expected);
	verdict_done(&result);
	hand_free(h);
}

static void test_nothing(void **state)
{
	struct hand *h = hand_new(2);

	hand_edge(h, 0, 1);
	hand_hold(h, 0, 1);
	expect(h, "--");
}

static void test_self_loop(void **state)
{
	struct hand *h = hand_new(1);

	hand_edge(h, 0, 0);
	expect(h, "A");
}

static void test_cycle_holding_a_chain(void **state)
{
	struct hand *h = hand_new(5);

	hand_edge(h, 1, 0);
	hand_edge(h, 0, 1);
	hand_edge(h, 1, 2);
	hand_edge(h, 2, 3);
	hand_hold(h, 4, 1);
	expect(h, "AAaa-");
}

static void test_figure_eight(void **state)
{
	struct hand *h = hand_new(3);

	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	hand_edge(h, 1, 2);
	hand_edge(h, 2, 1);
	expect(h, "AAA");
}

/* The first cycle holds the chain and, through it, the second cycle. */
static void test_chain_between_cycles(void **state)
{
	struct hand *h = hand_new(5);

	hand_edge(h, 3, 4);
	hand_edge(h, 4, 3);
	hand_edge(h, 4, 2);
	hand_edge(h, 2, 0);
	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	expect(h, "aaaAA");
}

/* Both reach nodes 4 and 5; 4 is nearer to the second, 5 as near to both. */
static void test_shared_tail(void **state)
{
	struct hand *h = hand_new(7);

	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	hand_edge(h, 2, 3);
	hand_edge(h, 3, 2);
	hand_edge(h, 0, 6);
	hand_edge(h, 6, 4);
	hand_edge(h, 2, 4);
	hand_edge(h, 1, 5);
	hand_edge(h, 3, 5);
	expect(h, "AABBbaa");
}

/* Nodes of count zero are no cycle and have none above them; the cycle that
 * one of them leads to is one nevertheless. */
static void test_count_zero(void **state)
{
	struct hand *h = hand_new(6);

	hand_edge(h, 0, 1); /* 0 has count 0, 1 hangs on it */
	hand_edge(h, 2, 3); /* 2 as well, and leads to a cycle */
	hand_edge(h, 3, 4);
	hand_edge(h, 4, 3);
	hand_edge(h, 4, 5);
	hand_edge(h, 2, 5);
	expect(h, "000AAa");
}

static void test_latent(void **state)
{
	struct hand *h = hand_new(5);
	struct verdict_result result;
	struct scc scc;

	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	hand_edge(h, 1, 2);
	hand_edge(h, 3, 3);
	hand_edge(h, 1, 3);
	hand_edge(h, 3, 4);
	assert_int_equal(scc_run(hand_graph(h), GRAPH_OWNING, NULL, 0, &scc, NULL), ERROR_NONE);
	assert_int_equal(verdict_latent(&h->graph, &scc, &result, NULL), ERROR_NONE);
	assert_int_equal(result.count, 2);
	assert_int_equal(result.structures[0].member_count, 2);
	assert_int_equal(result.structures[0].members[0], 0);
	assert_int_equal(result.structures[0].members[1], 1);
	assert_int_equal(result.structures[1].member_count, 1);
	assert_int_equal(result.structures[1].members[0], 3);
	assert_int_equal(result.structures[0].entrained_count, 0);
	assert_int_equal(result.structures[1].verdict, VERDICT_LATENT);
	verdict_done(&result);
	scc_done(&scc);
	hand_free(h);
}

static void test_names(void **state)
{
	enum verdict verdict;

	assert_string_equal(verdict_name(VERDICT_LIKELY_STRANDED), "likely-stranded");
	for (int v = 0; v < VERDICT_COUNT; v++) {
		assert_true(verdict_parse(verdict_name((enum verdict)v), &verdict));
		assert_int_equal(verdict, v);
	}
	assert_false(verdict_parse("Stranded", &verdict));
	assert_string_equal(verdict_name(VERDICT_COUNT), "unknown");
}

/* The definition, for graphs of which all nodes have a count from somewhere:
 * dead is what no held node reaches; a member is on a cycle that no cycle
 * outside its own component reaches. */
static void check_by_definition(struct hand *h, const char *text)
{
	uint32_t n = h->graph.node_count;
	bool dead[8], reach[64], cyclic[8];

	hand_closure(&h->graph, NULL, reach);
	for (uint32_t i = 0; i < n; i++) {
		dead[i] = h->held[i] == 0;
		cyclic[i] = reach[i * n + i];
		for (uint32_t j = 0; j < n; j++)
			dead[i] &= !(h->held[j] > 0 && reach[j * n + i]);
	}
	for (uint32_t i = 0; i < n; i++) {
		bool member = cyclic[i], caught = false;

		for (uint32_t j = 0; j < n; j++) {
			if (!dead[j] || !cyclic[j] || !reach[j * n + i])
				continue;
			caught = true;
			member &= reach[i * n + j];
		}
		assert_int_equal(text[i] == '-', !dead[i]);
		assert_int_equal(text[i] >= 'A' && text[i] <= 'Z', dead[i] && member);
		assert_int_equal(text[i] >= 'a' && text[i] <= 'z', dead[i] && !member && caught);
		assert_int_equal(text[i] == '0', dead[i] && !caught);
		for (uint32_t j = 0; j < n && text[i] >= 'A' && text[i] <= 'Z'; j++) {
			bool together = i == j || (reach[i * n + j] && reach[j * n + i]);

			assert_int_equal(text[i] == text[j], together);
			if (text[j] == text[i] + ('a' - 'A'))
				assert_true(reach[i * n + j]);
		}
	}
}

static void test_random_graphs(void **state)
{
	uint64_t seed = 4;

	for (unsigned i = 0; i < 20000; i++) {
		uint32_t nodes = 1 + (uint32_t)(hand_random(&seed) % 8);
		uint32_t edges = (uint32_t)(hand_random(&seed) % (2 * nodes + 1));
		struct hand *h = hand_new(nodes);
		struct verdict_result result;
		char text[16];

		for (uint32_t e = 0; e < edges; e++)
			hand_edge_as(h, (uint32_t)(hand_random(&seed) % nodes),
				     (uint32_t)(hand_random(&seed) % nodes),
				     hand_random(&seed) % 8 ? CASTAWAY_STRONG : CASTAWAY_WEAK, NULL);
		for (uint32_t n = 0; n < nodes; n++)
			hand_hold(h, n, hand_random(&seed) % 6 == 0);
		judge(hand_graph(h), &result);
		write_down(&h->graph, &result, text);
		check_by_definition(h, text);
		verdict_done(&result);
		hand_free(h);
	}
}

/* Half a million pairs: each a structure of its own, in order of address. */
static void test_million(void **state)
{
	uint32_t nodes = 1000000;
	struct hand *h = hand_new(nodes);
	struct verdict_result result;
	clock_t start;

	for (uint32_t i = 0; i < nodes / 2; i++) {
		hand_edge(h, i, nodes - 1 - i);
		hand_edge(h, nodes - 1 - i, i);
	}
	hand_graph(h);
	start = clock();
	judge(&h->graph, &result);
	assert_true(clock() - start < 2 * CLOCKS_PER_SEC);
	assert_int_equal(result.count, nodes / 2);
	for (uint32_t i = 0; i < nodes / 2; i++) {
		assert_int_equal(result.structures[i].member_count, 2);
		assert_int_equal(result.structures[i].members[0], i);
		assert_int_equal(result.structures[i].members[1], nodes - 1 - i);
	}
	verdict_done(&result);
	hand_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_self_loop),
		cmocka_unit_test(test_cycle_holding_a_chain),
		cmocka_unit_test(test_figure_eight),
		cmocka_unit_test(test_chain_between_cycles),
		cmocka_unit_test(test_shared_tail),
		cmocka_unit_test(test_count_zero),
		cmocka_unit_test(test_latent),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_random_graphs),
		cmocka_unit_test(test_million),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
