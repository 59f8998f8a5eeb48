/* SPDX-License-Identifier: Apache-2.0
 *
 * The stack tree: one node per frame and caller, however many threads ask; old
 * nodes stay apart when a module goes and another takes its addresses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "preload/arena.h"
#include "preload/modules.h"
#include "preload/stack.h"
#include "preload/stack_tree_inline.h"
#include "preload_stub.h"

#define WIDE 3000u

/* Module 1 at [0x10000, 0x20000) of epoch 1, module 2 there from epoch 2 on. */
static uint32_t s_epoch = 1;
static uint32_t s_nodes[4][WIDE];

uint32_t modules_epoch(void)
{
	return s_epoch;
}

uint32_t modules_find(uintptr_t pc, uintptr_t *load_bias)
{
	uint32_t number = pc >= 0x10000 && pc < 0x20000 ? s_epoch : 0;

	*load_bias = number ? number * 0x1000 : 0;
	return number;
}

uintptr_t modules_bias(uint32_t tag)
{
	return tag >= CASTAWAY_FRAME_MODULE0 ? (tag - CASTAWAY_FRAME_MODULE0) * 0x1000 : 0;
}

bool modules_discover(uintptr_t pc)
{
	return false;
}

static void test_frames(void **state)
{
	struct stack_tree_node node;
	uint32_t bottom = stack_tree_native(0, 0x12345), top = stack_tree_native(bottom, 0x500);
	uint32_t script = stack_tree_script(top, 7, 8, 9);

	assert_int_equal(stack_tree_native(0, 0x12345), bottom);
	assert_int_equal(stack_tree_native(bottom, 0x500), top);
	assert_int_equal(stack_tree_script(top, 7, 8, 9), script);
	assert_int_not_equal(stack_tree_native(0, 0x500), top);
	assert_int_not_equal(stack_tree_script(top, 7, 8, 10), script);
	assert_int_not_equal(stack_tree_script(top, 8, 7, 9), script);
	/* A script frame and a native one with the same bits. */
	assert_int_not_equal(stack_tree_native(top, UINT64_C(7) << 32 | 8), script);
	assert_true(bottom < top && top < script && script <= stack_tree_count());

	stack_tree_get(bottom, &node);
	assert_int_equal(node.parent, 0);
	assert_int_equal(node.tag, CASTAWAY_FRAME_MODULE0 + 1);
	assert_int_equal(node.address, 0x12345 - 0x1000);
	stack_tree_get(top, &node);
	assert_int_equal(node.parent, bottom);
	assert_int_equal(node.tag, CASTAWAY_FRAME_RAW);
	assert_int_equal(node.address, 0x500);
	stack_tree_get(script, &node);
	assert_int_equal(node.parent, top);
	assert_int_equal(node.tag, CASTAWAY_FRAME_SCRIPT);
	assert_int_equal(node.function, 7);
	assert_int_equal(node.file, 8);
	assert_int_equal(node.line, 9);
}

static void test_module_gone(void **state)
{
	struct stack_tree_node node;
	uint32_t raw = stack_tree_native(0, 0x600), old = stack_tree_native(0, 0x11000), new;

	s_epoch = 2;
	new = stack_tree_native(0, 0x11000);
	assert_int_not_equal(new, old);
	assert_int_equal(stack_tree_native(0, 0x11000), new);
	/* What is in no module is still the same. */
	assert_int_equal(stack_tree_native(0, 0x600), raw);
	stack_tree_get(old, &node);
	assert_int_equal(node.tag, CASTAWAY_FRAME_MODULE0 + 1);
	assert_int_equal(node.address, 0x10000);
	stack_tree_get(new, &node);
	assert_int_equal(node.tag, CASTAWAY_FRAME_MODULE0 + 2);
	assert_int_equal(node.address, 0xf000);
}

/* Every thread builds the same frames, in an order of its own; the writer's
 * count and void marks run against them. */
static void build(unsigned index)
{
	uint32_t parent = stack_tree_native(0, 0x15000);

	for (uint32_t i = 0; i < WIDE; i++) {
		uint32_t which = (i * (2 * index + 1) + index * 700) % WIDE;
		uint32_t middle = stack_tree_native(parent, 0x100000 + which / 5 * 8);

		s_nodes[index][which] = stack_tree_script(middle, which, 1, 1);
		if (i % 16 == 0)
			stack_tree_count();
	}
}

static void test_threads(void **state)
{
	struct stack_tree_node node;

	/* 1, 3, 5 and 7 times i: 3000 has the factors 3 and 5, so thread 1 and 2 leave
	 * some out, which the main thread then adds. */
	stub_run_threads(4, build);
	for (uint32_t i = 0; i < WIDE; i++) {
		uint32_t middle = stack_tree_native(stack_tree_native(0, 0x15000), 0x100000 + i / 5 * 8);
		uint32_t expected = stack_tree_script(middle, i, 1, 1);

		for (unsigned t = 0; t < 4; t++)
			if (s_nodes[t][i])
				assert_int_equal(s_nodes[t][i], expected);
		assert_int_equal(s_nodes[0][i], expected);
		assert_int_equal(s_nodes[3][i], expected);
		stack_tree_get(expected, &node);
		assert_int_equal(node.parent, middle);
		assert_int_equal(node.function, i);
	}
}

static void test_parents_first(void **state)
{
	struct stack_tree_node node;

	for (uint32_t i = 1; i <= stack_tree_count(); i++) {
		stack_tree_get(i, &node);
		assert_true(node.parent < i);
	}
}

/* All of it twice: with the nodes in one piece, and in a process whose address space is
 * limited, where they are not. */
static void test_place(void **state)
{
	struct rlimit limit;
	const struct stack_tree_entry *first = stack_tree_at(0);

	assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
	assert_int_equal(stack_tree_at(70000) == first + 70000, limit.rlim_cur == RLIM_INFINITY);
}

/* Enough for a second segment. */
static void test_many(void **state)
{
	uint32_t node = 0;

	for (uintptr_t i = 1; i <= POOL_SEGMENT_RECORDS + 100; i++)
		node = stack_tree_native(node, 0x100000 + i * 16);
	for (uintptr_t i = POOL_SEGMENT_RECORDS + 100; i > 0; i--) {
		struct stack_tree_node ret;

		stack_tree_get(node, &ret);
		assert_int_equal(ret.address, 0x100000 + i * 16);
		node = ret.parent;
	}
	assert_int_equal(node, 0);
}

int main(void)
{
	const struct rlimit limit = {(rlim_t)1 << 60, RLIM_INFINITY};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),  cmocka_unit_test(test_module_gone),
		cmocka_unit_test(test_threads), cmocka_unit_test(test_parents_first),
		cmocka_unit_test(test_many),    cmocka_unit_test(test_place),
	};
	const pid_t limited = fork();
	int status = -1;

	if (limited > 0 && (waitpid(limited, &status, 0) != limited || status != 0))
		return 1;
	/* Who runs this reads the results of one. */
	if (limited < 0 || (limited == 0 && (setrlimit(RLIMIT_AS, &limit) != 0 || dup2(2, 1) < 0)) ||
	    !stack_tree_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
