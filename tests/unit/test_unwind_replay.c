/* SPDX-License-Identifier: Apache-2.0
 *
 * The replayed stacks against libc's backtrace(), which reads the same frame
 * information in its own way: in random walks up and down the stack, after
 * jumps, in threads, and where the stack is not the thread's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <alloca.h>
#include <cmocka.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "preload/unwind_replay.h"
#include "preload_stub.h"
#include "unwind_stub.h"

#define DEPTH     512u
#define FRAME     __attribute__((noinline))
#define KEEP_CALL __asm__ volatile("" ::: "memory") /* what follows a call keeps it from being a jump */

/* ---- capturing --------------------------------------------------------------- */

static struct unwind_replay *s_replay;

struct captured {
	bool known;
	uint32_t node;
	size_t count, wanted_count;
	uintptr_t pcs[DEPTH];
	void *wanted[DEPTH];
};

/* As a hook does. */
static FRAME void capture_with(struct unwind_replay *replay, struct captured *ret)
{
	const struct stack_start start = STACK_START();
	void *frames[DEPTH + 1];
	struct unwind_replay_stack found;
	int first = 0, count = backtrace(frames, DEPTH + 1);

	while (first < count && (uintptr_t)frames[first] != start.pc)
		first++;
	ret->wanted_count = (size_t)(count - first);
	memcpy(ret->wanted, frames + first, ret->wanted_count * sizeof(*frames));
	found = unwind_replay_capture(replay, &start);
	ret->node = found.node;
	ret->known = ret->node != 0;
	ret->count = ret->known ? unwind_replay_last(replay, ret->node, ret->pcs, DEPTH) : 0;
	assert_int_equal(found.frames, ret->count);
}

/* The node is the stack, too. */
static void check_node(const struct captured *captured)
{
	struct stack_tree_node node = {.parent = captured->node};

	for (size_t i = 0; i < captured->count; i++) {
		stack_tree_get(node.parent, &node);
		assert_int_equal(node.address, captured->pcs[i]);
	}
	assert_int_equal(node.parent, 0);
}

static size_t s_compared;

static void check_same(const struct captured *captured)
{
	assert_true(captured->known);
	assert_int_equal(captured->count, captured->wanted_count);
	for (size_t i = 0; i < captured->count; i++)
		assert_int_equal(captured->pcs[i], (uintptr_t)captured->wanted[i]);
	check_node(captured);
	s_compared++;
}

static FRAME uint32_t capture(void)
{
	static __thread struct captured s_captured;

	capture_with(s_replay, &s_captured);
	check_same(&s_captured);
	return s_captured.node;
}

/* ---- a walk up and down ---------------------------------------------------------- */

static uint64_t s_random = 88172645463325252u;

static unsigned draw(unsigned limit)
{
	s_random ^= s_random << 13;
	s_random ^= s_random >> 7;
	s_random ^= s_random << 17;
	return (unsigned)(s_random % limit);
}

static void wander(unsigned depth);

static FRAME void plain(unsigned depth)
{
	wander(depth);
	KEEP_CALL;
}

/* Its frame is found by the frame pointer only. */
static FRAME void with_alloca(unsigned depth)
{
	volatile char *room = alloca(16 + draw(500));

	room[0] = (char)depth;
	wander(depth);
	room[1] = room[0];
}

static FRAME void with_pointer(unsigned depth) __attribute__((optimize("no-omit-frame-pointer")));
static FRAME void with_pointer(unsigned depth)
{
	wander(depth);
	KEEP_CALL;
}

static FRAME void large(unsigned depth)
{
	volatile char room[3000];

	room[depth] = 1;
	wander(depth);
	room[0] = room[depth];
}

/* Saves registers, rbp among them, and uses them for something else. */
static FRAME void busy(unsigned depth) __attribute__((optimize("O2,omit-frame-pointer")));
static FRAME void busy(unsigned depth)
{
	__asm__ volatile("xor %%ebp, %%ebp" ::: "rbx", "r12", "r13", "r14", "r15", "memory", "rbp");
	wander(depth);
	KEEP_CALL;
}

static FRAME void wander(unsigned depth)
{
	static void (*const k_ways[])(unsigned depth) = {plain, with_alloca, with_pointer, large, busy};

	for (unsigned times = draw(3); times > 0; times--) {
		capture();
		if (depth < 60)
			k_ways[draw(5)](depth + 1);
	}
	capture();
}

