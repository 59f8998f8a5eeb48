/* SPDX-License-Identifier: Apache-2.0
 *
 * The rare ways into the table of managed blocks.  Runs in the target's threads
 * with the guard and the runtime's lock held, and as a reader in the snapshot.
 */
#include "managed.h"

#include "hot.h"

HOT struct pagemap g_managed;

void managed_restore(uintptr_t address, uint32_t held)
{
	uint32_t *slot = pagemap_slot(&g_managed, address);

	if (slot)
		__atomic_store_n(slot, held, __ATOMIC_RELAXED);
}

void managed_watch(uintptr_t address)
{
	uint32_t *slot = address & 15 ? NULL : pagemap_slot(&g_managed, address);
	uint32_t held = slot ? __atomic_load_n(slot, __ATOMIC_RELAXED) : 0;

	if (slot)
		__atomic_store_n(slot, (held ? held : MANAGED_ELSEWHERE) | MANAGED_WATCHED, __ATOMIC_RELAXED);
}

static bool describe(uintptr_t address, uint32_t held, struct managed_block *ret)
{
	held &= ~MANAGED_WATCHED;
	if (!managed_is_ordinary(held))
		return false;
	*ret = (struct managed_block){
		.address = address,
		.size = (uint64_t)(held >> MANAGED_SIZE_SHIFT) * 8,
		.stack = held & MANAGED_STACK_MASK,
	};
	return true;
}

bool managed_find(uintptr_t address, struct managed_block *ret)
{
	return !(address & 15) && describe(address, pagemap_get(&g_managed, address), ret);
}

bool managed_next(struct pagemap_walk *walk, uintptr_t address, struct managed_block *ret)
{
	uint32_t held;

	while (pagemap_walk_next(walk, &address, UINTPTR_MAX, &held)) {
		if (describe(address, held, ret))
			return true;
		address += 1u << PAGEMAP_GRANULE_BITS;
	}
	return false;
}

uint64_t managed_count(void)
{
	struct pagemap_walk walk;
	struct managed_block block;
	uint64_t count = 0;

	pagemap_walk_begin(&walk, &g_managed);
	for (uintptr_t at = 0; managed_next(&walk, at, &block);
	     at = block.address + (1u << PAGEMAP_GRANULE_BITS))
		count++;
	pagemap_walk_end(&walk);
	return count;
}
