/* SPDX-License-Identifier: Apache-2.0
 *
 * The last step of sorting a graph's records: several may be about the same
 * memory.
 */
#ifndef GRAPH_MERGE_H
#define GRAPH_MERGE_H

#include "graph.h"

/* Nodes are in the order of their addresses; of equal ones, objects before
 * plain blocks.  Of an object described twice the first record stays.  A plain
 * block with objects in it goes; its count goes to the first of them, the
 * others get GRAPH_NODE_SHARED.  `count`: edges announced, per node. */
void graph_merge(struct graph *graph, uint32_t *count);

#endif