static void test_random_walks(void **state)
{
	s_compared = 0;
	while (s_compared < 30000)
		wander(0);
}

/* ---- single cases ------------------------------------------------------------------ */

static FRAME uint32_t from_here(unsigned depth)
{
	uint32_t node = depth > 0 ? from_here(depth - 1) : capture();

	KEEP_CALL;
	return node;
}

/* ---- the same few ways, again and again ------------------------------------------- */

static FRAME void way_plain(void)
{
	capture();
	KEEP_CALL;
}

static FRAME void way_pointer(void) __attribute__((optimize("no-omit-frame-pointer")));
static FRAME void way_pointer(void)
{
	way_plain();
	KEEP_CALL;
}

/* What it finds in rbp is its caller's, and it hands on something else. */
static FRAME void way_busy(void) __attribute__((optimize("O2,omit-frame-pointer")));
static FRAME void way_busy(void)
{
	__asm__ volatile("xor %%ebp, %%ebp" ::: "rbx", "r12", "memory", "rbp");
	way_pointer();
	KEEP_CALL;
}

static FRAME void way_alloca(unsigned room)
{
	volatile char *bytes = alloca(16 + room);

	bytes[0] = 1;
	way_busy();
	bytes[1] = bytes[0];
}

static FRAME void all_ways(unsigned round)
{
	way_plain();
	way_pointer();
	way_busy();
	way_alloca(round % 3 * 64);
	KEEP_CALL;
}

/* Frames alike but for where they are called from, and what they keep in rbp. */
static FRAME void trunk(unsigned round, unsigned depth) __attribute__((optimize("O2,omit-frame-pointer")));
static FRAME void trunk(unsigned round, unsigned depth)
{
	__asm__ volatile("mov %0, %%ebp" ::"r"(round) : "rbx", "r12", "rbp");
	if (depth == 0) {
		all_ways(round);
	} else if (round % 2) {
		trunk(round / 2, depth - 1);
		__asm__ volatile("nop"); /* another place to come back to */
	} else {
		trunk(round / 2, depth - 1);
	}
	KEEP_CALL;
}

static FRAME void trunk_alloca(unsigned round)
{
	volatile char *bytes = alloca(16 + round % 5 * 16);

	bytes[0] = 1;
	trunk(round, 3);
	bytes[1] = bytes[0];
}

static void test_same_ways(void **state)
{
	size_t before = s_compared;

	for (unsigned round = 0; round < 600; round++) {
		all_ways(round);
		trunk(round / 4, 4);
		trunk_alloca(round / 8);
	}
	assert_int_equal(s_compared - before, 600 * 3 * 4);
}

static void test_same_stack_same_node(void **state)
{
	uint32_t nodes[2];

	/* volatile: a loop that is unrolled has two calls, and two stacks. */
	for (volatile unsigned i = 0; i < 2; i++)
		nodes[i] = from_here(5);
	assert_int_equal(nodes[0], nodes[1]);
	assert_int_not_equal(from_here(4), nodes[0]);
}

/* All that is remembered is looked up again, and is found to be the same. */
static void test_modules_changed(void **state)
{
	uint32_t nodes[3];

	for (volatile unsigned i = 0; i < 3; i++) {
		nodes[i] = from_here(5);
		g_unwind_stub_epoch++;
	}
	assert_int_equal(nodes[0], nodes[1]);
	assert_int_equal(nodes[0], nodes[2]);
}

static jmp_buf s_back;

static FRAME void jump_from(unsigned depth)
{
	if (depth > 0)
		jump_from(depth - 1);
	capture();
	if (depth == 0)
		longjmp(s_back, 1);
}

static void test_longjmp(void **state)
{
	for (volatile unsigned i = 0; i < 20; i++) {
		if (setjmp(s_back) == 0)
			jump_from(i);
		capture();
	}
}

static void *thread_main(void *arg)
{
	s_replay = unwind_replay_new(DEPTH);
	assert_non_null(s_replay);
	for (unsigned depth = 0; depth < 10; depth++)
		from_here(depth);
	return NULL;
}

static void test_thread(void **state)
{
	struct unwind_replay *own = s_replay;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, thread_main, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	s_replay = own;
	capture();
}

