/* SPDX-License-Identifier: Apache-2.0
 *
 * Replay: blocks, views, and what a trace starts with, by the rules of FORMAT.md.
 */
#include "replay_fixture.h"

static void test_blocks(void **state)
{
	struct builder *b = s_builder;
	uint32_t stack = builder_stack(b, "main", NULL);
	const struct replay_block *block;

	(void)state;
	builder_event(b, 1, 10, ALLOC, 0x1000, 100, stack);
	builder_event(b, 1, 20, ALLOC_MANAGED, 0x2000, 50, 0, CASTAWAY_RUNTIME_CPYTHON);
	builder_event(b, 1, 30, FREE, 0x1000, 0);
	builder_event(b, 1, 40, FREE, 0x1000, 0);      /* twice */
	builder_event(b, 1, 50, ALLOC, 0x2000, 60, 0); /* its end was missed */
	run_to(25);
	assert_int_equal(replay_event_count(s_replay), 2);
	assert_int_equal(replay_now(s_replay), 20);
	assert_int_equal(replay_block_count(s_replay), 2);
	assert_int_equal(replay_block_bytes(s_replay), 150);
	block = replay_find_block(s_replay, 0x1000);
	assert_true(block && block->size == 100 && block->stack == stack && block->thread == 1);
	assert_int_equal(block->birth_ticks, 10);
	assert_int_equal(replay_find_block(s_replay, 0x2000)->runtime, CASTAWAY_RUNTIME_CPYTHON);
	run_to(30);
	assert_null(replay_find_block(s_replay, 0x1000));
	assert_int_equal(replay_block_bytes(s_replay), 50);
	run();
	assert_int_equal(replay_block_count(s_replay), 1);
	assert_int_equal(replay_block_bytes(s_replay), 60);
	assert_int_equal(replay_find_block(s_replay, 0x2000)->runtime, CASTAWAY_RUNTIME_NONE);
	assert_int_equal(limit_count(CASTAWAY_LIMIT_UNKNOWN_FREE), 1);
}

static void test_sorted_views(void **state)
{
	struct builder *b = s_builder;
	struct error error = {0};
	const struct replay_block *const *blocks;
	const struct replay_object *const *objects;
	size_t count;

	(void)state;
	for (uint64_t i = 0; i < 5000; i++) {
		/* A permutation over a wide range: 48271 generates the units mod 2^31 - 1. */
		uint64_t scattered = (i + 1) * 48271 % 2147483647;

		builder_event(b, 1, i, ALLOC, scattered << 16, 16, 0);
		if (i % 3 == 0)
			builder_event(b, 1, i, OBJECT, (scattered << 16) + 1, 8, 0, 0);
	}
	run();
	blocks = replay_blocks(s_replay, &count, &error);
	assert_int_equal(count, 5000);
	for (size_t i = 1; i < count; i++)
		assert_true(blocks[i - 1]->address < blocks[i]->address);
	objects = replay_objects(s_replay, &count, &error);
	assert_int_equal(count, 1667);
	for (size_t i = 1; i < count; i++)
		assert_true(objects[i - 1]->address < objects[i]->address);
	assert_ptr_equal(replay_objects(s_replay, &count, &error), objects);
}

static void test_nothing(void **state)
{
	struct error error = {0};
	size_t count = 1;

	(void)state;
	builder_end(s_builder, CASTAWAY_END_EXIT, 1);
	run();
	assert_null(replay_blocks(s_replay, &count, &error));
	assert_int_equal(count, 0);
	assert_null(replay_objects(s_replay, &count, &error));
	assert_int_equal(replay_event_count(s_replay), 0);
	assert_int_equal(misuse_count(), 0);
}

static void test_failed_realloc(void **state)
{
	struct builder *b = s_builder;

	(void)state;
	builder_event(b, 1, 10, ALLOC, 0x1000, 100, 0);
	builder_event(b, 1, 11, OBJECT, 0x1010, 8, 0, 0);
	builder_event(b, 1, 12, OBJECT, 0x1020, 8, 0, 0);
	builder_event(b, 1, 13, LINK, 0x1010, 0x1020, 0, 0);
	builder_event(b, 1, 20, FREE, 0x1000, 0);
	builder_event(b, 2, 21, ALLOC, 0x9000, 1, 0);
	builder_event(b, 2, 22, FREE, 0x9000, 0);
	builder_event(b, 1, 30, REALLOC_FAILED, 0x1000);
	builder_event(b, 1, 40, FREE, 0x1000, 0);
	builder_event(b, 2, 50, REALLOC_FAILED, 0x1000); /* not the thread that freed it */
	run_to(25);
	assert_int_equal(replay_block_count(s_replay), 0);
	assert_null(replay_find_object(s_replay, 0x1010));
	run_to(30);
	assert_int_equal(replay_find_block(s_replay, 0x1000)->birth_ticks, 10);
	assert_int_equal(replay_block_bytes(s_replay), 100);
	assert_int_equal(object(0x1010)->link_count, 1);
	assert_true(object(0x1010)->links[0].target == 0x1020);
	assert_int_equal(object(0x1020)->birth_ticks, 12);
	run();
	assert_int_equal(replay_block_count(s_replay), 0);
	assert_null(replay_find_object(s_replay, 0x1010));
}

