/* SPDX-License-Identifier: Apache-2.0
 *
 * Linear probing with backward-shift deletion, so that no tombstones pile up
 * however many blocks come and go.  The seed differs from run to run: keys
 * come from a file that may have been made to collide.
 */
#include "address_table.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BITS   10
#define MAX_BITS     31
#define SEGMENT_BITS 13
#define SEGMENT_SIZE (1u << SEGMENT_BITS)
#define RADIX_BITS   11
#define RADIX_SIZE   (1u << RADIX_BITS)

static uint32_t hash_of(const struct address_table *table, uint64_t key)
{
	key = (key ^ table->seed) * 0x9e3779b97f4a7c15u;
	key = (key ^ (key >> 32)) * 0xd6e8feb86659fd93u;
	return (uint32_t)(key >> 32);
}

static void *record_at(const struct address_table *table, uint32_t number)
{
	return table->segments[number >> SEGMENT_BITS] +
	       (size_t)(number & (SEGMENT_SIZE - 1)) * table->record_size;
}

static void *record_of(const struct address_table *table, uint64_t slot)
{
	return record_at(table, (uint32_t)slot - 1);
}

static size_t home_of(const struct address_table *table, uint64_t slot)
{
	return (size_t)(slot >> (64 - table->bits));
}

static size_t mask_of(const struct address_table *table)
{
	return ((size_t)1 << table->bits) - 1;
}

void address_table_init(struct address_table *table, size_t record_size)
{
	memset(table, 0, sizeof(*table));
	table->record_size = record_size;
	table->seed = (uint64_t)(uintptr_t)table * 0xff51afd7ed558ccdu;
}

void address_table_clear(struct address_table *table)
{
	for (size_t i = 0; i < table->segment_count; i++)
		free(table->segments[i]);
	free(table->segments);
	free(table->slots);
	address_table_init(table, table->record_size);
}

/* The slot of `key`, or SIZE_MAX. */
static size_t find_slot(const struct address_table *table, uint64_t key)
{
	uint32_t hash = hash_of(table, key);
	size_t mask = mask_of(table), at;

	if (!table->slots)
		return SIZE_MAX;
	for (at = hash >> (32 - table->bits); table->slots[at]; at = (at + 1) & mask) {
		uint64_t slot = table->slots[at];

		if (slot >> 32 == hash && *(const uint64_t *)record_of(table, slot) == key)
			return at;
	}
	return SIZE_MAX;
}

void *address_table_find(const struct address_table *table, uint64_t key)
{
	size_t at = find_slot(table, key);

	return at == SIZE_MAX ? NULL : record_of(table, table->slots[at]);
}

void address_table_prefetch_slot(const struct address_table *table, uint64_t key)
{
	if (table->slots)
		__builtin_prefetch(&table->slots[hash_of(table, key) >> (32 - table->bits)]);
}

/* Good enough as a hint: most records are at or next to their home. */
void address_table_prefetch_record(const struct address_table *table, uint64_t key)
{
	uint32_t hash = hash_of(table, key);
	size_t at;

	if (!table->slots)
		return;
	at = hash >> (32 - table->bits);
	for (unsigned tries = 0; tries < 4 && table->slots[at]; tries++) {
		if (table->slots[at] >> 32 == hash) {
			__builtin_prefetch(record_of(table, table->slots[at]));
			return;
		}
		at = (at + 1) & mask_of(table);
	}
}

static void put_slot(uint64_t *slots, unsigned bits, uint64_t slot)
{
	size_t mask = ((size_t)1 << bits) - 1, at = (size_t)(slot >> (64 - bits));

	while (slots[at])
		at = (at + 1) & mask;
	slots[at] = slot;
}

/* Keeps the index at most two thirds full. */
static bool make_room(struct address_table *table)
{
	unsigned bits = table->slots ? table->bits + 1 : FIRST_BITS;
	uint64_t *slots;

	if (table->slots && table->used < ((size_t)2 << table->bits) / 3)
		return true;
	if (bits > MAX_BITS)
		return false;
	slots = calloc((size_t)1 << bits, sizeof(*slots));
	if (!slots)
		return false;
	for (size_t i = 0; table->slots && i <= mask_of(table); i++)
		if (table->slots[i])
			put_slot(slots, bits, table->slots[i]);
	free(table->slots);
	table->slots = slots;
	table->bits = bits;
	return true;
}

