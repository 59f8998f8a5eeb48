/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of a pprof profile, and as much of the protocol buffers' wire format
 * as it takes.  A failure (no memory) sticks, and is asked for at the end.
 */
#ifndef REPORT_PPROF_H
#define REPORT_PPROF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis.h"

struct protobuf {
	uint8_t *bytes;
	size_t size, capacity;
	bool failed;
};
void protobuf_varint(struct protobuf *message, uint64_t value);
void protobuf_number(struct protobuf *message, uint32_t field, uint64_t value); /* 0 is left out */
void protobuf_bytes(struct protobuf *message, uint32_t field, const void *bytes, size_t size);
/* A message in another, or a packed list; frees it. */
void protobuf_message(struct protobuf *message, uint32_t field, struct protobuf *part);

#define PPROF_VALUES 4u

struct pprof_string;
struct pprof_function;

struct pprof {
	const struct analysis *analysis;
	struct protobuf profile;
	uint64_t *values; /* PPROF_VALUES per stack node */
	uint8_t *located; /* per stack node: 0, PPROF_SHOWN or PPROF_HIDDEN */
	struct pprof_string *strings;
	struct pprof_function *functions;
	bool failed;
};

bool pprof_new(struct pprof *pprof, const struct analysis *analysis);
void pprof_done(struct pprof *pprof); /* also after a failure */

/* Adds one object to values[first] (count) and values[first + 1] (bytes). */
void pprof_count(struct pprof *pprof, const struct graph_node *node, size_t first);

uint64_t pprof_string(struct pprof *pprof, const char *text); /* its number */
/* Writes the location of a stack node, whose number it has, once; false for
 * castaway's own frames. */
bool pprof_location(struct pprof *pprof, uint32_t stack);
void pprof_put_strings(struct pprof *pprof, uint32_t field);

#endif
