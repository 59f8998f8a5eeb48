/* SPDX-License-Identifier: Apache-2.0
 *
 * The object graph as V8 writes heaps, for the memory panel of Chromium's
 * developer tools: its retainers and dominators then work on native objects.
 * Below the root, "(roots)" has what the target itself holds and "(stranded)"
 * the members of each structure that is not latent.
 * Source of the format: V8's HeapSnapshotJSONSerializer (src/profiler).
 */
#include <inttypes.h>
#include <stdlib.h>

#include "jsontext.h"
#include "report_model.h"

/* Of the meta block below. */
enum node_type { NODE_OBJECT = 3, NODE_NATIVE = 8, NODE_SYNTHETIC = 9 };
enum edge_type { EDGE_ELEMENT = 1, EDGE_PROPERTY = 2 };
#define NODE_FIELDS 7u

#define META                                                                                                 \
	"{\"node_fields\":[\"type\",\"name\",\"id\",\"self_size\",\"edge_count\",\"trace_node_id\","         \
	"\"detachedness\"],\"node_types\":[[\"hidden\",\"array\",\"string\",\"object\",\"code\","            \
	"\"closure\","                                                                                       \
	"\"regexp\",\"number\",\"native\",\"synthetic\",\"concatenated string\",\"sliced "                   \
	"string\",\"symbol\","                                                                               \
	"\"bigint\"],\"string\",\"number\",\"number\",\"number\",\"number\",\"number\"],"                    \
	"\"edge_fields\":[\"type\",\"name_or_index\",\"to_node\"],\"edge_types\":[[\"context\",\"element\"," \
	"\"property\",\"internal\",\"hidden\",\"shortcut\",\"weak\"],\"string_or_number\",\"node\"],"        \
	"\"trace_function_info_fields\":[\"function_id\",\"name\",\"script_name\",\"script_id\",\"line\","   \
	"\"column\"],\"trace_node_fields\":[\"id\",\"function_info_index\",\"count\",\"size\",\"children\"]" \
	","                                                                                                  \
	"\"sample_fields\":[\"timestamp_us\",\"last_assigned_id\"],"                                         \
	"\"location_fields\":[\"object_index\",\"script_id\",\"line\",\"column\"]}"

/* The strings after those of the trace. */
enum own_string { OWN_EMPTY, OWN_ROOTS, OWN_STRANDED, OWN_BLOCK, OWN_UNKNOWN, OWN_COUNT };
static const char *const own_strings[OWN_COUNT] = {"", "(roots)", "(stranded)", "block", "?"};

/* Synthetic nodes come first. */
enum { TOP, ROOTS, STRANDED, FIRST };

struct heap {
	FILE *out;
	const struct analysis *analysis;
	const struct graph *graph;
	bool comma;
};

static uint32_t own(const struct heap *heap, enum own_string string)
{
	return heap->analysis->trace->string_count + (uint32_t)string;
}

static void put_row(struct heap *heap, const uint64_t *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		fprintf(heap->out, "%s%" PRIu64, heap->comma ? "," : "", values[i]);
		heap->comma = true;
	}
	fputc('\n', heap->out);
}

static void begin_rows(struct heap *heap, const char *key)
{
	fprintf(heap->out, ",\n\"%s\":[", key);
	heap->comma = false;
}

static bool is_shown(const struct structure *structure)
{
	return structure->verdict != VERDICT_LATENT && structure->members;
}

static uint64_t count_stranded(const struct analysis *analysis)
{
	uint64_t count = 0;

	for (size_t i = 0; i < analysis->structure_count; i++)
		count += is_shown(&analysis->structures[i]) ? analysis->structures[i].member_count : 0;
	return count;
}

/* What keeps nothing alive would mislead the tool's retainers. */
static bool is_holding(const struct graph_edge *edge)
{
	return graph_is(edge, GRAPH_HOLDING);
}

static uint64_t count_edges(const struct graph *graph, uint32_t node)
{
	uint64_t count = 0;

	for (uint32_t e = graph->first[node]; e < graph->first[node + 1]; e++)
		count += is_holding(&graph->edge[e]);
	return count;
}

static uint64_t count_all_edges(const struct heap *heap)
{
	uint64_t count = 2 + heap->graph->root_count + count_stranded(heap->analysis);

	for (uint32_t i = 0; i < heap->graph->node_count; i++)
		count += count_edges(heap->graph, i);
	return count;
}

static uint32_t name_of(const struct heap *heap, const struct graph_node *node)
{
	if (*trace_text(heap->analysis->trace, node->type))
		return node->type;
	return own(heap, node->flags & GRAPH_NODE_BLOCK ? OWN_BLOCK : OWN_UNKNOWN);
}

