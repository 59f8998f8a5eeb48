/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the choice of a class of references and the words for it.
 */
#ifndef ADVICE_INTERNAL_H
#define ADVICE_INTERNAL_H

#include "advice.h"
#include "advice_python.h"

#define ADVICE_NO_HINT UINT32_MAX

struct advice_class {
	uint32_t from_type, field, to_type;
	int32_t offset;      /* where fields have no names, else 0 */
	const char *name;    /* of a field that the trace has no name for, or NULL */
	uint32_t owner_type; /* of a Python dict of attributes: whose; else 0 */
	uint32_t count;
	uint32_t edge_from, edge; /* the first one seen */
	uint32_t hint;            /* place in the table of words */
	uint64_t acquired;        /* event of its link; 0 = not known */
	struct python_advice python;
	bool item; /* of a Python container: whichever */
	bool younger, breaks, owns;
};

/* Place of the best word of a field's name in the table, or ADVICE_NO_HINT. */
uint32_t advice_text_hint(const char *text);

/* Fills in action and reason; `count` members. */
void advice_text_write(const struct graph *graph, const struct advice_class *class, uint32_t count,
		       struct break_advice *ret);

#endif
