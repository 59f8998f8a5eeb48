/* SPDX-License-Identifier: Apache-2.0
 *
 * Hand-made graphs.
 */
#include "hand_graph.h"

#include <stdlib.h>
#include <string.h>

static void *grown(void *array, size_t count, size_t element)
{
	void *moved = realloc(array, (count ? count : 1) * element);

	if (!moved)
		abort();
	return moved;
}

uint32_t hand_string(struct hand *h, const char *text)
{
	struct trace *trace = &h->trace;

	/* From the newest: that one is asked for again and again. */
	for (uint32_t i = trace->string_count; i-- > 0;) {
		if (trace->strings[i].text == text || strcmp(trace->strings[i].text, text) == 0)
			return i;
	}
	trace->strings = grown(trace->strings, trace->string_count + 1u, sizeof(*trace->strings));
	trace->strings[trace->string_count] = (struct trace_string){text, (uint32_t)strlen(text)};
	return trace->string_count++;
}

uint32_t hand_site(struct hand *h, const char *function, const char *file, uint32_t line)
{
	struct trace *trace = &h->trace;
	struct trace_frame frame = {.tag = CASTAWAY_FRAME_SCRIPT, .line = line};

	frame.function = hand_string(h, function);
	frame.file = hand_string(h, file);
	trace->frames = grown(trace->frames, trace->frame_count + 1u, sizeof(*trace->frames));
	trace->frames[trace->frame_count] = frame;
	return trace->frame_count++;
}

struct hand *hand_new(uint32_t nodes)
{
	struct hand *h = grown(NULL, 1, sizeof(*h));
	uint32_t type;

	*h = (struct hand){0};
	hand_string(h, "");
	type = hand_string(h, "Node");
	h->trace.frames = grown(NULL, 1, sizeof(*h->trace.frames));
	h->trace.frames[0] = (struct trace_frame){0};
	h->trace.frame_count = 1;
	h->graph.trace = &h->trace;
	h->graph.node_count = nodes;
	h->graph.node = grown(NULL, nodes, sizeof(*h->graph.node));
	h->held = grown(NULL, nodes, sizeof(*h->held));
	for (uint32_t i = 0; i < nodes; i++) {
		h->held[i] = 0;
		h->graph.node[i] = (struct graph_node){
			.address = 0x1000 + 64 * (uint64_t)i,
			.size = 64,
			.type = type,
			.runtime = CASTAWAY_RUNTIME_NATIVE,
			.flags = GRAPH_NODE_COUNTED,
		};
	}
	return h;
}

void hand_free(struct hand *h)
{
	free(h->trace.strings);
	free(h->trace.frames);
	free(h->graph.node);
	free(h->graph.first);
	free(h->graph.edge);
	free(h->edge);
	free(h->held);
	free(h);
}

void hand_edge_as(struct hand *h, uint32_t from, uint32_t to, enum castaway_strength strength,
		  const char *field)
{
	uint32_t flags = (uint32_t)strength | (field ? CASTAWAY_EDGE_FIELD : 0);

	if (h->edge_count == h->edge_capacity) {
		h->edge_capacity = h->edge_capacity ? 2 * h->edge_capacity : 16;
		h->edge = grown(h->edge, h->edge_capacity, sizeof(*h->edge));
	}
	h->edge[h->edge_count++] = (struct hand_edge){
		from, {.to = to, .field_flags = (field ? hand_string(h, field) : 0) << 8 | flags}};
}

void hand_edge(struct hand *h, uint32_t from, uint32_t to)
{
	hand_edge_as(h, from, to, CASTAWAY_STRONG, NULL);
}

void hand_hold(struct hand *h, uint32_t node, int64_t counts)
{
	h->held[node] += counts;
}

void hand_generation(struct hand *h, uint32_t node, unsigned generation)
{
	h->graph.node[node].flags &= (uint8_t)~GRAPH_NODE_GENERATION;
	h->graph.node[node].flags |= (uint8_t)generation;
}

const struct graph *hand_graph(struct hand *h)
{
	struct graph *graph = &h->graph;
	uint32_t *next = grown(NULL, graph->node_count + 1u, sizeof(*next));

	free(graph->first);
	free(graph->edge);
	graph->first = grown(NULL, graph->node_count + 1u, sizeof(*graph->first));
	graph->edge = grown(NULL, h->edge_count, sizeof(*graph->edge));
	graph->edge_count = h->edge_count;
	memset(graph->first, 0, (graph->node_count + 1u) * sizeof(*graph->first));
	for (uint32_t i = 0; i < graph->node_count; i++)
		graph->node[i].refcount = h->held[i];
	for (uint32_t e = 0; e < h->edge_count; e++) {
		graph->first[h->edge[e].from + 1]++;
		if ((h->edge[e].edge.field_flags & CASTAWAY_EDGE_STRENGTH) == CASTAWAY_STRONG)
			graph->node[h->edge[e].edge.to].refcount++;
	}
	for (uint32_t i = 0; i < graph->node_count; i++) {
		next[i] = graph->first[i];
		graph->first[i + 1] += graph->first[i];
	}
	for (uint32_t e = 0; e < h->edge_count; e++)
		graph->edge[next[h->edge[e].from]++] = h->edge[e].edge;
	free(next);
	return graph;
}

void hand_closure(const struct graph *graph, const bool *in, bool *reach)
{
	uint32_t n = graph->node_count;

	memset(reach, 0, (size_t)n * n * sizeof(*reach));
	for (uint32_t a = 0; a < n; a++) {
		for (uint32_t e = graph->first[a]; e < graph->first[a + 1]; e++) {
			uint32_t b = graph->edge[e].to;

			if ((graph->edge[e].field_flags & CASTAWAY_EDGE_STRENGTH) == CASTAWAY_STRONG &&
			    (!in || (in[a] && in[b])))
				reach[a * n + b] = true;
		}
	}
	for (uint32_t k = 0; k < n; k++) {
		for (uint32_t a = 0; a < n; a++) {
			for (uint32_t b = 0; b < n && reach[a * n + k]; b++)
				reach[a * n + b] |= reach[k * n + b];
		}
	}
}

uint64_t hand_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}
