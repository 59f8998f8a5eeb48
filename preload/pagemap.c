/* SPDX-License-Identifier: Apache-2.0
 *
 * The slow paths of the page map: making a level, and walking in order.  Runs
 * in the target's threads under the guard; memory comes from the arena only.
 */
#include "pagemap.h"

#include <stddef.h>

#include "arena.h"
#include "pages.h"
#include "rawio.h"

#define LEAF_SHIFT (PAGEMAP_GRANULE_BITS + PAGEMAP_LEAF_BITS)
#define MID_SHIFT  (LEAF_SHIFT + PAGEMAP_MID_BITS)
#define LEAF_SLOTS (1u << PAGEMAP_LEAF_BITS)
#define MID_SLOTS  (1u << PAGEMAP_MID_BITS)
#define PAGE_SLOTS (PAGES_SIZE / sizeof(uint32_t))
#define LEAF_PAGES (LEAF_SLOTS / PAGE_SLOTS)
_Static_assert(LEAF_PAGES == 64, "a leaf has a bit for each page");
_Static_assert(PAGEMAP_MID_PART * sizeof(void *) == PAGES_SIZE, "a part is a page");

static void announce(struct pagemap_mid *mid, size_t index)
{
	const size_t part = index / PAGEMAP_MID_PART;

	__atomic_fetch_or(&mid->parts[part / 64], UINT64_C(1) << part % 64, __ATOMIC_RELEASE);
}

static bool is_announced(const struct pagemap_mid *mid, size_t index)
{
	const size_t part = index / PAGEMAP_MID_PART;

	return __atomic_load_n(&mid->parts[part / 64], __ATOMIC_ACQUIRE) >> part % 64 & 1;
}

/* The first leaf from this one on, MID_SLOTS when there is none. */
static size_t next_leaf(const struct pagemap_mid *mid, size_t index)
{
	for (; index < MID_SLOTS; index++) {
		if (!is_announced(mid, index))
			index |= PAGEMAP_MID_PART - 1; /* the last of its part */
		else if (__atomic_load_n(&mid->leaves[index], __ATOMIC_ACQUIRE))
			break;
	}
	return index;
}

uint32_t *pagemap_slot(struct pagemap *map, uintptr_t address)
{
	struct pagemap_mid *mid;
	size_t index;
	uint32_t *slot = pagemap_peek(map, address);

	if (slot || address >> PAGEMAP_ADDRESS_BITS)
		return slot;
	mid = arena_map_once((void **)&map->top[address >> MID_SHIFT], sizeof(*mid));
	if (!mid)
		return NULL;
	index = (address >> LEAF_SHIFT) & (MID_SLOTS - 1);
	announce(mid, index); /* first, lest a walk misses what is there */
	if (!arena_map_once((void **)&mid->leaves[index], sizeof(struct pagemap_leaf)))
		return NULL;
	return pagemap_peek(map, address);
}

/* The first used slot in [slot, limit), `limit` when there is none: reads four
 * slots at a time, since most are empty. */
static size_t page_next(const struct pagemap_leaf *leaf, size_t slot, size_t limit, uint32_t *value)
{
	while (slot < limit) {
		if (slot % 4 == 0) {
			const uint64_t *pairs = (const uint64_t *)(const void *)&leaf->slots[slot];

			if (!(__atomic_load_n(&pairs[0], __ATOMIC_RELAXED) |
			      __atomic_load_n(&pairs[1], __ATOMIC_RELAXED))) {
				slot += 4;
				continue;
			}
		}
		*value = __atomic_load_n(&leaf->slots[slot], __ATOMIC_ACQUIRE);
		if (*value)
			return slot;
		slot++;
	}
	return limit;
}

