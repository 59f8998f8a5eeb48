/* SPDX-License-Identifier: Apache-2.0
 *
 * Content-interned strings.  Runs in any thread of the target, guard held; the
 * helper reads.  Lock-free: a hash of records that are set once, and a list in
 * order of ids that only grows, so that every id below the count is readable.
 *
 * A snapshot's child works on a copy: its new names get ids that the target
 * never gives (STRINGS_CHILD and more), and it writes them down itself.
 */
#include "strings.h"

#include <sched.h>
#include <string.h>
#include <sys/syscall.h>

#include "arena.h"
#include "castaway/format.h"
#include "emit.h"
#include "rawio.h"

#define STRING_MAX 1024u /* longer names are cut */
/* Powers of two.  A program with few names touches few pages: a larger table is
 * looked into when the places for a name in the smaller ones are taken. */
#define SMALL  (1u << 10)
#define MEDIUM (1u << 14)
#define LARGE  (1u << 18)
#define SLOTS  (SMALL + MEDIUM + LARGE)
#define PLACES 8u            /* in a smaller table */
#define IDS    STRINGS_CHILD /* half of the largest table, so that probing ends */
#define SPINS  1000u

struct record {
	uint64_t hash;
	uint32_t id; /* 0 until it is in the list */
	uint32_t length;
	char text[];
};

static struct record **s_slots; /* SLOTS, then IDS in order of ids */
static uint32_t s_count;        /* ids given out are 1..s_count */

_Static_assert(IDS == LARGE / 2, "ids fill half of the table");

/* In a snapshot's child: its own ids are first .. first + count - 1. */
static struct {
	struct record **records;
	uint32_t first, count;
} s_child;

static struct record **slots(void)
{
	const size_t size = (SLOTS + IDS + 1) * sizeof(*s_slots);
	struct record **there = __atomic_load_n(&s_slots, __ATOMIC_ACQUIRE);
	struct record **made;

	if (there != NULL)
		return there;
	made = arena_map(size);
	if (made == NULL ||
	    __atomic_compare_exchange_n(&s_slots, &there, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return made;
	arena_unmap(made, size);
	return there;
}

static uint64_t hash_text(const char *text, size_t length)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3u;
	return hash ^ (hash >> 29);
}

/* Where a name is looked for, in this order, until a free slot. */
static uint32_t place(uint64_t hash, uint32_t probe)
{
	if (probe < PLACES)
		return ((uint32_t)hash + probe) % SMALL;
	if (probe < 2 * PLACES)
		return SMALL + ((uint32_t)hash + probe) % MEDIUM;
	return SMALL + MEDIUM + ((uint32_t)hash + probe) % LARGE;
}

/* Appends to the list of ids; helps those who stand between the two steps. */
static uint32_t append(struct record **list, struct record *record)
{
	for (;;) {
		uint32_t count = __atomic_load_n(&s_count, __ATOMIC_ACQUIRE);
		struct record *none = NULL;
		bool mine;

		if (count + 1 >= IDS)
			return 0;
		mine = __atomic_compare_exchange_n(&list[count + 1], &none, record, false, __ATOMIC_ACQ_REL,
						   __ATOMIC_ACQUIRE);
		if (mine)
			__atomic_store_n(&record->id, count + 1, __ATOMIC_RELEASE);
		__atomic_compare_exchange_n(&s_count, &(uint32_t){count}, count + 1, false, __ATOMIC_ACQ_REL,
					    __ATOMIC_ACQUIRE);
		if (mine)
			return count + 1;
	}
}

/* One thread, and nobody else sees this memory. */
static uint32_t append_in_child(struct record *record)
{
	if (s_child.count == IDS / 2)
		return 0;
	record->id = s_child.first + s_child.count;
	s_child.records[s_child.count++] = record;
	return record->id;
}

/* The id of a record that another thread has just put into its slot.  That
 * thread may be gone (fork): then 0, and the caller makes a second one. */
static uint32_t wait_for_id(const struct record *record)
{
	for (unsigned i = 0; i < SPINS; i++) {
		uint32_t id = __atomic_load_n(&record->id, __ATOMIC_ACQUIRE);

		if (id != 0)
			return id;
		(void)RAW_CALL(SYS_sched_yield, 0);
	}
	return 0;
}

static struct record *make_record(const char *text, size_t length, uint64_t hash)
{
	struct record *record = arena_alloc(sizeof(*record) + length + 1);

	if (record == NULL)
		return NULL;
	record->hash = hash;
	record->length = (uint32_t)length;
	memcpy(record->text, text, length);
	return record;
}

uint32_t strings_intern(const char *text, size_t length)
{
	struct record **table = slots();
	struct record *record = NULL;
	uint64_t hash;

	if (length > STRING_MAX)
		length = STRING_MAX;
	hash = hash_text(text, length);
	if (table == NULL || __atomic_load_n(&s_count, __ATOMIC_RELAXED) + s_child.count + 1 >= IDS)
		return 0;
	for (uint32_t probe = 0;; probe++) {
		struct record **slot = &table[place(hash, probe)];
		struct record *there = __atomic_load_n(slot, __ATOMIC_ACQUIRE);

		if (there == NULL) {
			if (record == NULL)
				record = make_record(text, length, hash);
			if (record == NULL)
				return 0;
			if (__atomic_compare_exchange_n(slot, &there, record, false, __ATOMIC_ACQ_REL,
							__ATOMIC_ACQUIRE))
				return s_child.first != 0 ? append_in_child(record)
							  : append(table + SLOTS, record);
		}
		if (there->hash == hash && there->length == length &&
		    memcmp(there->text, text, length) == 0) {
			uint32_t id = wait_for_id(there);

			if (id != 0)
				return id;
		}
	}
}

uint32_t strings_count(void)
{
	return __atomic_load_n(&s_count, __ATOMIC_ACQUIRE);
}

const char *strings_text(uint32_t string)
{
	if (string == 0 || string > strings_count())
		return "";
	return __atomic_load_n(&s_slots[SLOTS + string], __ATOMIC_ACQUIRE)->text;
}

uint32_t strings_length(uint32_t string)
{
	if (string == 0 || string > strings_count())
		return 0;
	return __atomic_load_n(&s_slots[SLOTS + string], __ATOMIC_ACQUIRE)->length;
}

bool strings_child_begin(uint32_t first)
{
	s_child.records = arena_map(IDS / 2 * sizeof(*s_child.records));
	s_child.first = s_child.records != NULL ? first : 0;
	s_child.count = 0;
	return s_child.first != 0;
}

uint32_t strings_child_first(void)
{
	return s_child.first;
}

uint32_t strings_child_count(void)
{
	return s_child.count;
}

const char *strings_child_text(uint32_t index, uint32_t *length)
{
	*length = s_child.records[index]->length;
	return s_child.records[index]->text;
}
