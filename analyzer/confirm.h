/* SPDX-License-Identifier: Apache-2.0
 *
 * Two moments instead of one.  At a single moment a reference may be in flight,
 * where no scan finds it: in the kernel (what epoll gives back), in a pipe, in
 * another process, encoded.  What nothing leads to stays so: whatever something
 * led to at an earlier moment, or was not born yet, is not believed to be dead.
 */
#ifndef CONFIRM_H
#define CONFIRM_H

#include "graph.h"
#include "reach.h"

struct confirm {
	uint64_t ticks;
	uint64_t *dead; /* addresses, ascending */
	size_t count;
};

/* Takes down what was not held at the earlier moment. */
enum error_code confirm_take(const struct graph *graph, const struct reach *reach, uint64_t ticks,
			     struct confirm *ret, struct error *error);
void confirm_done(struct confirm *confirm);

/* Whether a node of the later moment may be dead. */
bool confirm_allows(const struct confirm *confirm, const struct graph_node *node,
		    const struct replay *replay);

#endif
