/* SPDX-License-Identifier: Apache-2.0
 *
 * Analyses made by hand; see world.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

void world_set_strings(struct world *w, const char *const texts[TEXT_COUNT])
{
	for (int i = 0; i < TEXT_COUNT; i++)
		w->strings[i] = (struct trace_string){texts[i], (uint32_t)strlen(texts[i])};
}

/* A trace of a program that ran 1.5 s, with one script frame under another. */
struct world *world_new(void)
{
	static const char *const texts[TEXT_COUNT] = {"",       "Parent", "Child",        "Text", "child",
						      "parent", "grow",   "/src/tree.py", "name"};
	struct world *w = calloc(1, sizeof(*w));
	struct symbols_options options = {.off = true};

	assert_non_null(w);
	world_set_strings(w, texts);
	w->trace = (struct trace){
		.path = (char *)"tree.7.castaway",
		.strings = w->strings,
		.string_count = TEXT_COUNT,
		.frames = w->frames,
		.frame_count = 3,
		.argv = w->argv,
		.argc = 2,
		.has_end = true,
		.end_reason = CASTAWAY_END_EXIT,
		.end_ticks = 1500000000,
		.end_events = 77,
		.complete = true,
	};
	w->trace.header.pid = 7;
	w->trace.header.clock_source = CASTAWAY_CLOCK_MONOTONIC;
	w->trace.header.start_realtime_ns = UINT64_C(951782400123456789); /* the leap day of 2000 */
	memcpy(w->trace.header.writer, "0.1.0", 5);
	w->argv[0] = (char *)"./tree";
	w->argv[1] = (char *)"--deep";
	for (uint32_t i = 1; i < 3; i++) {
		w->frames[i] =
			(struct trace_frame){.parent = i - 1, .tag = CASTAWAY_FRAME_SCRIPT, .line = 10 * i};
		w->frames[i].function = TEXT_FUNCTION;
		w->frames[i].file = TEXT_FILE;
	}
	w->graph = (struct graph){.trace = &w->trace, .node = w->nodes, .first = w->first, .edge = w->edges};
	w->analysis.trace = &w->trace;
	w->analysis.graph = &w->graph;
	w->analysis.ticks = 1400000000;
	assert_int_equal(symbols_new(&w->trace, &options, &w->analysis.symbols, NULL), ERROR_NONE);
	return w;
}

void world_free(struct world *w)
{
	symbols_free(w->analysis.symbols);
	free(w);
}

static void add_node(struct world *w, uint32_t type)
{
	uint32_t i = w->graph.node_count++;

	w->nodes[i] = (struct graph_node){.address = 0x1000 + 0x100 * (uint64_t)i,
					  .size = 32,
					  .refcount = 1,
					  .type = type,
					  .stack = 2,
					  .thread = 1,
					  .runtime = CASTAWAY_RUNTIME_NATIVE,
					  .flags = GRAPH_NODE_COUNTED};
	w->first[i + 1] = w->first[i];
	w->order[i] = i;
}

/* Of the node that was added last. */
static void add_edge(struct world *w, uint32_t to, uint32_t field)
{
	w->edges[w->graph.edge_count++] =
		(struct graph_edge){to, field << 8 | CASTAWAY_EDGE_FIELD | CASTAWAY_EDGE_STACK, 1};
	w->first[w->graph.node_count] = w->graph.edge_count;
}

static void set_finding(struct world *w, uint32_t structures)
{
	struct finding *f = &w->findings[0];

	*f = (struct finding){.fingerprint = 0xabcdef,
			      .verdict = VERDICT_STRANDED,
			      .count = structures,
			      .evidence = {2, 2, 0, 0, "weak", "exact"}};
	for (uint32_t i = 0; i < structures; i++) {
		f->objects += w->structures[i].member_count + w->structures[i].entrained_count;
		f->entrained_objects += w->structures[i].entrained_count;
		f->entrained_bytes += w->structures[i].entrained_bytes;
		f->bytes += w->structures[i].member_bytes + w->structures[i].entrained_bytes;
	}
	w->analysis.structures = w->structures;
	w->analysis.structure_count = structures;
	w->analysis.findings = w->findings;
	w->analysis.finding_count = 1;
}

/* What surrounds the findings: a limit, a snapshot, a runtime, totals. */
static void set_surroundings(struct world *w)
{
	w->limits[0] = (struct trace_limit){CASTAWAY_LIMIT_STACK_DEPTH, 3, (char *)"64 frames"};
	w->trace.limits = w->limits;
	w->trace.limit_count = 1;
	w->snapshot = (struct trace_snapshot){.reason = CASTAWAY_REASON_EXIT,
					      .method = CASTAWAY_METHOD_SIGNAL,
					      .pause_ns = 2500000,
					      .name = (char *)""};
	w->analysis.snapshot = &w->snapshot;
	w->runtimes[0] = (struct runtime_row){.runtime = CASTAWAY_RUNTIME_NATIVE,
					      .objects = 6,
					      .enabled = true,
					      .status = CASTAWAY_STATUS_EXACT};
	w->runtimes[0].generation[1].objects = 6;
	w->analysis.runtimes = w->runtimes;
	w->analysis.runtime_count = 1;
	w->analysis.summary = (struct analysis_summary){.objects = 6,
							.edges = 6,
							.structures = 2,
							.stranded_structures = 2,
							.stranded_objects = 6,
							.stranded_bytes = 192};
}

/* Two pairs: nodes 0..2 and 3..5 are Parent, Child, Text. */
struct world *world_new_pairs(void)
{
	struct world *w = world_new();

	for (uint32_t i = 0; i < 6; i += 3) {
		add_node(w, TEXT_PARENT);
		add_edge(w, i + 1, TEXT_FIELD_CHILD);
		add_node(w, TEXT_CHILD);
		add_edge(w, i, TEXT_FIELD_PARENT);
		add_edge(w, i + 2, TEXT_NAME);
		add_node(w, TEXT_DATA);
		w->structures[i / 3] = (struct structure){.members = &w->order[i],
							  .member_count = 2,
							  .entrained = &w->order[i + 2],
							  .entrained_count = 1,
							  .member_bytes = 64,
							  .entrained_bytes = 32,
							  .survived = GRAPH_NONE};
	}
	set_finding(w, 2);
	w->findings[0].advice = (struct break_advice){
		true, TEXT_CHILD, TEXT_FIELD_PARENT,          TEXT_PARENT,
		1,    1,          "make `Child.parent` weak", "it points back to its owner"};
	w->findings[0].stranded_at = (struct stranding){true, 70, 1300000000, 1, 2, 0, CASTAWAY_EVENT_UNREF};
	set_surroundings(w);
	return w;
}

struct world *world_new_ring(uint32_t count)
{
	struct world *w = world_new();

	for (uint32_t i = 0; i < count; i++) {
		add_node(w, TEXT_PARENT);
		add_edge(w, (i + 1) % count, TEXT_FIELD_CHILD);
	}
	w->structures[0] = (struct structure){.members = w->order,
					      .member_count = count,
					      .survived = 3,
					      .member_bytes = 32 * (uint64_t)count};
	set_finding(w, 1);
	return w;
}

char *world_render(const struct world *w, const char *format, const struct report_options *options)
{
	const struct report_format *found = report_find(format);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(found);
	assert_non_null(out);
	assert_int_equal(report_write(found, &w->analysis, options, out, NULL), ERROR_NONE);
	fclose(out);
	assert_int_equal(strlen(text), size);
	return text;
}
