/* SPDX-License-Identifier: Apache-2.0
 *
 * Which places of objects own what they point to, inferred from the counts of
 * objects that live: an object with one count to which two places point has one
 * that borrows.  A place is an offset in a type or, without one, in what a call
 * stack allocates.  It serves to rank references and to tell a forgotten one from
 * a cycle; a verdict of stranded never rests on it.
 *
 * Unit propagation: places that must own, because an object's counts are as many
 * as the pointers to it; places that cannot, because others explain all counts.
 */
#ifndef SLOTS_H
#define SLOTS_H

#include "graph.h"
#include "reach.h"

enum slot_strength { SLOT_UNDECIDED, SLOT_OWNS, SLOT_BORROWS };

struct slots;

/* Objects of runtimes that are scanned for, and are REACH_HELD, are what is
 * learned from.  24 bytes per pointer to one of them, while it runs. */
enum error_code slots_infer(const struct graph *graph, const uint8_t *reach_state, struct slots **ret,
			    struct error *error);

/* `edge`: of node `from`.  NULL slots know nothing. */
enum slot_strength slots_strength(const struct slots *slots, const struct graph *graph, uint32_t from,
				  const struct graph_edge *edge);

void slots_free(struct slots *slots); /* NULL is fine */

#endif
