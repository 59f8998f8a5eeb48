/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory map, against mappings that the test makes itself.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "preload/arch.h"
#include "preload/maps.h"
#include "preload_stub.h"

#define PAGE 4096u

/* The real one comes with exports that a test program must not have. */
long arch_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	long result = syscall(number, a, b, c, d, e, f);

	return result < 0 ? -errno : result;
}

static int s_data = 1;

static void *map(size_t pages, int protection, int flags)
{
	void *at = mmap(NULL, pages * PAGE, protection, flags, -1, 0);

	assert_true(at != MAP_FAILED);
	return at;
}

static const struct maps_entry *entry_of(const struct maps *maps, const void *address)
{
	const struct maps_entry *entry = maps_find(maps, (uintptr_t)address);

	assert_non_null(entry);
	assert_true(entry->start <= (uintptr_t)address && (uintptr_t)address < entry->end);
	return entry;
}

static void test_kinds(void **state)
{
	char *shared = map(1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
	char *closed = map(1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);
	void *heap = sbrk(0);
	struct maps maps;
	int local;

	assert_int_equal(brk((char *)heap + PAGE), 0);
	assert_true(maps_read(&maps));
	for (size_t i = 1; i < maps.count; i++)
		assert_true(maps.entries[i - 1].end <= maps.entries[i].start);
	assert_int_equal(entry_of(&maps, &local)->kind, MAPS_STACK);
	assert_int_equal(entry_of(&maps, heap)->kind, MAPS_HEAP);
	assert_int_equal(entry_of(&maps, (void *)(uintptr_t)test_kinds)->kind, MAPS_FILE);
	assert_false(entry_of(&maps, (void *)(uintptr_t)test_kinds)->writable);
	assert_true(entry_of(&maps, &s_data)->writable);
	assert_true(entry_of(&maps, shared)->shared);
	assert_false(entry_of(&maps, &local)->shared);
	assert_false(entry_of(&maps, closed)->readable);
	assert_int_equal(entry_of(&maps, closed)->kind, MAPS_ANONYMOUS);
	assert_null(maps_find(&maps, 8));
	assert_null(maps_find(&maps, UINT64_MAX));
	munmap(shared, PAGE);
	munmap(closed, PAGE);
}

static void test_readable(void **state)
{
	char *pages = map(6, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS);
	uintptr_t at = (uintptr_t)pages;
	struct maps maps;

	/* Two entries side by side, then a closed page, then a hole. */
	assert_int_equal(mprotect(pages + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(mprotect(pages + 3 * PAGE, PAGE, PROT_NONE), 0);
	assert_int_equal(munmap(pages + 5 * PAGE, PAGE), 0);
	assert_true(maps_read(&maps));
	assert_true(maps_readable(&maps, at, at + 3 * PAGE));
	assert_true(maps_readable(&maps, at + 100, at + 2 * PAGE + 1));
	assert_true(maps_readable(&maps, at, at));
	assert_false(maps_readable(&maps, at, at + 3 * PAGE + 1));
	assert_true(maps_readable(&maps, at + 4 * PAGE, at + 5 * PAGE));
	assert_false(maps_readable(&maps, at + 4 * PAGE, at + 5 * PAGE + 1));
	munmap(pages, 5 * PAGE);
}

/* More lines than the first table holds. */
static void test_many(void **state)
{
	size_t count = 3000;
	char *pages = map(count, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS);
	struct maps maps;

	for (size_t i = 0; i < count; i += 2)
		assert_int_equal(mprotect(pages + i * PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
	assert_true(maps_read(&maps));
	assert_true(maps.count > count);
	for (size_t i = 1; i + 1 < count; i++) {
		const struct maps_entry *entry = entry_of(&maps, pages + i * PAGE + 7);

		assert_int_equal(entry->start, (uintptr_t)pages + i * PAGE);
		assert_int_equal(entry->writable, i % 2 == 0);
	}
	munmap(pages, count * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_readable),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
