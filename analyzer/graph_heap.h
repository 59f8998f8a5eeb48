/* SPDX-License-Identifier: Apache-2.0
 *
 * The scan of a snapshot's memory, on its way into the graph: plain blocks
 * become nodes, pointers become edges, and pointers from outside roots.
 *
 *     graph_heap_new()     reads; *ret is NULL when there is no whole scan
 *     graph_heap_nodes()   in pass 1 of the builder, after all objects
 *     graph_heap_edges()   in pass 2, after all exact edges
 */
#ifndef GRAPH_HEAP_H
#define GRAPH_HEAP_H

#include "graph_builder.h"

struct graph_heap;

/* 8 bytes per block and 32 per root, and until the end of pass 2 another 8 per
 * node. */
enum error_code graph_heap_new(struct trace *trace, struct replay *replay,
			       const struct trace_snapshot *snapshot, struct graph_builder *builder,
			       struct graph_heap **ret, struct error *error);
enum error_code graph_heap_nodes(struct graph_heap *heap, struct error *error);
enum error_code graph_heap_edges(struct graph_heap *heap, struct error *error);
void graph_heap_free(struct graph_heap *heap); /* NULL is fine */

#endif
