/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups that a runtime's own collector can never find, because a type that an
 * extension module made does not tell what its instances hold.  The pointers in
 * the memory of such instances are recorded, but not whether they own a count.
 *
 * What the counts say of them is this.  A field (a type and an offset) whose
 * pointers all own a count never leads to an object that has less counts than
 * exact and such references to it.  One object with less refutes the field, and
 * all of its pointers are borrowed.  So they are where every object that the
 * field leads to may be held by C code elsewhere (CASTAWAY_EDGE_HELD): its count
 * may be that.  Those of the other fields are taken for owners: the edges become
 * GRAPH_INFERRED, and a second pass of trial deletion counts them.  What only
 * that pass finds dead is likely-stranded.
 */
#ifndef HIDDEN_H
#define HIDDEN_H

#include "trial.h"
#include "verdict.h"

/* Marks edges of `graph`.  `trial`: of the pass over exact references.
 * 8 bytes per node and 16 per such pointer, none where there are none. */
enum error_code hidden_find(struct graph *graph, const struct trial *trial, int generation,
			    struct verdict_result *ret, struct error *error);

/* Takes those out of `result` of which a structure has a member already. */
enum error_code hidden_leave_out(const struct graph *graph, const struct structure *known, size_t count,
				 struct verdict_result *result, struct error *error);

/* Which type lacks what. */
void hidden_advice(const struct graph *graph, const struct structure *structure, struct break_advice *ret);

#endif
