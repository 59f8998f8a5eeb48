/* SPDX-License-Identifier: Apache-2.0
 *
 * Replay: annotated objects, their counts and links, and misuse, by the rules
 * of FORMAT.md.
 */
#include "replay_fixture.h"

static void test_counts(void **state)
{
	struct builder *b = s_builder;
	uint32_t type = builder_string(b, "Node"), here = builder_stack(b, "here", NULL);

	(void)state;
	builder_event(b, 1, 1, OBJECT, 0x1000, 24, type, here);
	builder_event(b, 1, 2, REF, 0x1000, 0);
	builder_event(b, 1, 3, REF, 0x1000, 0);
	builder_event(b, 1, 4, UNREF, 0x1000, 0);
	builder_event(b, 1, 5, UNREF, 0x1000, 0);
	builder_event(b, 1, 6, UNREF, 0x1000, 0);
	builder_event(b, 1, 7, UNREF, 0x1000, here);
	builder_event(b, 1, 8, UNREF, 0x1000, here);
	run_to(3);
	assert_int_equal(object(0x1000)->count, 3);
	assert_int_equal(object(0x1000)->type, type);
	assert_int_equal(object(0x1000)->stack, here);
	assert_int_equal(object(0x1000)->size, 24);
	run_to(6);
	assert_int_equal(object(0x1000)->count, 0);
	assert_int_equal(misuse_count(), 0);
	run();
	assert_int_equal(object(0x1000)->count, -2);
	assert_int_equal(misuse_count(), 1);
	assert_misuse(0, REPLAY_BELOW_ZERO, 0x1000, 2);
}

static void test_every_misuse(void **state)
{
	struct builder *b = s_builder;
	uint32_t stack = builder_stack(b, "wrong", NULL), type = builder_string(b, "T");
	const struct replay_misuse *misuses;
	size_t count;

	(void)state;
	builder_event(b, 1, 1, REF, 0x10, stack);
	builder_event(b, 1, 2, UNREF, 0x10, stack);
	builder_event(b, 1, 3, OBJECT_END, 0x10, stack);
	builder_event(b, 1, 4, LINK, 0x10, 0x20, 0, stack);
	builder_event(b, 1, 5, OBJECT, 0x10, 1, type, 0);
	builder_event(b, 1, 6, LINK, 0x10, 0x20, 0, stack); /* of a type: another group */
	builder_event(b, 1, 7, UNLINK, 0x10, 0x30, 0, stack);
	builder_event(b, 1, 8, OBJECT, 0x10, 1, type, stack);
	builder_event(b, 1, 9, REF, 0x11, stack);
	run();
	assert_int_equal(misuse_count(), 7);
	assert_misuse(0, REPLAY_REF_UNKNOWN, 0x10, 2);
	assert_misuse(1, REPLAY_UNREF_UNKNOWN, 0x10, 1);
	assert_misuse(2, REPLAY_END_UNKNOWN, 0x10, 1);
	assert_misuse(3, REPLAY_LINK_UNKNOWN, 0x10, 1);
	assert_misuse(4, REPLAY_LINK_UNKNOWN, 0x20, 1);
	assert_misuse(5, REPLAY_UNLINK_MISSING, 0x10, 1);
	assert_misuse(6, REPLAY_DECLARED_TWICE, 0x10, 1);
	misuses = replay_misuses(s_replay, &count);
	assert_int_equal(misuses[4].type, type);
	assert_int_equal(misuses[4].event, 5);
	assert_int_equal(misuses[4].stack, stack);
	assert_int_equal(misuses[4].ticks, 6);
	assert_int_equal(object(0x10)->link_count, 0); /* its links ended with the first one */
	for (int kind = REPLAY_REF_UNKNOWN; kind <= REPLAY_DECLARED_TWICE; kind++)
		assert_string_not_equal(replay_misuse_text((enum replay_misuse_kind)kind), "unknown");
}

static void test_links(void **state)
{
	struct builder *b = s_builder;
	uint32_t next = builder_string(b, "next"), other = builder_string(b, "other");
	const struct replay_object *owner;

	(void)state;
	builder_event(b, 1, 1, OBJECT, 0x10, 1, 0, 0);
	builder_event(b, 1, 2, OBJECT, 0x20, 1, 0, 0);
	builder_event(b, 1, 3, LINK, 0x10, 0x20, next, 0);
	builder_event(b, 1, 4, LINK, 0x10, 0x20, next, 0); /* twice: two references */
	builder_event(b, 1, 5, WEAK, 0x10, 0x10, other, 0);
	builder_event(b, 1, 6, UNLINK, 0x10, 0x20, next, 0);
	builder_event(b, 1, 7, UNLINK, 0x10, 0x10, other, 0);
	builder_event(b, 1, 8, OBJECT_END, 0x20, 0);
	builder_event(b, 1, 9, OBJECT, 0x20, 2, 0, 0); /* another one in its place */
	builder_event(b, 1, 10, LINK, 0x10, 0x20, other, 0);
	builder_event(b, 1, 11, UNLINK, 0x10, 0x20, next, 0); /* of the dangling one: no misuse */
	run_to(5);
	owner = object(0x10);
	assert_int_equal(owner->link_count, 3);
	assert_int_equal(owner->count, 1);
	assert_true(owner->links[2].weak && !owner->links[1].weak);
	assert_int_equal(owner->links[1].event, 3);
	assert_ptr_equal(replay_link_target(s_replay, &owner->links[0]), object(0x20));
	run_to(9);
	owner = object(0x10);
	assert_int_equal(owner->link_count, 1);
	assert_int_equal(owner->links[0].event, 2);
	assert_null(replay_link_target(s_replay, &owner->links[0]));
	run();
	owner = object(0x10);
	assert_int_equal(owner->link_count, 1);
	assert_int_equal(owner->links[0].field, other);
	assert_ptr_equal(replay_link_target(s_replay, &owner->links[0]), object(0x20));
	assert_int_equal(misuse_count(), 0);
}

