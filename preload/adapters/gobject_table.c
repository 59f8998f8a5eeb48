/* SPDX-License-Identifier: Apache-2.0
 *
 * GHashTable.  Where all its keys, or values, fit into 32 bits, it keeps no more
 * than these: in a program whose heap lies below 4 GiB (one that is not position
 * independent, as python3) its pointers are no words that a scan could find.
 * Runs in the snapshot child.
 */
#include "../stack.h"
#include "gobject.h"

/* struct _GHashTable of ghash.c */
#define TABLE_SIZE   96u
#define TABLE_MASK   12u
#define TABLE_NODES  16u
#define TABLE_BIG    24u /* bits: keys, values */
#define TABLE_KEYS   32u
#define TABLE_HASHES 40u
#define TABLE_VALUES 48u
#define TABLE_HASH   56u
#define SLOTS_MIN    8u
#define SLOTS_MAX    (1u << 28)
#define FIRST_REAL   2u /* smaller hashes: unused, or a tombstone */
#define SMALL_END    (UINT64_C(1) << 32)

static const uint8_t *array(struct gobject_heap *heap, const uint8_t *table, uint32_t field, bool big,
			    uint64_t slots)
{
	uint64_t size = 0;
	const uint8_t *bytes =
		gobject_block_at(heap, gobject_word(table + field), slots * (big ? 8 : 4), &size);

	return bytes != NULL && size == slots * (big ? 8 : 4) ? bytes : NULL;
}

bool gobject_table(struct gobject_heap *heap, uint32_t number, struct gobject_table *ret)
{
	const uint8_t *table = heap->index->blocks[number].size == TABLE_SIZE
				       ? gobject_block(heap, number, TABLE_SIZE)
				       : NULL;
	uint32_t big, slots;
	uintptr_t bias;

	if (table == NULL)
		return false;
	slots = gobject_half(table + TABLE_MASK) + 1;
	big = gobject_half(table + TABLE_BIG);
	/* A power of 2, of which the first word is the number. */
	if (slots < SLOTS_MIN || slots > SLOTS_MAX || (slots & (slots - 1)) != 0 ||
	    gobject_word(table) != slots || gobject_half(table + TABLE_NODES) > slots || big > 3 ||
	    modules_find(gobject_word(table + TABLE_HASH), &bias) == 0)
		return false;
	*ret = (struct gobject_table){
		.keys = array(heap, table, TABLE_KEYS, big & 1, slots),
		.hashes = array(heap, table, TABLE_HASHES, false, slots),
		.slots = slots,
		.key_size = big & 1 ? 8 : 4,
		.value_size = big & 2 ? 8 : 4,
	};
	/* A set keeps its keys only. */
	ret->values = gobject_word(table + TABLE_VALUES) == gobject_word(table + TABLE_KEYS)
			      ? ret->keys
			      : array(heap, table, TABLE_VALUES, big & 2, slots);
	return ret->keys != NULL && ret->hashes != NULL && ret->values != NULL;
}

bool gobject_table_used(const struct gobject_table *table, uint64_t slot)
{
	return gobject_half(table->hashes + 4 * slot) >= FIRST_REAL;
}

static uint64_t entry(const uint8_t *array, uint8_t size, uint64_t slot)
{
	return size == 8 ? gobject_word(array + 8 * slot) : gobject_half(array + 4 * slot);
}

uint64_t gobject_table_key(const struct gobject_table *table, uint64_t slot)
{
	return entry(table->keys, table->key_size, slot);
}

uint64_t gobject_table_value(const struct gobject_table *table, uint64_t slot)
{
	return table->keys == table->values ? gobject_table_key(table, slot)
					    : entry(table->values, table->value_size, slot);
}

/* Two neighbours can look like one pointer; that is none. */
static void borrow_pairs(struct gobject_heap *heap, const uint8_t *array, uint64_t slots)
{
	for (uint64_t i = 0; i < slots; i += 2)
		gobject_pointer(heap, array + 4 * i, CASTAWAY_BORROWED);
}

static void hold_array(struct gobject_heap *heap, uint32_t number, const struct gobject_table *table,
		       const uint8_t *array)
{
	for (uint64_t i = 0; i < table->slots; i++) {
		uint32_t block =
			gobject_table_used(table, i) ? scan_find(heap->index, entry(array, 4, i)) : SCAN_NONE;

		if (block != SCAN_NONE)
			gobject_rule(heap, CASTAWAY_RULE_HOLDS, heap->index->blocks[number].address,
				     heap->index->blocks[block].address);
	}
}

/* The hash of a pointer is the pointer, as a rule. */
void gobject_table_rules(struct gobject_heap *heap, uint32_t number, const struct gobject_table *table,
			 bool keys)
{
	if (heap->index->count == 0 || heap->index->blocks[0].address >= SMALL_END)
		return;
	borrow_pairs(heap, table->hashes, table->slots);
	if (table->key_size == 4) {
		borrow_pairs(heap, table->keys, table->slots);
		if (keys)
			hold_array(heap, number, table, table->keys);
	}
	if (table->value_size == 4 && table->values != table->keys) {
		borrow_pairs(heap, table->values, table->slots);
		hold_array(heap, number, table, table->values);
	}
}
