/* SPDX-License-Identifier: Apache-2.0
 *
 * What `castaway gc` prints, as lines or as one JSON document.  Nothing is
 * printed before the first answer is there: a failure leaves no half document.
 */
#ifndef GC_PRINT_H
#define GC_PRINT_H

#include "jsontext.h"
#include "query.h"
#include "textout.h"

struct gc_print {
	const struct query *query;
	const char *question, *list; /* `list`: key of the array in JSON, or NULL */
	bool json, opened;
	uint64_t lines;
	struct textout text;
	struct jsontext document;
};

void gc_print_begin(struct gc_print *print, const struct query *query, bool json, const char *question,
		    const char *list);
void gc_print_count(struct gc_print *print, const struct query_runtime *runtime);
void gc_print_stats(struct gc_print *print, const struct query_runtime *runtime);
void gc_print_node(struct gc_print *print, uint32_t node);
void gc_print_references(struct gc_print *print, const struct query_reference *references, size_t count,
			 enum query_direction direction);
void gc_print_refcount(struct gc_print *print, uint32_t node);

/* Ends the answer, with "N objects" where `one` and `many` are given. */
void gc_print_end(struct gc_print *print, bool answered, const char *one, const char *many);

#endif