static bool add_segment(struct address_table *table)
{
	uint8_t *segment;

	if (table->segment_count == table->segment_capacity) {
		size_t grown = table->segment_capacity ? 2 * table->segment_capacity : 16;
		uint8_t **segments = realloc(table->segments, grown * sizeof(*segments));

		if (!segments)
			return false;
		table->segments = segments;
		table->segment_capacity = grown;
	}
	segment = malloc(SEGMENT_SIZE * table->record_size);
	if (!segment)
		return false;
	table->segments[table->segment_count++] = segment;
	return true;
}

/* Number + 1 of an unused record, 0 when there is no memory.  A free record
 * holds the number + 1 of the next one in place of its key. */
static uint32_t take_record(struct address_table *table)
{
	uint32_t taken = table->free_record;

	if (taken) {
		table->free_record = (uint32_t) * (const uint64_t *)record_at(table, taken - 1);
		return taken;
	}
	if ((table->fresh & (SEGMENT_SIZE - 1)) == 0 && !add_segment(table))
		return 0;
	return ++table->fresh;
}

void *address_table_insert(struct address_table *table, uint64_t key)
{
	uint32_t number;
	void *record;

	if (!make_room(table))
		return NULL;
	number = take_record(table);
	if (!number)
		return NULL;
	record = record_at(table, number - 1);
	memset(record, 0, table->record_size);
	*(uint64_t *)record = key;
	put_slot(table->slots, table->bits, (uint64_t)hash_of(table, key) << 32 | number);
	table->used++;
	return record;
}

/* Moves what was pushed past the hole back towards its home. */
static void close_hole(struct address_table *table, size_t hole)
{
	size_t mask = mask_of(table), at = hole;

	for (;;) {
		uint64_t slot;

		at = (at + 1) & mask;
		slot = table->slots[at];
		if (!slot)
			break;
		if (((at - home_of(table, slot)) & mask) >= ((at - hole) & mask)) {
			table->slots[hole] = slot;
			hole = at;
		}
	}
	table->slots[hole] = 0;
}

void address_table_remove(struct address_table *table, uint64_t key)
{
	size_t at = find_slot(table, key);
	uint32_t number;

	if (at == SIZE_MAX)
		return;
	number = (uint32_t)table->slots[at];
	*(uint64_t *)record_at(table, number - 1) = table->free_record;
	table->free_record = number;
	table->used--;
	close_hole(table, at);
}

void *address_table_next(const struct address_table *table, size_t *position)
{
	while (table->slots && *position <= mask_of(table)) {
		uint64_t slot = table->slots[(*position)++];

		if (slot)
			return record_of(table, slot);
	}
	return NULL;
}

static uint64_t key_of(const void *record)
{
	return *(const uint64_t *)record;
}

/* One pass of the radix sort, from `from` to `to`; false when all keys agree
 * in this digit, and nothing was moved. */
static bool sort_digit(void **from, void **to, size_t count, unsigned shift)
{
	size_t start[RADIX_SIZE] = {0}, sum = 0;

	for (size_t i = 0; i < count; i++)
		start[(key_of(from[i]) >> shift) & (RADIX_SIZE - 1)]++;
	for (size_t i = 0; i < RADIX_SIZE; i++) {
		size_t here = start[i];

		if (here == count)
			return false;
		start[i] = sum;
		sum += here;
	}
	for (size_t i = 0; i < count; i++)
		to[start[(key_of(from[i]) >> shift) & (RADIX_SIZE - 1)]++] = from[i];
	return true;
}

void address_table_sort(const struct address_table *table, void **ret, void **scratch)
{
	size_t position = 0, count = 0;
	void **from = ret, **to = scratch, *record;

	while ((record = address_table_next(table, &position)) != NULL)
		ret[count++] = record;
	for (unsigned shift = 0; count > 0 && shift < 64; shift += RADIX_BITS) {
		if (sort_digit(from, to, count, shift)) {
			void **swap = from;

			from = to;
			to = swap;
		}
	}
	if (from != ret && count > 0)
		memcpy(ret, from, count * sizeof(*ret));
}