static void write_nodes(struct heap *heap)
{
	const struct graph *graph = heap->graph;
	const uint64_t top[FIRST][NODE_FIELDS] = {
		{NODE_SYNTHETIC, own(heap, OWN_EMPTY), 1, 0, 2, 0, 0},
		{NODE_SYNTHETIC, own(heap, OWN_ROOTS), 3, 0, graph->root_count, 0, 0},
		{NODE_SYNTHETIC, own(heap, OWN_STRANDED), 5, 0, count_stranded(heap->analysis), 0, 0},
	};

	begin_rows(heap, "nodes");
	for (size_t i = 0; i < FIRST; i++)
		put_row(heap, top[i], NODE_FIELDS);
	for (uint32_t i = 0; i < graph->node_count; i++) {
		const struct graph_node *node = &graph->node[i];
		const uint64_t row[NODE_FIELDS] = {
			node->flags & GRAPH_NODE_BLOCK ? NODE_NATIVE : NODE_OBJECT,
			name_of(heap, node),
			/* V8's own objects have odd numbers. */
			2 * (uint64_t)(FIRST + i) + 1,
			node->size,
			count_edges(graph, i),
			0,
			0,
		};

		put_row(heap, row, NODE_FIELDS);
	}
	fputs("]", heap->out);
}

static void put_edge(struct heap *heap, enum edge_type type, uint64_t name, uint64_t to)
{
	const uint64_t row[] = {type, name, to * NODE_FIELDS};

	put_row(heap, row, 3);
}

static void write_node_edges(struct heap *heap, uint32_t node)
{
	const struct graph *graph = heap->graph;

	for (uint32_t e = graph->first[node]; e < graph->first[node + 1]; e++) {
		const struct graph_edge *edge = &graph->edge[e];
		bool named = *trace_text(heap->analysis->trace, graph_field(edge)) != '\0';

		if (is_holding(edge))
			put_edge(heap, named ? EDGE_PROPERTY : EDGE_ELEMENT,
				 named ? graph_field(edge) : e - graph->first[node], FIRST + edge->to);
	}
}

/* In the order of their nodes. */
static void write_edges(struct heap *heap)
{
	const struct analysis *analysis = heap->analysis;
	uint64_t index = 0;

	begin_rows(heap, "edges");
	put_edge(heap, EDGE_ELEMENT, 0, ROOTS);
	put_edge(heap, EDGE_ELEMENT, 1, STRANDED);
	for (size_t i = 0; i < heap->graph->root_count; i++)
		put_edge(heap, EDGE_ELEMENT, i, FIRST + heap->graph->root[i].node);
	for (size_t i = 0; i < analysis->structure_count; i++) {
		const struct structure *structure = &analysis->structures[i];

		for (uint32_t m = 0; is_shown(structure) && m < structure->member_count; m++)
			put_edge(heap, EDGE_ELEMENT, index++, FIRST + structure->members[m]);
	}
	for (uint32_t i = 0; i < heap->graph->node_count; i++)
		write_node_edges(heap, i);
	fputs("]", heap->out);
}

static void write_strings(struct heap *heap)
{
	const struct trace *trace = heap->analysis->trace;
	struct jsontext json;

	fputs(",\n\"strings\":", heap->out);
	jsontext_start(&json, heap->out);
	jsontext_array(&json, NULL, JSONTEXT_LINES);
	for (uint32_t i = 0; i < trace->string_count; i++)
		jsontext_string(&json, NULL, trace_text(trace, i));
	for (unsigned i = 0; i < OWN_COUNT; i++)
		jsontext_string(&json, NULL, own_strings[i]);
	jsontext_array_end(&json);
}

static enum error_code write_heapsnapshot(struct report_model *model, FILE *out, struct error *error)
{
	struct heap heap = {.out = out, .analysis = model->analysis, .graph = model->analysis->graph};

	fprintf(out,
		"{\"snapshot\":{\"meta\":%s,\n\"node_count\":%" PRIu32 ",\"edge_count\":%" PRIu64
		",\"trace_function_count\":0}",
		META, FIRST + heap.graph->node_count, count_all_edges(&heap));
	write_nodes(&heap);
	write_edges(&heap);
	fputs(",\n\"trace_function_infos\":[],\"trace_tree\":[],\"samples\":[],\"locations\":[]", out);
	write_strings(&heap);
	fputs("}\n", out);
	return ERROR_NONE;
}

const struct report_format report_heapsnapshot = {"heapsnapshot", write_heapsnapshot};
