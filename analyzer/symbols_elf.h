/* SPDX-License-Identifier: Apache-2.0
 *
 * The files behind one module of the trace, and their symbol tables.
 */
#ifndef SYMBOLS_ELF_H
#define SYMBOLS_ELF_H

#include <libelf.h>

#include "symbols.h"

struct symbols_symbol {
	uint64_t value, size;
	uint64_t end;     /* of its section */
	const char *name; /* belongs to the ELF file */
	uint8_t rank;     /* among symbols of one address: the higher, the better the name */
};

struct symbols_file {
	int fd;
	Elf *elf;
};

/* What was found for a module: `debug` has DWARF, `table` has the symbol
 * table; either may be absent, and they may be the same file. */
struct symbols_elf {
	struct symbols_file debug, table;
	bool shared; /* `table` is `debug`: close it once */
	bool unverified;
	struct symbols_symbol *symbols; /* sorted by value */
	size_t symbol_count;
};

/* Looks in `debug_dirs` (NULL-terminated, may be NULL), at the module's own
 * path, and in the usual places for separate debug files.  A file whose build
 * id is not the module's is never used. */
void symbols_elf_open(struct symbols_elf *elf, const struct trace_module *module, char *const *debug_dirs);
void symbols_elf_close(struct symbols_elf *elf);

/* The function that covers `address` (as linked), or NULL. */
const struct symbols_symbol *symbols_elf_find(const struct symbols_elf *elf, uint64_t address);

/* The variable that covers `address` (as linked), of the file's own table; its
 * name is the file's.  Looks through the whole table each time. */
const char *symbols_elf_variable(const struct symbols_elf *elf, uint64_t address, uint64_t *offset);

#endif
