/* SPDX-License-Identifier: Apache-2.0
 *
 * Which annotated objects lie in a range of addresses.  Every FREE asks this,
 * and nearly always the answer is "none", so that answer costs one look into a
 * small table: objects are kept per kilobyte of address space, with a bit for
 * each 16 bytes that hold the start of one.  Above those pages stand nine
 * levels of bitmaps, each summing up 64 entries of the one below, by which a
 * large range finds its next page that is not empty.
 */
#ifndef OBJECT_PAGES_H
#define OBJECT_PAGES_H

#include "address_table.h"

/* First member of what is kept here. */
struct page_object {
	struct page_object *next, **link;
	uint64_t address;
};

struct object_pages {
	struct address_table pages, levels;
};

void object_pages_init(struct object_pages *pages);
void object_pages_clear(struct object_pages *pages);
bool object_pages_insert(struct object_pages *pages, struct page_object *object, uint64_t address);
void object_pages_remove(struct object_pages *pages, struct page_object *object);

/* Hints that `address` will be asked for: first for the place of its page in
 * the index, then for the page. */
void object_pages_prefetch(const struct object_pages *pages, uint64_t address, bool page);

/* False when no object starts in the 16 bytes around `address`. */
bool object_pages_near(const struct object_pages *pages, uint64_t address);

/* Some object whose address is in [from, to], or NULL. */
struct page_object *object_pages_find(const struct object_pages *pages, uint64_t from, uint64_t to);

#endif
