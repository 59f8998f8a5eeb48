/* SPDX-License-Identifier: Apache-2.0
 *
 * Which reference to give up, on drawn graphs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "advice.h"
#include "hand_graph.h"

/* Advice for all nodes of `h` together. */
static struct break_advice advise(struct hand *h)
{
	struct break_advice result;
	struct advice *advice;
	uint32_t member[16];

	assert_true(h->graph.node_count <= 16);
	for (uint32_t i = 0; i < h->graph.node_count; i++)
		member[i] = i;
	assert_int_equal(advice_new(hand_graph(h), NULL, NULL, &advice, NULL), ERROR_NONE);
	assert_int_equal(advice_for(advice, member, h->graph.node_count, GRAPH_OWNING, &result, NULL),
			 ERROR_NONE);
	advice_free(advice);
	return result;
}

static void expect_field(struct hand *h, const char *field, const char *reason)
{
	struct break_advice advice = advise(h);

	assert_true(advice.present);
	assert_string_equal(h->trace.strings[advice.field].text, field);
	assert_string_equal(advice.reason, reason);
	assert_int_equal(graph_field(&h->graph.edge[advice.edge]), advice.field);
	assert_true(advice.edge >= h->graph.first[advice.edge_from]);
	assert_true(advice.edge < h->graph.first[advice.edge_from + 1]);
	hand_free(h);
}

static struct hand *ring_of(const char *const fields[], uint32_t nodes)
{
	struct hand *h = hand_new(nodes);

	for (uint32_t i = 0; i < nodes; i++)
		hand_edge_as(h, i, (i + 1) % nodes, CASTAWAY_STRONG, fields[i]);
	return h;
}

static void test_names(void **state)
{
	static const char *const parent[] = {"child", "m_parent", "next"};
	static const char *const camel[] = {"items", "viewOwner"};
	static const char *const capital[] = {"PREV", "next"};
	static const char *const self[] = {"self"};
	static const char *const both[] = {"prev", "parent"};
	static const char *const part[] = {"transparent", "self_handle"}; /* "parent" is no word of it */

	expect_field(ring_of(parent, 3), "m_parent",
		     "`m_parent` points back to the parent; without it the 3 objects have no cycle");
	expect_field(ring_of(camel, 2), "viewOwner",
		     "`viewOwner` points back to the owner; without it the 2 objects have no cycle");
	expect_field(ring_of(capital, 2), "PREV",
		     "`PREV` points to the previous one; without it the 2 objects have no cycle");
	expect_field(ring_of(self, 1), "self",
		     "`self` refers to the object itself; without it the object has no cycle");
	expect_field(ring_of(both, 2), "parent",
		     "`parent` points back to the parent; without it the 2 objects have no cycle");
	expect_field(ring_of(part, 2), "self_handle",
		     "`self_handle` refers to the object itself; without it the 2 objects have no cycle");
}

/* A name that says "back" does not help when cycles stay. */
static void test_breaking_goes_before_names(void **state)
{
	struct hand *h = hand_new(3);

	hand_edge_as(h, 0, 1, CASTAWAY_STRONG, "left");
	hand_edge_as(h, 1, 0, CASTAWAY_STRONG, "parent");
	hand_edge_as(h, 1, 2, CASTAWAY_STRONG, "right");
	hand_edge_as(h, 2, 0, CASTAWAY_STRONG, "link");
	expect_field(h, "left", "`left` is part of the cycle; without it the 3 objects have no cycle");
}

static void test_no_single_class(void **state)
{
	struct hand *h = hand_new(2);

	hand_edge_as(h, 0, 0, CASTAWAY_STRONG, "a");
	hand_edge_as(h, 1, 1, CASTAWAY_STRONG, "owner");
	hand_edge_as(h, 0, 1, CASTAWAY_STRONG, "b");
	hand_edge_as(h, 1, 0, CASTAWAY_STRONG, "c");
	expect_field(h, "owner", "`owner` points back to the owner; no single field breaks every cycle here");
}

