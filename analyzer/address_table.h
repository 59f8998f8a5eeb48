/* SPDX-License-Identifier: Apache-2.0
 *
 * A table of records by a 64-bit key, made for tens of millions of short-lived
 * entries: an open-addressing index of 8 bytes per slot (part of the hash and
 * the record's number) over a pool of records that never move.  A record is
 * any struct whose first member is its uint64_t key.
 */
#ifndef ADDRESS_TABLE_H
#define ADDRESS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct address_table {
	uint64_t *slots; /* hash << 32 | record number + 1; 0 = empty */
	uint64_t seed;
	unsigned bits; /* 2^bits slots */
	size_t used;
	uint8_t **segments;
	size_t segment_count, segment_capacity;
	size_t record_size;
	uint32_t fresh;       /* record numbers from here on were never used */
	uint32_t free_record; /* number + 1 of the first free one */
};

void address_table_init(struct address_table *table, size_t record_size);
void address_table_clear(struct address_table *table);

void *address_table_find(const struct address_table *table, uint64_t key);

/* Hints that `key` will be looked up: its place in the index, and some time
 * later (when that has come) its record. */
void address_table_prefetch_slot(const struct address_table *table, uint64_t key);
void address_table_prefetch_record(const struct address_table *table, uint64_t key);

/* A new record, all zero but its key, which must not be there yet; NULL when
 * there is no memory. */
void *address_table_insert(struct address_table *table, uint64_t key);

void address_table_remove(struct address_table *table, uint64_t key);

/* All records, in no particular order: start with *position 0; NULL at the
 * end.  Nothing may be inserted or removed meanwhile. */
void *address_table_next(const struct address_table *table, size_t *position);

/* All records sorted by key: `ret` has room for table->used pointers, `scratch`
 * for as many. */
void address_table_sort(const struct address_table *table, void **ret, void **scratch);

#endif
