/* SPDX-License-Identifier: Apache-2.0
 *
 * The closed set of things that can go wrong in the analyzer.  Functions
 * return an enum error_code and, where they take a struct error, fill it only
 * on failure.  The analyzer never prints: tools/ turns this into one line,
 * `castaway: FILE: what is wrong (at offset N)`.
 */
#ifndef ERROR_H
#define ERROR_H

#include <stdbool.h>
#include <stdint.h>

enum error_code {
	ERROR_NONE = 0,
	ERROR_IO,          /* the operating system said no; os_error has why */
	ERROR_EMPTY,       /* a file of no bytes, or no whole chunk in it */
	ERROR_NOT_A_TRACE, /* the magic is wrong */
	ERROR_VERSION,     /* written by a newer castaway, or another architecture */
	ERROR_DAMAGED,     /* the header hash is wrong, or nothing usable is left */
	ERROR_MEMORY,      /* out of memory, or over a bound of this analyzer */
	ERROR_NOT_FOUND,   /* a named snapshot, object or option value does not exist */
	ERROR_INPUT,       /* a baseline, suppression or option file is malformed */
	ERROR_CANCELLED,
};

struct error {
	enum error_code code;
	int os_error; /* errno, or 0 */
	bool has_offset;
	uint64_t offset;
	char what[256]; /* "what is wrong", no file name, no newline */
};

/* Fills `error` (may be NULL) and returns `code`, so that callers can write
 * `return error_set(...)`. */
enum error_code error_set(struct error *error, enum error_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* As error_set, with the offset in the file at which it was found. */
enum error_code error_set_at(struct error *error, enum error_code code, uint64_t offset, const char *format,
			     ...) __attribute__((format(printf, 4, 5)));

#endif
