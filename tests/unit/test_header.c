/* SPDX-License-Identifier: Apache-2.0
 *
 * castaway.h where castaway is not preloaded: nothing happens, and every
 * question has the answer that its comment promises.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "castaway/castaway.h"

int header_in_cpp(void);

static int never(void *object, void *arg)
{
	fail();
	return 1;
}

static void test_annotations(void **state)
{
	char object[16], target[16];

	errno = 77;
	castaway_layout("thing", 0, 4, 0);
	castaway_object(object, sizeof(object), "thing");
	castaway_ref(object);
	castaway_link(object, target, "next");
	castaway_weak(object, target, NULL);
	castaway_unlink(object, target, "next");
	castaway_unref(object);
	castaway_object_end(object);
	castaway_object(NULL, 0, NULL);
	assert_int_equal(castaway_active(), 0);
	assert_int_equal(castaway_snapshot("moment"), -1);
	assert_int_equal(errno, 77);
}

static void test_questions(void **state)
{
	struct castaway_gc_stats stats[3] = {{1, 2, 3, 4}};
	size_t numbers[3] = {5, 6, 7};

	castaway_gc_enable();
	assert_int_equal(castaway_gc_isenabled(), 0);
	castaway_gc_disable();
	castaway_gc_set_threshold(1, 2, 3);
	castaway_gc_get_threshold(numbers);
	castaway_gc_get_count(numbers);
	assert_int_equal(numbers[0], 5);
	assert_int_equal(numbers[2], 7);
	castaway_gc_get_stats(stats);
	assert_int_equal(stats[0].live, 4);
	assert_int_equal(castaway_gc_get_objects(-1, never, NULL), 0);
	assert_int_equal(castaway_gc_get_referrers(numbers, never, NULL), 0);
	assert_int_equal(castaway_gc_get_referents(numbers, never, NULL), 0);
	assert_int_equal(castaway_gc_is_tracked(numbers), 0);
	castaway_gc_freeze();
	assert_int_equal(castaway_gc_get_freeze_count(), 0);
	castaway_gc_unfreeze();
	assert_int_equal(castaway_getrefcount(numbers), -1);
}

static void test_cpp(void **state)
{
	assert_int_equal(header_in_cpp(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_annotations),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_cpp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
