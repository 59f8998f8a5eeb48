/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the bytes of a trace come from: a file, or memory (tests, fuzzing).
 * Files are read with pread, not mapped: a file that shrinks under us must be
 * an error and not a SIGBUS.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct source;

enum error_code source_open_file(const char *path, struct source **ret, struct error *error);

/* Borrows the bytes; they must outlive the source. */
enum error_code source_open_memory(const void *bytes, size_t size, struct source **ret, struct error *error);

uint64_t source_size(const struct source *source);

/* Reads exactly `size` bytes at `offset`, or fails. */
enum error_code source_read(struct source *source, uint64_t offset, void *buffer, size_t size,
			    struct error *error);

void source_free(struct source *source); /* NULL is fine */

#endif
