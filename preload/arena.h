/* SPDX-License-Identifier: Apache-2.0
 *
 * The preload's own memory: mmap, never the target's heap, never given back
 * while the target runs.  Lock-free and usable from any thread, from a signal
 * handler, in a fork child, and before main.
 */
#ifndef ARENA_H
#define ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed, 16-byte aligned, lives as long as the process; NULL when the kernel
 * refuses.  For small things (< 64 KiB). */
void *arena_alloc(size_t size);

/* Zeroed pages (own mapping, MAP_NORESERVE), size rounded up to pages. */
void *arena_map(size_t size);
/* The same for tables that are read at random: in large pages, if there are any.
 * What is touched of it is more then. */
void *arena_map_large(size_t size);
/* The same for a small table of which nearly all pages are used soon: they are made at
 * once, which costs a third of as many page faults. */
void *arena_map_used(size_t size);
/* Pages that are mapped at most once, into *where: of two threads that do it at
 * the same time the loser gives its pages back. */
void *arena_map_once(void **where, size_t size);
void arena_unmap(void *pages, size_t size);

/* Address space for what may grow and should lie in one piece, without any memory;
 * NULL too where the process's address space is limited, of which castaway must not
 * take what it may never use. */
void *arena_reserve(size_t size);
/* Makes whole pages of it usable, zeroed at first; again does no harm. */
bool arena_commit(void *pages, size_t size);

/* The mappings, for those who must tell castaway's memory from the target's:
 * false past the last one; empty ranges (start == end) were unmapped.  Call
 * where no other thread maps (the snapshot child). */
bool arena_range(size_t index, uint64_t *start, uint64_t *end);

/* Bytes mapped so far. */
uint64_t arena_mapped(void);

#endif