static void test_layouts(void **state)
{
	struct builder *b = s_builder;
	uint32_t one = builder_string(b, "One"), two = builder_string(b, "Two");
	const struct replay_layout *layouts;
	size_t count;

	(void)state;
	builder_event(b, 1, 1, LAYOUT, one, 8, 4, (uint64_t)-1);
	builder_event(b, 1, 2, LAYOUT, two, 0, 8, 0);
	builder_event(b, 1, 3, LAYOUT, one, 16, 4, 1);
	builder_event(b, 1, 4, LAYOUT, two, 0, 9, 0); /* no count is 9 bytes wide */
	run();
	layouts = replay_layouts(s_replay, &count);
	assert_int_equal(count, 2);
	assert_true(layouts[0].type == one && layouts[0].count_offset == 16 && layouts[0].count_bias == 1);
	assert_true(layouts[1].type == two && layouts[1].count_width == 8);
	assert_int_equal(limit_count(CASTAWAY_LIMIT_DAMAGED), 1);
}

/* What a parent left: a block, two of its own objects, one of another runtime. */
static void put_inherited(struct builder *b, uint32_t type, uint32_t field)
{
	uint32_t snapshot = builder_snapshot(b, CASTAWAY_REASON_INHERIT, 5, "");
	const struct snapshot_edge_record edges[] = {
		{.target = 0x2000, .offset = -1, .field = field, .flags = CASTAWAY_STRONG},
		{.target = 0x2000, .offset = -1, .field = field, .flags = CASTAWAY_WEAK},
		{.target = 0x8000, .offset = -1, .field = field}, /* had ended */
	};
	const struct snapshot_object_record first = {.address = 0x1000,
						     .size = 8,
						     .refcount = 4,
						     .type = type,
						     .birth_pass = 9,
						     .edge_count = 3,
						     .runtime = CASTAWAY_RUNTIME_NATIVE};
	const struct snapshot_object_record second = {.address = 0x2000,
						      .refcount = 1,
						      .generation = 3,
						      .birth_pass = 3,
						      .runtime = CASTAWAY_RUNTIME_NATIVE};

	builder_block(b, snapshot,
		      &(struct snapshot_block_record){
			      .address = 0x2000, .size = 64, .birth_pass = 20, .thread = 7});
	builder_object(b, snapshot, &first, edges);
	builder_object(b, snapshot, &second, NULL);
	builder_object(
		b, snapshot,
		&(struct snapshot_object_record){.address = 0x3000, .runtime = CASTAWAY_RUNTIME_CPYTHON},
		NULL);
	builder_snapshot_end(b, snapshot, 6);
}

static void test_inherited_state(void **state)
{
	struct builder *b = s_builder;
	uint32_t type = builder_string(b, "Node");
	const struct replay_object *o;

	(void)state;
	put_inherited(b, type, builder_string(b, "next"));
	builder_event(b, 1, 3, REF, 0x1000, 0); /* earlier: in the snapshot already */
	builder_event(b, 1, 4, FREE, 0x9000, 0);
	builder_event(b, 1, 10, UNREF, 0x1000, 0);
	builder_event(b, 1, 11, PASS, CASTAWAY_DOMAIN_OBJECTS, 12, 0, 2, 2);
	builder_event(b, 1, 12, OBJECT, 0x4000, 8, 0, 0);
	builder_event(b, 1, 13, FREE, 0x2000, 0);
	run_to(12);
	o = object(0x1000);
	assert_int_equal(o->count, 3);
	assert_int_equal(o->type, type);
	assert_int_equal(o->link_count, 2);
	assert_true(o->links[0].weak != o->links[1].weak);
	assert_ptr_equal(replay_link_target(s_replay, &o->links[0]), object(0x2000));
	assert_true(object(0x2000)->frozen && !o->frozen);
	assert_null(replay_find_object(s_replay, 0x3000));
	assert_int_equal(replay_find_block(s_replay, 0x2000)->thread, 7);
	assert_int_equal(replay_generations(s_replay, CASTAWAY_DOMAIN_OBJECTS)->first, 12);
	assert_int_equal(object(0x4000)->birth_pass, 13);
	run();
	assert_null(replay_find_object(s_replay, 0x2000));
	assert_int_equal(limit_count(CASTAWAY_LIMIT_UNKNOWN_FREE), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_blocks, begin, finish),
		cmocka_unit_test_setup_teardown(test_sorted_views, begin, finish),
		cmocka_unit_test_setup_teardown(test_nothing, begin, finish),
		cmocka_unit_test_setup_teardown(test_failed_realloc, begin, finish),
		cmocka_unit_test_setup_teardown(test_layouts, begin, finish),
		cmocka_unit_test_setup_teardown(test_inherited_state, begin, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
