/* SPDX-License-Identifier: Apache-2.0
 *
 * Object graphs drawn by hand, for tests of the cycle pass, and slow and
 * obvious answers to hold the pass against.  Rows are built here by counting,
 * not by the analyzer's own builder.  Out of memory aborts.
 *
 *	struct hand *h = hand_new(3);
 *	hand_edge(h, 0, 1);
 *	hand_edge(h, 1, 0);
 *	hand_hold(h, 2, 1);
 *	const struct graph *graph = hand_graph(h);	... hand_free(h);
 */
#ifndef HAND_GRAPH_H
#define HAND_GRAPH_H

#include "graph.h"

struct hand_edge {
	uint32_t from;
	struct graph_edge edge;
};

struct hand {
	struct trace trace;
	struct graph graph; /* nodes may be changed until hand_graph() */
	struct hand_edge *edge;
	uint32_t edge_count, edge_capacity;
	int64_t *held; /* counts from outside */
};

/* Nodes 0 .. nodes-1: 64 bytes each, at addresses 0x1000, 0x1040 ..., of type
 * "Node", native, generation 0, from no known allocation site. */
struct hand *hand_new(uint32_t nodes);
void hand_free(struct hand *h);

uint32_t hand_string(struct hand *h, const char *text); /* text must outlive h */
/* A script frame "function" in file, with no parent. */
uint32_t hand_site(struct hand *h, const char *function, const char *file, uint32_t line);

void hand_edge(struct hand *h, uint32_t from, uint32_t to);
void hand_edge_as(struct hand *h, uint32_t from, uint32_t to, enum castaway_strength strength,
		  const char *field);
void hand_hold(struct hand *h, uint32_t node, int64_t counts);
void hand_generation(struct hand *h, uint32_t node, unsigned generation);

/* Sets each count to the strong edges that lead in and the counts from
 * outside, and makes the rows. */
const struct graph *hand_graph(struct hand *h);

/* reach[a * n + b]: a path of at least one owning edge leads from a to b,
 * through nodes with in[node] (NULL = all); Warshall's closure. */
void hand_closure(const struct graph *graph, const bool *in, bool *reach);

uint64_t hand_random(uint64_t *seed);

#endif