/* Of a leaf, LEAF_SLOTS when there is none. */
static size_t leaf_next(const struct pagemap_walk *walk, size_t slot, size_t limit, uint32_t *value)
{
	while (slot < limit) {
		const size_t page = slot / PAGE_SLOTS;
		const uint64_t exist = walk->exist >> page;
		size_t end = (page + 1) * PAGE_SLOTS, found;

		if (!exist)
			break;
		if (!(exist & 1)) {
			slot = (page + (size_t)__builtin_ctzll(exist)) * PAGE_SLOTS;
			continue;
		}
		end = end < limit ? end : limit;
		found = page_next(walk->leaf, slot, end, value);
		if (found < end)
			return found;
		slot = end;
	}
	return LEAF_SLOTS;
}

/* How many slots of the leaf that holds `at` are before `end`. */
static size_t leaf_limit(uintptr_t at, uintptr_t end)
{
	uintptr_t left = end - (at >> LEAF_SHIFT << LEAF_SHIFT);

	return left >> LEAF_SHIFT ? LEAF_SLOTS : (left + 15) >> PAGEMAP_GRANULE_BITS;
}

void pagemap_walk_begin(struct pagemap_walk *walk, struct pagemap *map)
{
	*walk = (struct pagemap_walk){.map = map, .fd = pages_open()};
}

void pagemap_walk_end(struct pagemap_walk *walk)
{
	if (walk->fd >= 0)
		rawio_close(walk->fd);
	walk->fd = -1;
}

static void enter(struct pagemap_walk *walk, const struct pagemap_leaf *leaf)
{
	if (walk->leaf == leaf)
		return;
	walk->leaf = leaf;
	if (walk->fd < 0 || pages_exist(walk->fd, (uintptr_t)leaf, LEAF_PAGES, &walk->exist) < LEAF_PAGES)
		walk->exist = ~UINT64_C(0);
}

/* The first leaf that may hold what is in [*at, end), and *at moved there if it is
 * further on; NULL when there is none. */
static const struct pagemap_leaf *leaf_from(const struct pagemap *map, uintptr_t *at, uintptr_t end)
{
	while (*at < end) {
		struct pagemap_mid *mid = __atomic_load_n(&map->top[*at >> MID_SHIFT], __ATOMIC_ACQUIRE);
		const size_t index = (*at >> LEAF_SHIFT) & (MID_SLOTS - 1);
		const size_t found = mid ? next_leaf(mid, index) : MID_SLOTS;

		if (found > index)
			*at = ((*at >> MID_SHIFT << PAGEMAP_MID_BITS) + found) << LEAF_SHIFT;
		if (found < MID_SLOTS)
			return *at < end ? __atomic_load_n(&mid->leaves[found], __ATOMIC_ACQUIRE) : NULL;
	}
	return NULL;
}

bool pagemap_walk_next(struct pagemap_walk *walk, uintptr_t *address, uintptr_t end, uint32_t *value)
{
	const struct pagemap_leaf *leaf;
	uintptr_t at = *address;

	if (end > (uintptr_t)1 << PAGEMAP_ADDRESS_BITS)
		end = (uintptr_t)1 << PAGEMAP_ADDRESS_BITS;
	while ((leaf = leaf_from(walk->map, &at, end)) != NULL) {
		const uintptr_t start = at >> LEAF_SHIFT << LEAF_SHIFT;
		size_t slot;

		enter(walk, leaf);
		slot = leaf_next(walk, (at >> PAGEMAP_GRANULE_BITS) & (LEAF_SLOTS - 1), leaf_limit(at, end),
				 value);
		if (slot < LEAF_SLOTS) {
			*address = start + ((uintptr_t)slot << PAGEMAP_GRANULE_BITS);
			return true;
		}
		at = start + ((uintptr_t)1 << LEAF_SHIFT);
	}
	return false;
}

bool pagemap_next(struct pagemap *map, uintptr_t *address, uintptr_t end, uint32_t *value)
{
	struct pagemap_walk walk = {.map = map, .fd = -1};

	return pagemap_walk_next(&walk, address, end, value);
}