/* All references of one class go together: both prev pointers of a list. */
static void test_class_of_several(void **state)
{
	struct hand *h = hand_new(3);

	for (uint32_t i = 0; i < 2; i++) {
		hand_edge_as(h, i, i + 1, CASTAWAY_STRONG, "next");
		hand_edge_as(h, i + 1, i, CASTAWAY_STRONG, "prev");
	}
	expect_field(h, "prev", "`prev` points to the previous one; without it the 3 objects have no cycle");
}

static void test_younger_to_older(void **state)
{
	static const char *const fields[] = {"a", "b"};
	struct hand *h = ring_of(fields, 2);

	h->graph.node[0].flags |= GRAPH_NODE_BIRTH_KNOWN;
	h->graph.node[1].flags |= GRAPH_NODE_BIRTH_KNOWN;
	h->graph.node[1].birth_pass = 3;
	expect_field(h, "b",
		     "`b` leads from a younger object back to an older one; without it the 2 objects have no "
		     "cycle");
}

static void test_fewer_references(void **state)
{
	struct hand *h = hand_new(2);

	hand_edge_as(h, 0, 1, CASTAWAY_STRONG, "many");
	hand_edge_as(h, 0, 1, CASTAWAY_STRONG, "many");
	hand_edge_as(h, 1, 0, CASTAWAY_STRONG, "one");
	expect_field(h, "one", "`one` is part of the cycle; without it the 2 objects have no cycle");
}

/* Where fields have no names, offsets tell references apart, and types help. */
static void test_without_names(void **state)
{
	struct hand *h = hand_new(2);
	struct break_advice advice;

	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	h->edge[1].edge.field_flags |= CASTAWAY_EDGE_OFFSET;
	h->edge[1].edge.detail = 24;
	h->graph.node[1].birth_pass = 1;
	h->graph.node[0].flags |= GRAPH_NODE_BIRTH_KNOWN;
	h->graph.node[1].flags |= GRAPH_NODE_BIRTH_KNOWN;
	advice = advise(h);
	assert_string_equal(advice.reason,
			    "the reference at offset 24 of `Node` leads from a younger object back to an "
			    "older one; without it the 2 objects have no cycle");
	hand_free(h);

	h = hand_new(2);
	hand_edge(h, 0, 1);
	hand_edge(h, 1, 0);
	h->graph.node[1].type = hand_string(h, "cell");
	advice = advise(h);
	assert_string_equal(advice.reason,
			    "the reference from `cell` to `Node` is captured by a closure; without it the 2 "
			    "objects have no cycle");
	hand_free(h);
}

/* A ring of Python objects: types[i] --fields[i]--> types[i + 1]. */
static void expect_python(const char *const types[], const char *const fields[], uint32_t nodes,
			  const char *action, const char *reason)
{
	struct hand *h = ring_of(fields, nodes);
	struct break_advice advice;

	for (uint32_t i = 0; i < nodes; i++) {
		h->graph.node[i].type = hand_string(h, types[i]);
		h->graph.node[i].runtime = CASTAWAY_RUNTIME_CPYTHON;
	}
	advice = advise(h);
	assert_string_equal(advice.action, action);
	assert_string_equal(advice.reason, reason);
	hand_free(h);
}

/* What cannot be weak is no advice as long as there is another place. */
static void test_python(void **state)
{
	static const char *const bus[] = {"a.View", "a.Bus", "list", "method"};
	static const char *const bus_fields[] = {"bus", "callbacks", "[0]", "__self__"};
	static const char *const own[] = {"a.View", "method"};
	static const char *const own_fields[] = {"on_click", "__self__"};
	static const char *const closure[] = {"function", "tuple", "cell"};
	static const char *const closure_fields[] = {"__closure__", "walk", "cell_contents"};
	static const char *const tree[] = {"dict", "a.Node", "list", "a.Node"};
	static const char *const tree_fields[] = {"parent", "children", "[0]", "__dict__"};
	static const char *const class[] = {"type", "tuple"};
	static const char *const class_fields[] = {"__mro__", "[0]"};

	expect_python(bus, bus_fields, 4, "use weakref.WeakMethod for the items of the `list`",
		      "the `method` in the `list` is a bound method, which keeps its object; without it the "
		      "4 objects have no cycle");
	expect_python(own, own_fields, 2, "use weakref.WeakMethod for `a.View.on_click`",
		      "`on_click` is a bound method, which keeps its object; without it the 2 objects have "
		      "no cycle");
	expect_python(closure, closure_fields, 3, "drop `cell.cell_contents` when it is done with",
		      "`cell_contents` is a variable that a function inside captured; without it the 3 "
		      "objects have no cycle");
	expect_python(tree, tree_fields, 4, "make `dict.parent` weak",
		      "`parent` points back to the parent; without it the 4 objects have no cycle");
	expect_python(class, class_fields, 2, "leave `type.__mro__` alone and make fewer classes at run time",
		      "`__mro__` belongs to a class, which always keeps itself; without it the 2 objects "
		      "have no cycle");
}

