/* SPDX-License-Identifier: Apache-2.0
 *
 * Annotated objects and their links: what the live gc functions answer from,
 * and what a fork child writes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "preload/object.h"
#include "preload/shadow.h"
#include "preload_stub.h"

static struct snapshot_object s_objects[8];
static struct snapshot_edge s_edges[8][4];
static size_t s_edge_counts[8], s_object_count;

void snapshot_object(struct snapshot *snapshot, const struct snapshot_object *object,
		     const struct snapshot_edge *edges, size_t count)
{
	s_objects[s_object_count] = *object;
	for (size_t i = 0; i < count && i < 4; i++)
		s_edges[s_object_count][i] = edges[i];
	s_edge_counts[s_object_count++] = count;
}

static struct thread *self(void)
{
	return &g_stub_threads[0];
}

static void link_to(uintptr_t owner, uintptr_t target, uint32_t field, bool weak)
{
	struct object_link link = {.target = target, .field = field, .stack = field + 100, .weak = weak};

	assert_true(object_link(owner, &link));
}

static void test_counts(void **state)
{
	struct object_view view;

	object_born(self(), 0x1000, 32, 5, 9);
	assert_int_equal(object_count(), 1);
	assert_true(object_count_add(0x1000, 1));
	assert_true(object_find(0x1000, &view));
	assert_int_equal(view.count, 2);
	assert_int_equal(view.size, 32);
	assert_int_equal(view.type, 5);
	assert_int_equal(view.stack, 9);
	assert_true(object_count_add(0x1000, -3));
	assert_true(object_find(0x1000, &view));
	assert_int_equal(view.count, -1);
	assert_false(object_count_add(0x1001, 1));
	assert_false(object_count_add(0x2000, 1));
	assert_true(object_end(self(), 0x1000));
	assert_false(object_end(self(), 0x1000));
	assert_false(object_find(0x1000, &view));
	assert_int_equal(object_count(), 0);
}

/* Objects may begin at any byte: four in one granule, one at its end. */
static void test_granule(void **state)
{
	static const uintptr_t sorted[] = {0x1000, 0x1001, 0x1008, 0x100f, 0x1010};
	static const uintptr_t order[] = {0x1008, 0x1000, 0x1010, 0x100f, 0x1001};
	struct object_view view;
	uintptr_t at = 0;

	for (size_t i = 0; i < 5; i++)
		object_born(self(), order[i], 1, (uint32_t)i, 0);
	for (size_t i = 0; i < 5; i++) {
		assert_true(object_next(at, &view));
		assert_int_equal(view.address, sorted[i]);
		at = view.address + 1;
	}
	assert_false(object_next(at, &view));
	assert_true(object_end(self(), 0x1000));
	assert_true(object_find(0x1001, &view));
	/* [0x1001, 0x100f): 0x100f and 0x1010 live on. */
	object_block_freed(self(), 0x1001, 14);
	assert_int_equal(object_count(), 2);
	object_block_freed(self(), 0x1000, 0x100);
	assert_int_equal(object_count(), 0);
}

static void test_links(void **state)
{
	struct object_link links[4];

	object_born(self(), 0x1000, 16, 1, 0);
	object_born(self(), 0x2000, 16, 1, 0);
	link_to(0x1000, 0x2000, 1, false);
	link_to(0x1000, 0x2000, 1, false);
	link_to(0x1000, 0x3000, 2, true);
	link_to(0x1000, 0x2000, 2, false);
	assert_false(object_link(0x4000, &(struct object_link){.target = 0x2000}));
	assert_true(object_refers_to(0x1000, 0x2000));
	assert_false(object_refers_to(0x2000, 0x1000));
	assert_int_equal(object_links(0x1000, 0, links, 4), 4);
	assert_int_equal(links[0].field, 2);
	assert_int_equal(links[1].target, 0x3000);
	assert_true(links[1].weak);
	assert_int_equal(links[1].stack, 102);
	assert_int_equal(object_links(0x1000, 3, links, 4), 1);

	assert_true(object_unlink(0x1000, 0x2000, 1));
	assert_true(object_unlink(0x1000, 0x2000, 1));
	assert_false(object_unlink(0x1000, 0x2000, 1));
	assert_false(object_unlink(0x2000, 0x1000, 1));
	assert_int_equal(object_links(0x1000, 0, links, 4), 2);
	assert_int_equal(links[0].target, 0x2000);
	assert_int_equal(links[1].target, 0x3000);
	assert_true(object_end(self(), 0x1000));
	assert_int_equal(object_links(0x1000, 0, links, 4), 0);
	/* Born again at the same place: without the old links. */
	object_born(self(), 0x1000, 16, 1, 0);
	assert_false(object_unlink(0x1000, 0x3000, 2));
	object_end(self(), 0x1000);
	object_end(self(), 0x2000);
}

static void test_many_links(void **state)
{
	object_born(self(), 0x1000, 16, 1, 0);
	for (uintptr_t i = 0; i < 100000; i++)
		link_to(0x1000, 0x100000 + i * 16, 1, false);
	for (uintptr_t i = 0; i < 100000; i++)
		assert_true(object_unlink(0x1000, 0x100000 + i * 16, 1));
	assert_false(object_unlink(0x1000, 0x100000, 1));
	object_end(self(), 0x1000);
}

