/* SPDX-License-Identifier: Apache-2.0
 *
 * What roots.c asks of roots_heap.c (the allocator's own memory) and of
 * roots_note.c (what the target's threads noted while it ran).
 */
#ifndef ROOTS_INTERNAL_H
#define ROOTS_INTERNAL_H

#include "maps.h"
#include "ranges.h"
#include "scan.h"

/* Memory that the allocator owns: blocks in it are looked at as blocks. */
void roots_exclude_heap(const struct scan_index *index, const struct maps *maps, struct ranges *excluded);

/* Parts of [start, end) of private memory that exist; returns the bytes that
 * were left out although they may.  The parts are whole pages. */
typedef void (*roots_part)(void *arg, uint64_t start, uint64_t end);
uint64_t roots_resident(uint64_t start, uint64_t end, roots_part visit, void *arg);

size_t roots_thread_count(void);
uintptr_t roots_thread(size_t index); /* descriptor */

/* Noted by roots_note_hidden(): false past the last one; some are empty. */
bool roots_hidden(size_t index, uint64_t *start, uint64_t *end);

/* castaway's own writable data. */
void roots_own_data(uint64_t *start, uint64_t *end);
bool roots_is_libc(uint64_t start, uint64_t end);

#endif
