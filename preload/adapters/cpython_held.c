/* SPDX-License-Identifier: Apache-2.0
 *
 * Which Python objects C code may hold: those whose address stands in the data of
 * a module that is not the interpreter, or in a block to which such data leads.
 * Whether it owns a count there nobody says; but a count may be that one.
 *
 * Only where an instance of an extension type holds something that nothing else
 * tells of is this looked for, and at most so much of the heap.  Not on stacks:
 * too much lies there that is over.
 */
#include <string.h>

#include "../arena.h"
#include "../maps.h"
#include "../modules.h"
#include "../shadow.h"
#include "address_set.h"
#include "cpython.h"

#define BYTES_MAX  (16u << 20)
#define BLOCKS_MAX (1u << 18)

static struct {
	const struct maps *maps;
	bool copied, looked;
	struct address_set held, seen; /* objects; blocks that are no objects */
	uintptr_t *blocks;             /* those seen, in turn */
	size_t count;
	uint64_t bytes; /* that were looked at */
} s_held;

static void look_at_word(uintptr_t word)
{
	struct shadow_block block;

	for (size_t i = 0; word % 8 == 0 && word >= 4096 && i < PY_BLOCK_OFFSETS; i++) {
		if (!shadow_find(word - g_py_block_offsets[i], &block))
			continue;
		if (block.runtime == CASTAWAY_RUNTIME_CPYTHON) {
			(void)address_set_add(&s_held.held, word);
			return;
		}
		if (i == 0 && s_held.count < BLOCKS_MAX && !address_set_has(&s_held.seen, word) &&
		    address_set_add(&s_held.seen, word))
			s_held.blocks[s_held.count++] = word;
	}
}

static void look_at(uint64_t start, uint64_t end)
{
	end &= ~UINT64_C(7);
	if (end - start > BYTES_MAX - s_held.bytes)
		end = start + (BYTES_MAX - s_held.bytes);
	s_held.bytes += end - start;
	for (uint64_t at = start; at < end; at += 8)
		look_at_word(py_word((const void *)(uintptr_t)at, 0));
}

static bool is_in(const struct module_elf *elf, uintptr_t address)
{
	return address >= elf->start && address < elf->end;
}

/* The module of a mapping of its data: what is mapped of it before that begins with
 * its header.  The table of modules has only those that a stack led to. */
static bool find_module(size_t entry, struct module_elf *ret)
{
	const struct maps_entry *entries = s_held.maps->entries;
	const uint64_t data = entries[entry].start;

	while (entry > 0 && entries[entry - 1].kind == MAPS_FILE &&
	       entries[entry - 1].end == entries[entry].start) {
		entry--;
		if (modules_elf_read(entries[entry].start, ret))
			return is_in(ret, data);
	}
	return false;
}

static void look_at_data(size_t number)
{
	const struct maps_entry *entry = &s_held.maps->entries[number];
	struct module_elf elf = {0};

	if (!find_module(number, &elf) || is_in(&elf, g_py.start) || is_in(&elf, (uintptr_t)&s_held))
		return;
	look_at(entry->start, entry->end);
	/* The zeros that lie in no file. */
	if (elf.end > entry->end && maps_readable(s_held.maps, entry->end, elf.end))
		look_at(entry->end, elf.end);
}

/* In the program itself, where other threads may read a module's header into the
 * one place for that: only what lies in its file, and zeros in the same page. */
static void look_at_data_here(size_t number)
{
	const struct maps_entry *entry = &s_held.maps->entries[number];
	const uint32_t own = modules_of_data((uintptr_t)&s_held);

	if ((entry->end <= g_py.start || entry->start >= g_py.end) &&
	    (own == 0 || modules_of_data(entry->start) != own))
		look_at(entry->start, entry->end);
}

static void look_at_modules(void)
{
	for (size_t i = 0; i < s_held.maps->count; i++) {
		const struct maps_entry *entry = &s_held.maps->entries[i];

		if (entry->kind != MAPS_FILE || !entry->readable || !entry->writable || entry->shared)
			continue;
		if (s_held.copied)
			look_at_data(i);
		else
			look_at_data_here(i);
	}
}

/* In a copy only: another thread might give one back meanwhile. */
static void look_at_blocks(void)
{
	struct shadow_block block;

	for (size_t i = 0; s_held.copied && i < s_held.count; i++) {
		const uintptr_t start = s_held.blocks[i];

		if (shadow_find(start, &block) && maps_readable(s_held.maps, start, start + block.size))
			look_at(start, start + block.size);
	}
}

static void look(void)
{
	s_held.looked = true;
	s_held.blocks = arena_map(BLOCKS_MAX * sizeof(*s_held.blocks));
	if (s_held.blocks == NULL)
		return;
	look_at_modules();
	look_at_blocks();
	arena_unmap(s_held.blocks, BLOCKS_MAX * sizeof(*s_held.blocks));
	address_set_clear(&s_held.seen);
}

void cpython_held_begin(const struct maps *maps, bool copied)
{
	memset(&s_held, 0, sizeof(s_held));
	s_held.maps = maps;
	s_held.copied = copied;
}

bool cpython_held(uintptr_t object)
{
	if (!s_held.looked)
		look();
	return address_set_has(&s_held.held, object);
}

void cpython_held_end(void)
{
	address_set_clear(&s_held.held);
	memset(&s_held, 0, sizeof(s_held));
}
