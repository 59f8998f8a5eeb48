/* SPDX-License-Identifier: Apache-2.0
 *
 * Which structures the options let through.  Filters work on the findings and
 * never on the pass: what is left out of a report still holds what it holds.
 */
#ifndef FILTER_H
#define FILTER_H

#include "analysis.h"

/* How many passes the object outlived, at least; false when that is not known. */
bool filter_survived(const struct replay *replay, const struct graph_node *node, uint32_t *ret);

/* How many passes the youngest member outlived; sets structure->survived. */
void filter_set_survived(const struct graph *graph, const struct replay *replay, struct structure *structure);

bool filter_accepts(const struct graph *graph, const struct analysis_options *options,
		    const struct structure *structure);

/* The same for a thing without members: `node` stands for all. */
bool filter_accepts_node(const struct graph *graph, const struct analysis_options *options, uint32_t node);

#endif
