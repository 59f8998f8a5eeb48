/* SPDX-License-Identifier: Apache-2.0
 *
 * Cycles that are none, because what closes them owns nothing: see slots.h.
 */
#ifndef LOST_FORGOTTEN_H
#define LOST_FORGOTTEN_H

#include "slots.h"

/* Makes stranded structures over-referenced, with their culprit, whose members
 * have no cycle without the places that borrow, and a count that no other place
 * explains.  False without memory. */
bool forgotten_judge(const struct graph *graph, const uint8_t *reach_state, const struct slots *slots,
		     struct verdict_result *result);

/* Pointers from lost memory to each node, but for places that borrow; malloc'ed. */
uint32_t *forgotten_count_pointers(const struct graph *graph, const uint8_t *reach_state,
				   const struct slots *slots);

#endif