static ucontext_t s_main, s_coroutine;
static struct captured s_elsewhere;

static FRAME void coroutine(void)
{
	capture_with(s_replay, &s_elsewhere);
	KEEP_CALL;
}

/* Left to others; and what is known of the own stack stays. */
static void test_coroutine(void **state)
{
	static _Alignas(16) char s_stack[128 << 10];
	uint32_t before = from_here(3);

	assert_int_equal(getcontext(&s_coroutine), 0);
	s_coroutine.uc_stack.ss_sp = s_stack;
	s_coroutine.uc_stack.ss_size = sizeof(s_stack);
	s_coroutine.uc_link = &s_main;
	makecontext(&s_coroutine, coroutine, 0);
	assert_int_equal(swapcontext(&s_main, &s_coroutine), 0);
	assert_false(s_elsewhere.known);
	assert_int_not_equal(from_here(3), 0);
	assert_int_not_equal(before, 0);
}

#define LARGE ((size_t)6 << 30)
static char *s_large;

static void *large_main(void *arg)
{
	ucontext_t here, far;

	s_replay = unwind_replay_new(DEPTH);
	assert_non_null(s_replay);
	from_here(3);
	assert_int_equal(getcontext(&far), 0);
	far.uc_stack.ss_sp = s_large;
	far.uc_stack.ss_size = 1 << 20;
	far.uc_link = &here;
	makecontext(&far, coroutine, 0);
	s_elsewhere.known = true;
	assert_int_equal(swapcontext(&here, &far), 0);
	assert_false(s_elsewhere.known);
	from_here(3);
	return NULL;
}

/* What is so far from a large stack's end that 32 bits do not tell the distance is not
 * taken for something near. */
static void test_large_stack(void **state)
{
	struct unwind_replay *own = s_replay;
	pthread_attr_t attributes;
	pthread_t thread;

	s_large =
		mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s_large == MAP_FAILED)
		skip();
	assert_int_equal(pthread_attr_init(&attributes), 0);
	assert_int_equal(pthread_attr_setstack(&attributes, s_large, LARGE), 0);
	assert_int_equal(pthread_create(&thread, &attributes, large_main, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attributes);
	munmap(s_large, LARGE);
	s_replay = own;
	capture();
}

static FRAME void on_signal(int signal)
{
	capture_with(s_replay, &s_elsewhere);
	KEEP_CALL;
}

/* A signal's frame is beyond the rules, on the own stack and on another one. */
static void take_signal(int flags)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags}, former;

	s_elsewhere.known = true;
	assert_int_equal(sigaction(SIGUSR1, &action, &former), 0);
	raise(SIGUSR1);
	assert_int_equal(sigaction(SIGUSR1, &former, NULL), 0);
	assert_false(s_elsewhere.known);
	capture();
}

static void test_signals(void **state)
{
	static char s_stack[128 << 10];
	stack_t alternate = {.ss_sp = s_stack, .ss_size = sizeof(s_stack)}, former;

	take_signal(0);
	assert_int_equal(sigaltstack(&alternate, &former), 0);
	take_signal(SA_ONSTACK);
	assert_int_equal(sigaltstack(&former, NULL), 0);
}

static FRAME void deeper(struct unwind_replay *replay, unsigned depth)
{
	if (depth > 0)
		deeper(replay, depth - 1);
	else
		capture_with(replay, &s_elsewhere);
	KEEP_CALL;
}

static void test_too_deep(void **state)
{
	struct unwind_replay *shallow = unwind_replay_new(32);

	deeper(shallow, 5);
	check_same(&s_elsewhere);
	deeper(shallow, 40);
	assert_false(s_elsewhere.known);
	deeper(shallow, 5);
	check_same(&s_elsewhere);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_walks), cmocka_unit_test(test_same_stack_same_node),
		cmocka_unit_test(test_same_ways),    cmocka_unit_test(test_modules_changed),
		cmocka_unit_test(test_longjmp),      cmocka_unit_test(test_thread),
		cmocka_unit_test(test_coroutine),    cmocka_unit_test(test_signals),
		cmocka_unit_test(test_too_deep),     cmocka_unit_test(test_large_stack),
	};

	if (!stack_tree_init())
		return 1;
	s_replay = unwind_replay_new(DEPTH);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
