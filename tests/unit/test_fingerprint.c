/* SPDX-License-Identifier: Apache-2.0
 *
 * Fingerprints: equal for equal shapes whatever the order, addresses, ids and
 * lines, different for anything that a person would call another structure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "fingerprint.h"
#include "hand_graph.h"

static uint64_t fingerprint(struct hand *h)
{
	struct fingerprint *f;
	uint64_t hash = 0;
	uint32_t *member = malloc((h->graph.node_count + 1u) * sizeof(*member));

	assert_non_null(member);
	for (uint32_t i = 0; i < h->graph.node_count; i++)
		member[i] = i;
	assert_int_equal(fingerprint_new(hand_graph(h), NULL, &f, NULL), ERROR_NONE);
	assert_int_equal(fingerprint_of(f, member, h->graph.node_count, &hash, NULL), ERROR_NONE);
	fingerprint_free(f);
	free(member);
	hand_free(h);
	return hash;
}

enum change {
	NOTHING,
	SHAPE,     /* one more edge */
	DUPLICATE, /* an edge twice */
	FIELD,     /* another name of a field */
	DIRECTION, /* an edge the other way round */
	STRENGTH,  /* a strong edge is weak */
	TYPE,
	RUNTIME,
	FUNCTION,
	FILE_NAME,
	CHANGES,
	/* These make no difference. */
	LINE,
	FOLDER,
	ADDRESS,
	COUNT,
	STRING_IDS,
	HARMLESS_END,
};

/* A ring of four with a chord; `at` says where in the graph each of its nodes
 * is. */
static struct hand *ring(const uint32_t at[4], enum change change)
{
	struct hand *h = hand_new(4);
	uint32_t type;

	if (change == STRING_IDS)
		hand_string(h, "something else first");
	type = hand_string(h, change == TYPE ? "Other" : "Owner");
	h->graph.node[at[0]].type = type;
	h->graph.node[at[0]].stack = hand_site(h, change == FUNCTION ? "make" : "create",
					       change == FOLDER      ? "/tmp/src/owner.py"
					       : change == FILE_NAME ? "/src/other.py"
								     : "/src/owner.py",
					       change == LINE ? 20 : 10);
	if (change == RUNTIME)
		h->graph.node[at[1]].runtime = CASTAWAY_RUNTIME_CPYTHON;
	for (uint32_t i = 0; i < 4 && change == ADDRESS; i++)
		h->graph.node[i].address = 0x7f0000000000 + 4096 * i;
	for (uint32_t i = 0; i < 4; i++) {
		enum castaway_strength strength =
			change == STRENGTH && i == 2 ? CASTAWAY_WEAK : CASTAWAY_STRONG;
		uint32_t from = at[i], to = at[(i + 1) % 4];

		if (change == DIRECTION && i == 2) {
			from = to;
			to = at[i];
		}
		hand_edge_as(h, from, to, strength, change == FIELD && i == 3 ? "parent" : "next");
	}
	hand_edge(h, at[0], at[2]);
	if (change == SHAPE)
		hand_edge(h, at[1], at[3]);
	if (change == DUPLICATE)
		hand_edge(h, at[0], at[2]);
	if (change == COUNT)
		hand_hold(h, at[3], 5);
	return h;
}

static const uint32_t in_order[4] = {0, 1, 2, 3};

static void test_order(void **state)
{
	uint64_t expected = fingerprint(ring(in_order, NOTHING));
	unsigned tried = 0;

	for (uint32_t p = 0; p < 256; p++) {
		const uint32_t at[4] = {p & 3, p >> 2 & 3, p >> 4 & 3, p >> 6};

		if ((1u << at[0] | 1u << at[1] | 1u << at[2] | 1u << at[3]) != 15)
			continue;
		assert_true(fingerprint(ring(at, NOTHING)) == expected);
		tried++;
	}
	assert_int_equal(tried, 24);
}

static void test_differences(void **state)
{
	uint64_t seen[CHANGES];

	for (int change = 0; change < CHANGES; change++) {
		seen[change] = fingerprint(ring(in_order, (enum change)change));
		for (int other = 0; other < change; other++)
			assert_true(seen[other] != seen[change]);
	}
}

static void test_harmless(void **state)
{
	uint64_t expected = fingerprint(ring(in_order, NOTHING));

	for (int change = LINE; change < HARMLESS_END; change++)
		assert_true(fingerprint(ring(in_order, (enum change)change)) == expected);
}

