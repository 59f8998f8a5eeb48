/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses to names: libdw (build ids, separate debug files, inlined frames),
 * ELF symbol tables where there is no DWARF, libiberty's demangler.  Offline:
 * works on a trace from another machine as far as files with the right build
 * id can be found here, and says module+offset otherwise.
 */
#ifndef SYMBOLS_H
#define SYMBOLS_H

#include "trace.h"

struct symbols_options {
	const char *const *debug_dirs; /* searched for .build-id/xx/yyyy.debug and by path; NULL-terminated,
					  may be NULL */
	bool off;                      /* no file is opened; module+offset only */
};

/* One source-level frame; a stack node yields several when calls were inlined. */
struct symbols_frame {
	const char *function;     /* demangled; NULL = unknown */
	const char *raw_function; /* as in the symbol table */
	const char *file;         /* NULL = unknown */
	uint32_t line;            /* 0 = unknown */
	const char *module;       /* path; NULL = unknown */
	uint64_t offset;          /* in the module: return address minus load bias */
	const char *build_id;     /* hex; NULL = unknown */
	const char *language;     /* "c", "c++", "python", "rust"; NULL = unknown */
	bool inlined;             /* inlined into the next one */
};

struct symbols;

enum error_code symbols_new(const struct trace *trace, const struct symbols_options *options,
			    struct symbols **ret, struct error *error);

const struct trace *symbols_trace(const struct symbols *symbols);

/* Frames of one stack node (not of its parents), innermost first.  Cached; the
 * strings and the array belong to `symbols`.  Returns the number, at least 1
 * for a valid node, 0 for node 0. */
size_t symbols_node(struct symbols *symbols, uint32_t node, const struct symbols_frame **ret);

/* All frames of the stack that ends in `node`, innermost first, at most `max`
 * (0 = no limit).  *ret is malloc'ed, its strings are not; returns the number. */
size_t symbols_stack(struct symbols *symbols, uint32_t node, size_t max, struct symbols_frame **ret);

/* The same without castaway's own frames: its library's, and those of the
 * annotation header, which is compiled into the program. */
size_t symbols_program_stack(struct symbols *symbols, uint32_t node, size_t max, struct symbols_frame **ret);
bool symbols_is_castaway(const struct symbols_frame *frame);

/* The variable at an address of a module (numbers from 1), as the symbol table
 * calls it, and where in it the address lies; NULL = not known. */
const char *symbols_variable(struct symbols *symbols, uint32_t module, uint64_t address, uint64_t *offset);

/* How far the modules that were asked about could be trusted. */
struct symbols_statistics {
	uint64_t missing;          /* no file with the right build id was found */
	const char *first_missing; /* path of one of them */
	uint64_t unverified;       /* has no build id: the file at its path was taken */
};
void symbols_statistics(const struct symbols *symbols, struct symbols_statistics *ret);

void symbols_free(struct symbols *symbols); /* NULL is fine */

#endif
