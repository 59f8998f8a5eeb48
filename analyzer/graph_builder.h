/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds a graph from records in any order, in two passes over them, so that
 * nothing but the finished arrays and one index is ever in memory:
 *
 *     graph_builder_node() for every record        (pass 1)
 *     graph_builder_sort()
 *     graph_builder_row(), graph_builder_edge()... (pass 2, same records)
 *     graph_builder_finish()
 */
#ifndef GRAPH_BUILDER_H
#define GRAPH_BUILDER_H

#include "graph.h"

struct graph_builder;

enum error_code graph_builder_new(const struct trace *trace, struct graph_builder **ret, struct error *error);

/* Pass 1.  `edges`: how many graph_builder_edge calls its row will get. */
enum error_code graph_builder_node(struct graph_builder *builder, const struct graph_node *node,
				   uint64_t edges, struct error *error);

/* Between the passes: n log n in the number of nodes.  A plain block
 * (GRAPH_NODE_BLOCK) with objects in it is no node of its own: what was
 * announced for it goes to the first of them. */
enum error_code graph_builder_sort(struct graph_builder *builder, struct error *error);

/* Pass 2.  Opens the row of an object; false when this record is to be left
 * out, because another one has described the object before. */
bool graph_builder_row(struct graph_builder *builder, uint64_t address);

/* Says which targets come next, some edges ahead: hides the memory latency. */
void graph_builder_expect(const struct graph_builder *builder, uint64_t target);

/* A target that is no node is only counted.  Of the others, no more are kept
 * than were announced in pass 1. */
void graph_builder_edge(struct graph_builder *builder, uint64_t target, uint32_t field, uint8_t flags,
			uint32_t detail);

/* Goes on with the row of a node, behind the edges that it has. */
void graph_builder_append(struct graph_builder *builder, uint32_t node);

/* As graph_builder_edge, of a known node. */
void graph_builder_edge_to(struct graph_builder *builder, uint32_t to, uint32_t field, uint8_t flags,
			   uint32_t detail);

/* GRAPH_NONE when it is no node; valid after graph_builder_sort. */
uint32_t graph_builder_find(const struct graph_builder *builder, uint64_t address);

/* The graph as far as it is: to look at nodes between the passes. */
const struct graph *graph_builder_graph(const struct graph_builder *builder);
/* Takes `root` over (malloc'ed): the memory was scanned. */
void graph_builder_roots(struct graph_builder *builder, struct graph_root *root, size_t count);

/* Hands the graph over. */
enum error_code graph_builder_finish(struct graph_builder *builder, struct graph **ret, struct error *error);

void graph_builder_free(struct graph_builder *builder); /* NULL is fine */

#endif
