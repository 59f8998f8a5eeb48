/* SPDX-License-Identifier: Apache-2.0
 *
 * A trace made by hand, and what the whole pass makes of it.
 *
 *	struct builder *b = builder_new();
 *	judged_loop(b, 10, 0x1000, "Loop", 0);
 *	struct judged j = judged_end(b, 100, NULL);	... judged_free(&j);
 */
#ifndef JUDGED_H
#define JUDGED_H

#include "analysis.h"
#include "trace_builder.h"

struct judged {
	struct builder *builder;
	struct trace *trace;
	struct analysis *analysis; /* NULL on failure */
	enum error_code code;
	struct error error;
};

/* The default options, without files being opened for symbols. */
struct analysis_options judged_options(void);

/* Ends the trace at `ticks` and analyzes it; `options` NULL = judged_options. */
struct judged judged_end(struct builder *b, uint64_t ticks, const struct analysis_options *options);
void judged_free(struct judged *j); /* the builder too */

/* An annotated object of 64 bytes, born on thread 1. */
void judged_object(struct builder *b, uint64_t ticks, uint64_t address, const char *type, uint32_t stack);
/* One that owns its one count itself. */
void judged_loop(struct builder *b, uint64_t ticks, uint64_t address, const char *type, uint32_t stack);

#endif
