/* SPDX-License-Identifier: Apache-2.0
 *
 * The allocator's memory.  Runs in the snapshot child.
 *
 * Mappings do not tell a heap from other memory (neighbouring ones merge), the
 * chunk headers of glibc do: in the word before a block, bit 2 marks an arena
 * of its own, which begins at a multiple of 64 MiB, bit 1 a mapping of its own.
 * Of an allocator that is not glibc's the pages that hold live blocks are left
 * out: they are looked at as blocks.
 * Of a runtime's own allocator (pymalloc) not all blocks are known: only the
 * known ones are left out, and what lies between them are roots.  That may keep
 * a leak from being seen, but invents none.
 */
#include "castaway/format.h"
#include "resolve.h"
#include "roots_internal.h"

#define PAGE       4096u
#define ARENA_SIZE (UINT64_C(64) << 20)
#define IS_MMAPPED 2u
#define NON_MAIN   4u
#define FLAGS      7u

static uint64_t page_down(uint64_t address)
{
	return address & ~(uint64_t)(PAGE - 1);
}

static uint64_t page_up(uint64_t address)
{
	return page_down(address + PAGE - 1);
}

static void exclude_pages(const struct scan_block *block, struct ranges *excluded)
{
	ranges_add(excluded, page_down(block->address),
		   page_up(block->address + (block->size ? block->size : 1)));
}

/* The word before the block is a chunk header only if it fits the block. */
static bool plausible(uint64_t header, const struct scan_block *block)
{
	uint64_t size = header & ~(uint64_t)FLAGS;

	return size % 16 == 0 && size >= 32 && size >= block->size + 8 &&
	       size - block->size < (UINT64_C(1) << 40);
}

static void exclude_block(const struct scan_block *block, const struct maps_entry *entry,
			  struct ranges *excluded)
{
	const uint64_t *words = (const uint64_t *)(uintptr_t)block->address;
	uint64_t header = block->address - 8 >= entry->start ? words[-1] : 0;
	uint64_t arena = block->address & ~(ARENA_SIZE - 1);

	exclude_pages(block, excluded);
	if (!plausible(header, block))
		return;
	if (header & IS_MMAPPED) {
		uint64_t start = block->address - 16;

		ranges_add(excluded, page_down(start), page_up(start + (header & ~(uint64_t)FLAGS)));
	} else if (header & NON_MAIN && arena >= entry->start) {
		uint64_t end = arena + ARENA_SIZE;

		ranges_add(excluded, arena, end < entry->end ? end : entry->end);
	}
}

void roots_exclude_heap(const struct scan_index *index, const struct maps *maps, struct ranges *excluded)
{
	const struct maps_entry *entry = NULL;

	for (size_t i = 0; i < maps->count; i++) {
		if (maps->entries[i].kind == MAPS_HEAP)
			ranges_add(excluded, maps->entries[i].start, maps->entries[i].end);
	}
	for (uint32_t i = 0; i < index->count; i++) {
		const struct scan_block *block = &index->blocks[i];

		if (entry == NULL || block->address >= entry->end)
			entry = maps_find(maps, block->address);
		if (entry == NULL || block->address < entry->start || !entry->readable ||
		    entry->kind == MAPS_HEAP)
			continue;
		if (block->runtime != CASTAWAY_RUNTIME_NONE)
			ranges_add(excluded, block->address, block->address + block->size);
		else if (resolve_malloc_is_libc())
			exclude_block(block, entry, excluded);
		else
			exclude_pages(block, excluded);
	}
}