/* The items of a container go together, whatever their places. */
static void test_python_items(void **state)
{
	struct hand *h = hand_new(3);
	struct break_advice advice;

	for (uint32_t i = 0; i < 3; i++) {
		h->graph.node[i].runtime = CASTAWAY_RUNTIME_CPYTHON;
		h->graph.node[i].type = hand_string(h, i ? "a.Node" : "list");
	}
	hand_edge_as(h, 0, 1, CASTAWAY_STRONG, "[0]");
	hand_edge_as(h, 0, 2, CASTAWAY_STRONG, "[1]");
	hand_edge_as(h, 1, 0, CASTAWAY_STRONG, "left");
	hand_edge_as(h, 2, 0, CASTAWAY_STRONG, "right");
	advice = advise(h);
	assert_string_equal(advice.action, "make the items of the `list` weak");
	assert_string_equal(advice.reason,
			    "the `a.Node` in the `list` is part of the cycle; without it the 3 "
			    "objects have no cycle");
	hand_free(h);
}

static void test_weak_edges_are_no_advice(void **state)
{
	struct hand *h = hand_new(1);

	hand_edge_as(h, 0, 0, CASTAWAY_WEAK, "parent");
	assert_false(advise(h).present);
	hand_free(h);
}

static void test_long_names(void **state)
{
	char name[400];
	const char *const fields[] = {name};
	struct hand *h;
	struct break_advice advice;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	h = ring_of(fields, 1);
	advice = advise(h);
	assert_true(strlen(advice.reason) < sizeof(advice.reason));
	assert_non_null(strstr(advice.reason, "without it the object has no cycle"));
	hand_free(h);
}

/* A large component and more classes than are looked at. */
static void test_large(void **state)
{
	enum { NODES = 200000, NAMES = 3000 };
	static char names[NAMES][8];
	struct hand *h = hand_new(NODES);
	uint32_t *member = malloc(NODES * sizeof(*member));
	struct break_advice result;
	struct advice *advice;
	clock_t start;

	assert_non_null(member);
	for (uint32_t i = 0; i < NAMES; i++) {
		names[i][0] = 'f';
		for (unsigned d = 0; d < 4; d++)
			names[i][1 + d] = (char)('0' + i /
							       (d == 0   ? 1000
								: d == 1 ? 100
								: d == 2 ? 10
									 : 1) %
							       10);
	}
	for (uint32_t i = 0; i < NODES; i++) {
		member[i] = i;
		hand_edge_as(h, i, (i + 1) % NODES, CASTAWAY_STRONG, i < NAMES ? names[i] : "next");
	}
	hand_graph(h);
	start = clock();
	assert_int_equal(advice_new(&h->graph, NULL, NULL, &advice, NULL), ERROR_NONE);
	assert_int_equal(advice_for(advice, member, NODES, GRAPH_OWNING, &result, NULL), ERROR_NONE);
	assert_true(clock() - start < 2 * CLOCKS_PER_SEC);
	assert_string_equal(result.reason, "`f0000` is part of the cycle; without it the 200000 objects have "
					   "no cycle");
	advice_free(advice);
	free(member);
	hand_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_breaking_goes_before_names),
		cmocka_unit_test(test_no_single_class),
		cmocka_unit_test(test_class_of_several),
		cmocka_unit_test(test_younger_to_older),
		cmocka_unit_test(test_fewer_references),
		cmocka_unit_test(test_without_names),
		cmocka_unit_test(test_python),
		cmocka_unit_test(test_python_items),
		cmocka_unit_test(test_weak_edges_are_no_advice),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