/* An owner of many links, among them many equal ones, against a plain count. */
static void test_many_links(void **state)
{
	enum { TARGETS = 40, STEPS = 20000 };
	struct builder *b = s_builder;
	int held[TARGETS] = {0}, total = 0, found[TARGETS] = {0};
	uint64_t random = 12345, missing = 0;
	const struct replay_object *owner;

	(void)state;
	for (uint64_t i = 0; i < TARGETS; i++)
		builder_event(b, 1, i, OBJECT, 0x1000 + 16 * i, 8, 0, 0);
	for (int step = 0; step < STEPS; step++) {
		uint64_t target;

		random = random * 6364136223846793005u + 1442695040888963407u;
		target = (random >> 33) % TARGETS * ((random >> 50) % 2);
		/* Grows to some thousands, then shrinks to little. */
		if ((random >> 40) % 16 < (step < STEPS / 2 ? 11 : 4)) {
			builder_event(b, 1, TARGETS, LINK, 0x1000, 0x1000 + 16 * target, 0, 0);
			held[target]++;
			total++;
		} else {
			builder_event(b, 1, TARGETS, UNLINK, 0x1000, 0x1000 + 16 * target, 0, 0);
			missing += held[target] == 0;
			total -= held[target] > 0;
			held[target] -= held[target] > 0;
		}
	}
	run();
	owner = object(0x1000);
	assert_int_equal(owner->link_count, total);
	for (uint32_t i = 0; i < owner->link_count; i++)
		found[(owner->links[i].target - 0x1000) / 16]++;
	assert_memory_equal(found, held, sizeof(held));
	assert_misuse(0, REPLAY_UNLINK_MISSING, 0x1000, missing);
}

static void test_block_end_ends_objects(void **state)
{
	struct builder *b = s_builder;

	(void)state;
	builder_event(b, 1, 1, ALLOC, 0x1000, 0x20, 0);
	builder_event(b, 1, 2, OBJECT, 0xfff, 1, 0, 0);  /* before it */
	builder_event(b, 1, 3, OBJECT, 0x1000, 1, 0, 0); /* its first byte */
	builder_event(b, 1, 4, OBJECT, 0x101f, 1, 0, 0); /* its last */
	builder_event(b, 1, 5, OBJECT, 0x1020, 1, 0, 0); /* behind it */
	builder_event(b, 1, 6, FREE, 0x1000, 0);
	builder_event(b, 1, 7, ALLOC, 0x100000, (uint64_t)1 << 33, 0); /* large: 8 GiB */
	builder_event(b, 1, 8, OBJECT, 0x100000, 1, 0, 0);
	builder_event(b, 1, 9, OBJECT, 0x4010, 1, 0, 0);
	builder_event(b, 1, 10, OBJECT, 0x50001003, 1, 0, 0);
	builder_event(b, 1, 11, OBJECT, 0x2000fffff, 1, 0, 0);
	builder_event(b, 1, 12, OBJECT, 0x200100000, 1, 0, 0);
	builder_event(b, 1, 13, ALLOC, 0x100000, 8, 0); /* ends it */
	builder_event(b, 1, 14, ALLOC, UINT64_MAX - 15, UINT64_MAX, 0);
	builder_event(b, 1, 15, OBJECT, UINT64_MAX, 1, 0, 0);
	builder_event(b, 1, 16, FREE, UINT64_MAX - 15, 0);
	run_to(6);
	assert_non_null(replay_find_object(s_replay, 0xfff));
	assert_null(replay_find_object(s_replay, 0x1000));
	assert_null(replay_find_object(s_replay, 0x101f));
	assert_non_null(replay_find_object(s_replay, 0x1020));
	run_to(12);
	assert_non_null(replay_find_object(s_replay, 0x50001003));
	run();
	assert_null(replay_find_object(s_replay, 0x100000));
	assert_null(replay_find_object(s_replay, 0x50001003));
	assert_null(replay_find_object(s_replay, 0x2000fffff));
	assert_non_null(replay_find_object(s_replay, 0x200100000));
	assert_non_null(replay_find_object(s_replay, 0x4010));
	assert_null(replay_find_object(s_replay, UINT64_MAX));
	assert_int_equal(misuse_count(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_counts, begin, finish),
		cmocka_unit_test_setup_teardown(test_every_misuse, begin, finish),
		cmocka_unit_test_setup_teardown(test_links, begin, finish),
		cmocka_unit_test_setup_teardown(test_many_links, begin, finish),
		cmocka_unit_test_setup_teardown(test_block_end_ends_objects, begin, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
