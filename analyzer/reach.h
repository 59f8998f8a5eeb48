/* SPDX-License-Identifier: Apache-2.0
 *
 * Who keeps which memory: roots, or stranded structures, or nobody.
 *
 * Weak and borrowed references keep nothing, and neither do the structures
 * that trial deletion has proven dead, whatever points to them.  What something
 * outside of the pass holds counts as held: objects of older generations and
 * permanent ones.  An object in a block keeps the block, and the block all
 * objects in it.
 */
#ifndef REACH_H
#define REACH_H

#include "verdict.h"

enum reach_state {
	REACH_LOST = 0, /* nothing keeps it */
	REACH_HELD = 1,
	REACH_DEAD = 2,      /* in a structure */
	REACH_ENTRAINED = 3, /* only structures lead to it */
};

struct reach {
	uint8_t *state; /* enum reach_state of each node */
	uint32_t lost;
};

/* What is held although no root of this graph leads to it; may be NULL. */
struct reach_more {
	bool (*is_held)(const void *arg, const struct graph_node *node);
	const void *arg;
};

/* The graph has been scanned.  Sets block_count and block_bytes of the
 * structures: what several lead to belongs to the nearest.  9 bytes per node,
 * of which 1 stays with the result; linear. */
enum error_code reach_run(const struct graph *graph, const struct trial *trial, const struct reach_more *more,
			  struct verdict_result *dead, struct reach *ret, struct error *error);
void reach_done(struct reach *reach);

#endif