static void test_block_end(void **state)
{
	struct object_view view;

	shadow_insert(self(), 0x5000, 64, 1, 0);
	object_born(self(), 0x5010, 16, 1, 0);
	object_born(self(), 0x5040, 16, 1, 0);
	assert_true(shadow_remove(self(), 0x5000, NULL));
	assert_false(object_find(0x5010, &view));
	assert_true(object_find(0x5040, &view));
	object_end(self(), 0x5040);
}

static void test_layout(void **state)
{
	struct {
		uint32_t name;
		int16_t count;
		int64_t wide;
	} memory = {0, -3, 1000};
	struct object_view view;
	int64_t count = 0;

	object_born(self(), (uintptr_t)&memory, sizeof(memory), 77, 0);
	assert_true(object_find((uintptr_t)&memory, &view));
	assert_false(object_memory_count(&view, &count));
	object_layout_add(&(struct object_layout){.type = 77, .offset = 4, .width = 2, .bias = 10});
	assert_true(object_memory_count(&view, &count));
	assert_int_equal(count, 7);
	object_layout_add(&(struct object_layout){.type = 77, .offset = 8, .width = 8, .bias = 1});
	assert_true(object_memory_count(&view, &count));
	assert_int_equal(count, 1001);
	/* Neither beyond the object, nor of an odd width. */
	object_layout_add(&(struct object_layout){.type = 77, .offset = 16, .width = 4});
	assert_false(object_memory_count(&view, &count));
	object_layout_add(&(struct object_layout){.type = 77, .offset = 0, .width = 3});
	assert_false(object_memory_count(&view, &count));
	object_end(self(), (uintptr_t)&memory);
}

static void test_snapshot(void **state)
{
	struct snapshot snapshot = {0};

	shadow_insert(self(), 0x5000, 64, 1, 0);
	object_born(self(), 0x5010, 16, 3, 4);
	object_born(self(), 0x9000, 16, 3, 4);
	link_to(0x5010, 0x9000, 6, false);
	link_to(0x5010, 0x9008, 7, true);
	generation_freeze(self());
	object_count_add(0x9000, 1);
	object_write_snapshot(&snapshot);
	assert_int_equal(s_object_count, 2);
	assert_int_equal(s_objects[0].address, 0x5010);
	assert_int_equal(s_objects[0].block_offset, 16);
	assert_int_equal(s_objects[0].refcount, 1);
	assert_int_equal(s_objects[0].generation, 3);
	assert_int_equal(s_objects[0].flags, CASTAWAY_OBJECT_TRACKED | CASTAWAY_OBJECT_PERMANENT);
	assert_int_equal(s_edge_counts[0], 2);
	assert_int_equal(s_edges[0][0].target, 0x9008);
	assert_int_equal(s_edges[0][0].strength, CASTAWAY_WEAK);
	assert_int_equal(s_edges[0][1].target, 0x9000);
	assert_int_equal(s_edges[0][1].strength, CASTAWAY_STRONG);
	assert_int_equal(s_edges[0][1].field, 6);
	assert_int_equal(s_edges[0][1].stack, 106);
	assert_int_equal(s_edges[0][1].offset, -1);
	assert_int_equal(s_objects[1].address, 0x9000);
	assert_int_equal(s_objects[1].block_offset, 0);
	assert_int_equal(s_objects[1].refcount, 2);
	assert_int_equal(s_edge_counts[1], 0);
	generation_unfreeze(self());
	object_end(self(), 0x9000);
	shadow_remove(self(), 0x5000, NULL);
	assert_int_equal(object_count(), 0);
}

/* Own objects, one shared one, links between all of them. */
static void stress_body(unsigned index)
{
	struct thread *thread = &g_stub_threads[index];
	uintptr_t own = 0x100000 + index * 8;

	for (uintptr_t i = 0; i < 20000; i++) {
		struct object_link link = {.target = own, .field = index};

		object_born(thread, own + i % 7 * 32, 8, 1, 0);
		object_count_add(0x200000, 1);
		object_link(own + i % 7 * 32, &(struct object_link){.target = 0x200000});
		object_link(0x200000, &link);
		object_unlink(0x200000, own, index);
		object_end(thread, own + i % 7 * 32);
	}
}

static void test_stress(void **state)
{
	struct object_view view;

	object_born(self(), 0x200000, 8, 1, 0);
	stub_run_threads(4, stress_body);
	assert_int_equal(object_count(), 1);
	assert_true(object_find(0x200000, &view));
	assert_int_equal(view.count, 1 + 4 * 20000);
	assert_int_equal(view.links, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),    cmocka_unit_test(test_granule),
		cmocka_unit_test(test_links),     cmocka_unit_test(test_many_links),
		cmocka_unit_test(test_block_end), cmocka_unit_test(test_layout),
		cmocka_unit_test(test_snapshot),  cmocka_unit_test(test_stress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
