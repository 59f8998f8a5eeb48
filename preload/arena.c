/* SPDX-License-Identifier: Apache-2.0
 *
 * Bump allocation from mapped regions.  Runs in any thread of the target and in
 * the helper, in signal handlers and fork children; never blocks, never frees.
 */
#include "arena.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "rawio.h"

#define REGION_SIZE (1u << 20)
#define PAGE        4096u
#define ALIGNMENT   16u

struct region {
	size_t used; /* may run past the end: those who overran map a new region */
	uint8_t padding[ALIGNMENT - sizeof(size_t)];
	uint8_t bytes[];
};

static struct region *s_region;
static uint64_t s_mapped;

/* All mappings: the first ones here, the rest in tables of their own, which are
 * never many: one entry is 256 KiB or more as a rule. */
#define TABLE_SIZE  4096u
#define TABLE_COUNT 256u

struct mapping {
	uint64_t start, size;
};

static struct mapping s_first[TABLE_SIZE];
static struct mapping *s_tables[TABLE_COUNT] = {s_first};
static uint32_t s_mappings;

static struct mapping *mapping_at(uint32_t index, bool make)
{
	struct mapping **table, *expected = NULL;
	long address;

	if (index >= TABLE_SIZE * TABLE_COUNT)
		return NULL;
	table = &s_tables[index / TABLE_SIZE];
	if (__atomic_load_n(table, __ATOMIC_ACQUIRE) == NULL && make) {
		address = RAW_CALL(SYS_mmap, 0, sizeof(s_first), PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (address < 0 && address > -(long)PAGE)
			return NULL;
		if (!__atomic_compare_exchange_n(table, &expected, (struct mapping *)address, false,
						 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			(void)RAW_CALL(SYS_munmap, address, sizeof(s_first));
	}
	table = &s_tables[index / TABLE_SIZE];
	return __atomic_load_n(table, __ATOMIC_ACQUIRE) ? &(*table)[index % TABLE_SIZE] : NULL;
}

/* A mapping that finds no entry is only taken for the target's. */
static void remember(uint64_t start, uint64_t size)
{
	struct mapping *mapping = mapping_at(__atomic_fetch_add(&s_mappings, 1, __ATOMIC_RELAXED), true);

	if (mapping == NULL)
		return;
	__atomic_store_n(&mapping->size, size, __ATOMIC_RELAXED);
	__atomic_store_n(&mapping->start, start, __ATOMIC_RELEASE);
}

static void forget(uint64_t start)
{
	for (uint32_t i = __atomic_load_n(&s_mappings, __ATOMIC_ACQUIRE); i-- > 0;) {
		struct mapping *mapping = mapping_at(i, false);

		if (mapping != NULL && __atomic_load_n(&mapping->start, __ATOMIC_ACQUIRE) == start) {
			__atomic_store_n(&mapping->size, 0, __ATOMIC_RELEASE);
			__atomic_store_n(&mapping->start, 0, __ATOMIC_RELEASE);
			return;
		}
	}
}

bool arena_range(size_t index, uint64_t *start, uint64_t *end)
{
	uint32_t count = __atomic_load_n(&s_mappings, __ATOMIC_ACQUIRE);
	uint32_t tables = (count + TABLE_SIZE - 1) / TABLE_SIZE;
	const struct mapping *mapping;

	if (index >= count) {
		/* Then the tables themselves. */
		index = index - count + 1;
		*start = index < tables && index < TABLE_COUNT ? (uintptr_t)s_tables[index] : 0;
		*end = *start ? *start + sizeof(s_first) : 0;
		return index < tables;
	}
	mapping = mapping_at((uint32_t)index, false);
	*start = mapping != NULL ? mapping->start : 0;
	*end = mapping != NULL ? mapping->start + mapping->size : 0;
	return true;
}

static size_t whole_pages(size_t size)
{
	return (size + PAGE - 1) & ~(size_t)(PAGE - 1);
}

static void *map(size_t size, int protection)
{
	const long address =
		RAW_CALL(SYS_mmap, 0, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (address < 0 && address > -(long)PAGE)
		return NULL;
	remember((uint64_t)address, size);
	return (void *)address;
}

void *arena_map(size_t size)
{
	void *pages;

	if (size == 0 || size > SIZE_MAX - PAGE)
		return NULL;
	size = whole_pages(size);
	pages = map(size, PROT_READ | PROT_WRITE);
	if (pages != NULL)
		__atomic_fetch_add(&s_mapped, size, __ATOMIC_RELAXED);
	return pages;
}

/* Kernels that do not know the advice go without. */
static void *map_advised(size_t size, int advice)
{
	void *pages = arena_map(size);

	if (pages != NULL)
		(void)RAW_CALL(SYS_madvise, pages, whole_pages(size), advice);
	return pages;
}

void *arena_map_large(size_t size)
{
	return map_advised(size, MADV_HUGEPAGE);
}

void *arena_map_used(size_t size)
{
	return map_advised(size, MADV_POPULATE_WRITE); /* since 5.14 */
}

void arena_unmap(void *pages, size_t size)
{
	size = whole_pages(size);
	forget((uintptr_t)pages);
	(void)RAW_CALL(SYS_munmap, pages, size);
	__atomic_fetch_sub(&s_mapped, size, __ATOMIC_RELAXED);
}

void *arena_map_once(void **where, size_t size)
{
	void *known = __atomic_load_n(where, __ATOMIC_ACQUIRE);
	void *fresh;

	if (known != NULL)
		return known;
	fresh = arena_map(size);
	if (fresh == NULL)
		return NULL;
	if (__atomic_compare_exchange_n(where, &known, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return fresh;
	arena_unmap(fresh, size);
	return known;
}

void *arena_reserve(size_t size)
{
	struct rlimit limit;

	if (RAW_CALL(SYS_prlimit64, 0, RLIMIT_AS, NULL, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY)
		return NULL;
	return map(whole_pages(size), PROT_NONE);
}

bool arena_commit(void *pages, size_t size)
{
	if (RAW_CALL(SYS_mprotect, pages, size, PROT_READ | PROT_WRITE) != 0)
		return false;
	__atomic_fetch_add(&s_mapped, size, __ATOMIC_RELAXED);
	return true;
}

uint64_t arena_mapped(void)
{
	return __atomic_load_n(&s_mapped, __ATOMIC_RELAXED);
}

/* Replaces the region that was full; whoever loses the race uses the winner's. */
static struct region *new_region(struct region *full)
{
	struct region *region = arena_map(REGION_SIZE);

	if (region == NULL)
		return NULL;
	if (__atomic_compare_exchange_n(&s_region, &full, region, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return region;
	arena_unmap(region, REGION_SIZE);
	return full;
}

void *arena_alloc(size_t size)
{
	struct region *region = __atomic_load_n(&s_region, __ATOMIC_ACQUIRE);
	const size_t room = REGION_SIZE - sizeof(struct region);

	size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (size > room)
		return NULL;
	for (;;) {
		if (region != NULL) {
			size_t at = __atomic_fetch_add(&region->used, size, __ATOMIC_RELAXED);

			if (at <= room - size)
				return region->bytes + at;
		}
		region = new_region(region);
		if (region == NULL)
			return NULL;
	}
}
