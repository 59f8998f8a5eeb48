/* SPDX-License-Identifier: Apache-2.0
 *
 * Which reference of a cycle to give up.  References are taken by class: from
 * one type, through one field, to one type.  Classes are ranked by
 * 1. whether the structure is without a cycle when all of the class are gone,
 * 2. in Python, what can be done about it at all (advice_python.h),
 * 3. whether the counts of living objects say that such a place owns (slots.h);
 *    one that borrows is no candidate,
 * 4. whether the field's name says that it points back (one table of words),
 * 5. whether it leads from a younger object to an older one,
 * 6. whether it was acquired later,
 * 7. how few references there are of it.
 */
#ifndef ADVICE_H
#define ADVICE_H

#include "analysis.h"

struct advice;

struct slots;

/* Scratch memory for many structures of one graph: 4 bytes per node.
 * `replay` may be NULL; then birth passes alone say what is younger.  `slots` may
 * be NULL. */
enum error_code advice_new(const struct graph *graph, const struct replay *replay, const struct slots *slots,
			   struct advice **ret, struct error *error);

/* `member`: the nodes of one component.  Not present in the result when the
 * component has no edge of these kinds (GRAPH_OWNING, or what the scan found too). */
enum error_code advice_for(struct advice *advice, const uint32_t *member, uint32_t count, uint32_t kinds,
			   struct break_advice *ret, struct error *error);

void advice_free(struct advice *advice); /* NULL is fine */

#endif
