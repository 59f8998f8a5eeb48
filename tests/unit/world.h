/* SPDX-License-Identifier: Apache-2.0
 *
 * Analyses made by hand, for the tests of the report writers.
 */
#ifndef WORLD_H
#define WORLD_H

#include "report.h"

enum {
	TEXT_NONE,
	TEXT_PARENT,
	TEXT_CHILD,
	TEXT_DATA,
	TEXT_FIELD_CHILD,
	TEXT_FIELD_PARENT,
	TEXT_FUNCTION,
	TEXT_FILE,
	TEXT_NAME,
	TEXT_COUNT
};

#define MAX_NODES 2000

struct world {
	struct trace trace;
	struct trace_string strings[TEXT_COUNT];
	struct trace_frame frames[3];
	char *argv[2];
	struct trace_limit limits[1];
	struct trace_snapshot snapshot;
	struct graph graph;
	struct graph_node nodes[MAX_NODES];
	uint32_t first[MAX_NODES + 1];
	struct graph_edge edges[2 * MAX_NODES];
	uint32_t order[MAX_NODES];
	struct structure structures[2];
	struct finding findings[1];
	struct leak leaks[1];
	struct runtime_row runtimes[1];
	struct analysis analysis;
};

/* A trace of a program that ran 1.5 s, with one script frame under another,
 * and nothing found in it. */
struct world *world_new(void);
/* Two pairs: nodes 0..2 and 3..5 are Parent, Child, Text. */
struct world *world_new_pairs(void);
/* One structure: Parent 0 -> Parent 1 -> ... -> Parent 0. */
struct world *world_new_ring(uint32_t count);
void world_free(struct world *w);

void world_set_strings(struct world *w, const char *const texts[TEXT_COUNT]);

/* The report as one malloc'ed text. */
char *world_render(const struct world *w, const char *format, const struct report_options *options);

#endif
