/* SPDX-License-Identifier: Apache-2.0
 *
 * Open addressing by address, grown by halves full.
 */
#include "address_set.h"

#include "../arena.h"

#define FIRST_ROOM (1u << 12)

static size_t slot_of(const struct address_set *set, uintptr_t address)
{
	size_t at = (size_t)((address >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (set->capacity - 1);

	while (set->slots[at] != 0 && set->slots[at] != address)
		at = (at + 1) & (set->capacity - 1);
	return at;
}

bool address_set_has(const struct address_set *set, uintptr_t address)
{
	return set->count > 0 && set->slots[slot_of(set, address)] == address;
}

static bool grow(struct address_set *set)
{
	struct address_set grown = {.capacity = set->capacity ? 2 * set->capacity : FIRST_ROOM,
				    .count = set->count};

	grown.slots = arena_map(grown.capacity * sizeof(*grown.slots));
	if (grown.slots == NULL)
		return false;
	for (size_t i = 0; i < set->capacity; i++) {
		if (set->slots[i] != 0)
			grown.slots[slot_of(&grown, set->slots[i])] = set->slots[i];
	}
	if (set->slots != NULL)
		arena_unmap(set->slots, set->capacity * sizeof(*set->slots));
	*set = grown;
	return true;
}

bool address_set_add(struct address_set *set, uintptr_t address)
{
	size_t at;

	if (2 * (set->count + 1) > set->capacity && !grow(set))
		return false;
	at = slot_of(set, address);
	set->count += set->slots[at] == 0;
	set->slots[at] = address;
	return true;
}

void address_set_clear(struct address_set *set)
{
	if (set->slots != NULL)
		arena_unmap(set->slots, set->capacity * sizeof(*set->slots));
	*set = (struct address_set){0};
}
