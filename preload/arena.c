/* SPDX-License-Identifier: Apache-2.0
 *
 * Bump allocation from mapped regions.  Runs in any thread of the target and in
 * the helper, in signal handlers and fork children; never blocks, never frees.
 */
#include "arena.h"

#include <sys/mman.h>
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

void *arena_map(size_t size)
{
	long address;

	if (size == 0 || size > SIZE_MAX - PAGE)
		return NULL;
	size = (size + PAGE - 1) & ~(size_t)(PAGE - 1);
	address = RAW_CALL(SYS_mmap, 0, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (address < 0 && address > -(long)PAGE)
		return NULL;
	__atomic_fetch_add(&s_mapped, size, __ATOMIC_RELAXED);
	return (void *)address;
}

void arena_unmap(void *pages, size_t size)
{
	size = (size + PAGE - 1) & ~(size_t)(PAGE - 1);
	(void)RAW_CALL(SYS_munmap, pages, size);
	__atomic_fetch_sub(&s_mapped, size, __ATOMIC_RELAXED);
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
