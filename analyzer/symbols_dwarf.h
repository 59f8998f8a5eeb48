/* SPDX-License-Identifier: Apache-2.0
 *
 * DWARF of one file: which functions, inlined ones included, an address is in.
 * Strings belong to the Dwarf handle and live as long as it does.
 */
#ifndef SYMBOLS_DWARF_H
#define SYMBOLS_DWARF_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYMBOLS_DWARF_MAX_INLINE 32

struct symbols_dwarf_frame {
	const char *linkage_name; /* mangled; may be NULL */
	const char *name;         /* may be NULL */
	const char *file;
	uint32_t line;
};

struct symbols_dwarf;

/* NULL when `elf` has no DWARF that can be read.  Borrows `elf`. */
struct symbols_dwarf *symbols_dwarf_open(Elf *elf);
void symbols_dwarf_close(struct symbols_dwarf *dwarf); /* NULL is fine */

/* Fills up to SYMBOLS_DWARF_MAX_INLINE frames, innermost first, and returns
 * their number.  0: no unit covers `address`.  A single frame may have a line
 * and no name.  *language is "c", "c++", "rust" or NULL. */
size_t symbols_dwarf_find(struct symbols_dwarf *dwarf, uint64_t address, struct symbols_dwarf_frame *frames,
			  const char **language);

#endif