/* Edges that leave the component do not count, nor does what is beyond. */
static void test_surroundings(void **state)
{
	uint32_t member[2] = {1, 2};
	uint64_t hash[2];

	for (unsigned i = 0; i < 2; i++) {
		struct hand *h = hand_new(4);
		struct fingerprint *f;

		hand_edge(h, 1, 2);
		hand_edge(h, 2, 1);
		if (i == 1) {
			hand_edge(h, 0, 1);
			hand_edge(h, 2, 3);
		}
		assert_int_equal(fingerprint_new(hand_graph(h), NULL, &f, NULL), ERROR_NONE);
		assert_int_equal(fingerprint_of(f, member, 2, &hash[i], NULL), ERROR_NONE);
		fingerprint_free(f);
		hand_free(h);
	}
	assert_true(hash[0] == hash[1]);
}

/* Rings that differ only in where two marked members are: neighbours alone do
 * not tell them apart, several rounds do. */
static struct hand *marked_ring(uint32_t nodes, uint32_t distance, uint32_t start)
{
	struct hand *h = hand_new(nodes);
	uint32_t type = hand_string(h, "Mark");

	for (uint32_t i = 0; i < nodes; i++)
		hand_edge_as(h, i, (i + 1) % nodes, CASTAWAY_STRONG, "next");
	h->graph.node[start].type = type;
	h->graph.node[(start + distance) % nodes].type = type;
	return h;
}

static void test_distance(void **state)
{
	uint64_t four = fingerprint(marked_ring(12, 4, 0));

	assert_true(fingerprint(marked_ring(12, 4, 7)) == four);
	assert_true(fingerprint(marked_ring(12, 5, 0)) != four);
	assert_true(fingerprint(marked_ring(12, 6, 0)) != four);
	assert_true(fingerprint(marked_ring(13, 4, 0)) != four);
}

/* Where the memory of a recycled object first came from is chance. */
static void test_recycled_sites(void **state)
{
	uint64_t hash[3];

	for (unsigned i = 0; i < 3; i++) {
		struct hand *h = hand_new(2);

		hand_edge(h, 0, 1);
		hand_edge(h, 1, 0);
		h->graph.node[0].stack = hand_site(h, i ? "other" : "make", "tree.py", 3);
		if (i < 2)
			h->graph.node[0].flags |= GRAPH_NODE_RECYCLED;
		hash[i] = fingerprint(h);
	}
	assert_true(hash[0] == hash[1]);
	assert_true(hash[1] != hash[2]);
}

static void test_random_permutations(void **state)
{
	uint64_t seed = 5;

	for (unsigned round = 0; round < 2000; round++) {
		uint32_t n = 2 + (uint32_t)(hand_random(&seed) % 10), at[12];
		struct hand *a = hand_new(n), *b = hand_new(n);

		for (uint32_t i = 0; i < n; i++)
			at[i] = i;
		for (uint32_t i = n; i-- > 1;) {
			uint32_t j = (uint32_t)(hand_random(&seed) % (i + 1)), swap = at[i];

			at[i] = at[j];
			at[j] = swap;
		}
		for (uint32_t e = 0; e < 2 * n; e++) {
			uint32_t from = (uint32_t)(hand_random(&seed) % n);
			uint32_t to = (uint32_t)(hand_random(&seed) % n);
			const char *field = hand_random(&seed) % 2 ? "left" : "right";

			hand_edge_as(a, from, to, CASTAWAY_STRONG, field);
			hand_edge_as(b, at[from], at[to], CASTAWAY_STRONG, field);
		}
		assert_true(fingerprint(a) == fingerprint(b));
	}
}

/* Values are kept in baseline files: they must not change unnoticed. */
static void test_stable_over_versions(void **state)
{
	struct hand *h = hand_new(2);

	hand_edge_as(h, 0, 1, CASTAWAY_STRONG, "child");
	hand_edge_as(h, 1, 0, CASTAWAY_STRONG, "parent");
	assert_int_equal(fingerprint(h), UINT64_C(0x653c23b4718bea21));
}

static void test_million(void **state)
{
	struct hand *h = marked_ring(1000000, 1, 0);
	clock_t start = clock();
	uint64_t first = fingerprint(h);

	assert_true(clock() - start < 2 * CLOCKS_PER_SEC);
	assert_true(fingerprint(marked_ring(1000000, 1, 500000)) == first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_differences),
		cmocka_unit_test(test_harmless),
		cmocka_unit_test(test_surroundings),
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_recycled_sites),
		cmocka_unit_test(test_random_permutations),
		cmocka_unit_test(test_stable_over_versions),
		cmocka_unit_test(test_million),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
