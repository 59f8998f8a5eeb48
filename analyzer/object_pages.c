/* SPDX-License-Identifier: Apache-2.0
 *
 * The page index of annotated objects.
 */
#include "object_pages.h"

#define PAGE_SHIFT    10
#define GRANULE_SHIFT 4
#define TOP_LEVEL     9 /* 6 bits each: 9 of them cover the 54 bits of a page number */

struct page {
	uint64_t number;
	uint64_t bits; /* granules that hold an object's start */
	struct page_object *first;
	uint8_t counts[64]; /* objects that start in a granule: 16 at most */
};

/* A sum of 64 entries of the level below; level 1 sums up pages. */
struct level {
	uint64_t key; /* prefix << 4 | level */
	uint64_t bits;
};

static uint64_t level_key(uint64_t page, unsigned level)
{
	return (page >> (6 * level)) << 4 | level;
}

static unsigned level_bit(uint64_t page, unsigned level)
{
	return (unsigned)(page >> (6 * (level - 1))) & 63;
}

static unsigned granule_of(uint64_t address)
{
	return (unsigned)(address >> GRANULE_SHIFT) & 63;
}

void object_pages_init(struct object_pages *pages)
{
	address_table_init(&pages->pages, sizeof(struct page));
	address_table_init(&pages->levels, sizeof(struct level));
}

void object_pages_clear(struct object_pages *pages)
{
	address_table_clear(&pages->pages);
	address_table_clear(&pages->levels);
}

/* Records in the levels that `page` is not empty, up to the first that already
 * knew something there. */
static bool announce(struct object_pages *pages, uint64_t page)
{
	for (unsigned level = 1; level <= TOP_LEVEL; level++) {
		uint64_t key = level_key(page, level);
		struct level *entry = address_table_find(&pages->levels, key);
		bool known = entry != NULL;

		if (!entry)
			entry = address_table_insert(&pages->levels, key);
		if (!entry)
			return false;
		entry->bits |= (uint64_t)1 << level_bit(page, level);
		if (known)
			break;
	}
	return true;
}

static void withdraw(struct object_pages *pages, uint64_t page)
{
	for (unsigned level = 1; level <= TOP_LEVEL; level++) {
		uint64_t key = level_key(page, level);
		struct level *entry = address_table_find(&pages->levels, key);

		if (!entry)
			break;
		entry->bits &= ~((uint64_t)1 << level_bit(page, level));
		if (entry->bits)
			break;
		address_table_remove(&pages->levels, key);
	}
}

bool object_pages_insert(struct object_pages *pages, struct page_object *object, uint64_t address)
{
	uint64_t number = address >> PAGE_SHIFT;
	struct page *page = address_table_find(&pages->pages, number);

	if (!page) {
		page = address_table_insert(&pages->pages, number);
		if (!page)
			return false;
		if (!announce(pages, number)) {
			withdraw(pages, number);
			address_table_remove(&pages->pages, number);
			return false;
		}
	}
	object->address = address;
	object->next = page->first;
	object->link = &page->first;
	if (object->next)
		object->next->link = &object->next;
	page->first = object;
	page->counts[granule_of(address)]++;
	page->bits |= (uint64_t)1 << granule_of(address);
	return true;
}

void object_pages_remove(struct object_pages *pages, struct page_object *object)
{
	uint64_t number = object->address >> PAGE_SHIFT;
	unsigned granule = granule_of(object->address);
	struct page *page = address_table_find(&pages->pages, number);

	if (!page)
		return;
	*object->link = object->next;
	if (object->next)
		object->next->link = object->link;
	if (--page->counts[granule] == 0)
		page->bits &= ~((uint64_t)1 << granule);
	if (!page->first) {
		withdraw(pages, number);
		address_table_remove(&pages->pages, number);
	}
}

/* The first page at or after `number` that is not empty. */
static const struct page *next_page(const struct object_pages *pages, uint64_t number)
{
	const struct page *page = address_table_find(&pages->pages, number);
	unsigned level;
	uint64_t prefix = 0;

	if (page)
		return page;
	for (level = 1; level <= TOP_LEVEL; level++) {
		const struct level *entry = address_table_find(&pages->levels, level_key(number, level));
		unsigned bit = level_bit(number, level);
		uint64_t above = entry && bit < 63 ? entry->bits >> (bit + 1) : 0;

		if (above) {
			prefix = (number >> (6 * (level - 1))) + 1 + (uint64_t)__builtin_ctzll(above);
			break;
		}
	}
	if (level > TOP_LEVEL)
		return NULL;
	while (--level > 0) {
		const struct level *entry = address_table_find(&pages->levels, prefix << 4 | level);

		if (!entry)
			return NULL;
		prefix = prefix << 6 | (unsigned)__builtin_ctzll(entry->bits);
	}
	return address_table_find(&pages->pages, prefix);
}

void object_pages_prefetch(const struct object_pages *pages, uint64_t address, bool page)
{
	if (page)
		address_table_prefetch_record(&pages->pages, address >> PAGE_SHIFT);
	else
		address_table_prefetch_slot(&pages->pages, address >> PAGE_SHIFT);
}

bool object_pages_near(const struct object_pages *pages, uint64_t address)
{
	const struct page *page = address_table_find(&pages->pages, address >> PAGE_SHIFT);

	return page && (page->bits >> granule_of(address) & 1);
}

/* Bits of the granules that [from, to] touches in page `number`. */
static uint64_t granules(uint64_t number, uint64_t from, uint64_t to)
{
	uint64_t bits = UINT64_MAX;

	if (from >> PAGE_SHIFT == number)
		bits &= UINT64_MAX << granule_of(from);
	if (to >> PAGE_SHIFT == number)
		bits &= UINT64_MAX >> (63 - granule_of(to));
	return bits;
}

struct page_object *object_pages_find(const struct object_pages *pages, uint64_t from, uint64_t to)
{
	uint64_t number = from >> PAGE_SHIFT, last = to >> PAGE_SHIFT;

	while (number <= last) {
		const struct page *page =
			number == last ? address_table_find(&pages->pages, number) : next_page(pages, number);
		struct page_object *object = NULL;

		if (!page || page->number > last)
			return NULL;
		if (page->bits & granules(page->number, from, to))
			object = page->first;
		for (; object; object = object->next)
			if (object->address >= from && object->address <= to)
				return object;
		number = page->number + 1;
	}
	return NULL;
}
