/* SPDX-License-Identifier: Apache-2.0
 *
 * Fields, their refutation by counts, and the second pass.  Never prints.
 */
#include "hidden.h"

#include <stdio.h>
#include <stdlib.h>

struct pointer {
	uint32_t type, offset; /* the field */
	uint32_t edge;
	bool borrowed; /* of all pointers of a field */
	bool held;     /* its target may be held by C code */
};

struct work {
	struct graph *graph;
	struct pointer *pointer; /* by field */
	size_t count;
	uint32_t *room;  /* of each node: counts that no exact reference explains */
	uint32_t *taken; /* of each node: by pointers that are taken for owners */
};

static bool is_pointer(const struct graph_edge *edge)
{
	return (edge->field_flags &
		(CASTAWAY_EDGE_STRENGTH | CASTAWAY_EDGE_SCANNED | CASTAWAY_EDGE_OFFSET)) ==
	       (CASTAWAY_UNKNOWN | CASTAWAY_EDGE_SCANNED | CASTAWAY_EDGE_OFFSET);
}

static int compare_pointers(const void *a, const void *b)
{
	const struct pointer *left = a, *right = b;

	if (left->type != right->type)
		return left->type < right->type ? -1 : 1;
	if (left->offset != right->offset)
		return left->offset < right->offset ? -1 : 1;
	return (left->edge > right->edge) - (left->edge < right->edge);
}

/* Calls `add` for each pointer of an instance of a type with traits. */
static void for_each_pointer(struct work *w, void (*add)(struct work *w, uint32_t node, uint32_t edge))
{
	const struct graph *graph = w->graph;

	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (graph->node[i].runtime != CASTAWAY_RUNTIME_CPYTHON ||
		    graph->first[i] == graph->first[i + 1] || !graph_trait(graph, graph->node[i].type))
			continue;
		for (uint32_t e = graph->first[i]; e < graph->first[i + 1]; e++) {
			if (is_pointer(&graph->edge[e]) &&
			    graph->node[graph->edge[e].to].flags & GRAPH_NODE_COUNTED)
				add(w, i, e);
		}
	}
}

static void count_pointer(struct work *w, uint32_t node, uint32_t edge)
{
	w->count++;
}

static void keep_pointer(struct work *w, uint32_t node, uint32_t edge)
{
	w->pointer[w->count++] =
		(struct pointer){.type = w->graph->node[node].type,
				 .offset = w->graph->edge[edge].detail,
				 .edge = edge,
				 .held = w->graph->edge[edge].field_flags & CASTAWAY_EDGE_HELD};
}

static bool collect(struct work *w)
{
	for_each_pointer(w, count_pointer);
	w->pointer = malloc((w->count + 1) * sizeof(*w->pointer));
	if (!w->pointer)
		return false;
	w->count = 0;
	for_each_pointer(w, keep_pointer);
	if (w->count)
		qsort(w->pointer, w->count, sizeof(*w->pointer), compare_pointers);
	return true;
}

/* ---- refutation --------------------------------------------------------------- */

static bool measure(struct work *w)
{
	const struct graph *graph = w->graph;
	size_t nodes = (size_t)graph->node_count + 1;

	w->room = malloc(nodes * sizeof(*w->room));
	w->taken = malloc(nodes * sizeof(*w->taken));
	if (!w->room || !w->taken)
		return false;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		int64_t count = graph->node[i].refcount;

		w->room[i] = count < 0 ? 0 : count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
	}
	for (uint32_t e = 0; e < graph->edge_count; e++) {
		if (graph_owns(&graph->edge[e]))
			w->room[graph->edge[e].to] -= w->room[graph->edge[e].to] > 0;
	}
	return true;
}

static bool is_refuted(const struct work *w, const struct pointer *pointer)
{
	uint32_t to = w->graph->edge[pointer->edge].to;

	return w->taken[to] > w->room[to];
}

/* The first pointer of the next field. */
static size_t end_of_field(const struct work *w, size_t first)
{
	size_t end = first + 1;

	while (end < w->count && w->pointer[end].type == w->pointer[first].type &&
	       w->pointer[end].offset == w->pointer[first].offset)
		end++;
	return end;
}

/* Where C code may hold whatever the field leads to, no count asks for the field. */
static void doubt(struct work *w)
{
	for (size_t first = 0, end; first < w->count; first = end) {
		bool held = true;

		end = end_of_field(w, first);
		for (size_t i = first; i < end; i++)
			held &= w->pointer[i].held;
		for (size_t i = first; held && i < end; i++)
			w->pointer[i].borrowed = true;
	}
}

/* One round over all fields; true when there must be another. */
static bool refute(struct work *w)
{
	bool more = false;

	for (size_t i = 0; i < w->count; i++)
		w->taken[w->graph->edge[w->pointer[i].edge].to] = 0;
	for (size_t i = 0; i < w->count; i++)
		w->taken[w->graph->edge[w->pointer[i].edge].to] += !w->pointer[i].borrowed;
	for (size_t first = 0, end; first < w->count; first = end) {
		bool refuted = false;

		end = end_of_field(w, first);
		for (size_t i = first; i < end; i++)
			refuted |= !w->pointer[i].borrowed && is_refuted(w, &w->pointer[i]);
		for (size_t i = first; refuted && i < end; i++)
			w->pointer[i].borrowed = true;
		more |= refuted;
	}
	return more;
}

static void mark_edges(struct work *w)
{
	for (size_t i = 0; i < w->count; i++) {
		struct graph_edge *edge = &w->graph->edge[w->pointer[i].edge];

		edge->field_flags &= ~CASTAWAY_EDGE_STRENGTH;
		edge->field_flags |= w->pointer[i].borrowed ? CASTAWAY_BORROWED : CASTAWAY_STRONG;
	}
}

/* ---- the second pass --------------------------------------------------------------- */

static enum error_code judge(struct graph *graph, const struct trial *exact, int generation,
			     struct verdict_result *ret, struct error *error)
{
	struct trial trial;
	struct scc scc;
	enum error_code code = trial_run_inferred(graph, GRAPH_OWNING | GRAPH_INFERRED, generation,
						  1u << CASTAWAY_RUNTIME_CPYTHON, &trial, error);

	if (code)
		return code;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (exact->state[i] == TRIAL_DEAD)
			trial.state[i] = TRIAL_EXTERNAL;
	}
	code = scc_run(graph, GRAPH_OWNING | GRAPH_INFERRED, trial.state, 1u << TRIAL_DEAD, &scc, error);
	if (!code) {
		code = verdict_inferred(graph, &scc, ret, error);
		scc_done(&scc);
	}
	trial_done(&trial);
	return code;
}

enum error_code hidden_find(struct graph *graph, const struct trial *trial, int generation,
			    struct verdict_result *ret, struct error *error)
{
	struct work w = {.graph = graph};
	enum error_code code = ERROR_NONE;
	bool ok = true;

	*ret = (struct verdict_result){0};
	if (!graph->trait_count)
		return ERROR_NONE;
	ok = collect(&w) && (!w.count || measure(&w));
	if (ok && w.count) {
		doubt(&w);
		while (refute(&w))
			;
		mark_edges(&w);
	}
	free(w.pointer);
	free(w.room);
	free(w.taken);
	if (!ok)
		return error_set(error, ERROR_MEMORY, "out of memory for hidden references");
	if (w.count)
		code = judge(graph, trial, generation, ret, error);
	return code;
}

enum error_code hidden_leave_out(const struct graph *graph, const struct structure *known, size_t count,
				 struct verdict_result *result, struct error *error)
{
	uint8_t *taken = result->count ? calloc((size_t)graph->node_count + 1, 1) : NULL;
	size_t kept = 0;

	if (!result->count)
		return ERROR_NONE;
	if (!taken)
		return error_set(error, ERROR_MEMORY, "out of memory for hidden references");
	for (size_t s = 0; s < count; s++) {
		for (uint32_t m = 0; m < known[s].member_count; m++)
			taken[known[s].members[m]] = 1;
		for (uint32_t m = 0; m < known[s].entrained_count; m++)
			taken[known[s].entrained[m]] = 1;
	}
	for (size_t s = 0; s < result->count; s++) {
		bool there = false;

		for (uint32_t m = 0; m < result->structures[s].member_count; m++)
			there |= taken[result->structures[s].members[m]];
		if (!there)
			result->structures[kept++] = result->structures[s];
	}
	result->count = kept;
	free(taken);
	return ERROR_NONE;
}

/* ---- advice ------------------------------------------------------------------------ */

static bool is_member(const struct structure *structure, uint32_t node)
{
	uint32_t low = 0, high = structure->member_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (structure->members[middle] < node)
			low = middle + 1;
		else
			high = middle;
	}
	return low < structure->member_count && structure->members[low] == node;
}

static void write_advice(const struct graph *graph, uint32_t node, uint32_t e, struct break_advice *ret)
{
	const struct graph_edge *edge = &graph->edge[e];
	const struct graph_trait *trait = graph_trait(graph, graph->node[node].type);
	const char *base = trace_text(graph->trace, trait->base);
	const bool silent = trait->traits & CASTAWAY_TYPE_NO_TRAVERSE;
	const bool firm = trait->traits & CASTAWAY_TYPE_NO_CLEAR;
	char field[80];

	*ret = (struct break_advice){
		.present = true,
		.from_type = trait->base,
		.field = graph_field(edge),
		.to_type = graph->node[edge->to].type,
		.edge_from = node,
		.edge = e,
	};
	if (graph_field(edge))
		snprintf(field, sizeof(field), "`%.60s`", trace_text(graph->trace, graph_field(edge)));
	else
		snprintf(field, sizeof(field), "offset %d", (int32_t)edge->detail);
	if (silent)
		snprintf(ret->action, sizeof(ret->action),
			 "give the extension type `%.80s` a tp_traverse%s, with Py_TPFLAGS_HAVE_GC", base,
			 firm ? " and a tp_clear" : "");
	else
		snprintf(ret->action, sizeof(ret->action),
			 "let tp_traverse%s of the extension type `%.80s` visit all that it holds",
			 firm ? " (and a tp_clear)" : " and tp_clear", base);
	snprintf(ret->reason, sizeof(ret->reason),
		 "%s, so Python's collector cannot see what `%.60s` holds at %s",
		 silent ? (firm ? "it lacks tp_traverse and tp_clear" : "it lacks tp_traverse")
			: "its tp_traverse leaves that out",
		 base, field);
}

void hidden_advice(const struct graph *graph, const struct structure *structure, struct break_advice *ret)
{
	*ret = (struct break_advice){0};
	for (uint32_t m = 0; m < structure->member_count; m++) {
		uint32_t node = structure->members[m];

		for (uint32_t e = graph->first[node]; e < graph->first[node + 1]; e++) {
			const struct graph_edge *edge = &graph->edge[e];

			if (!graph_is(edge, GRAPH_INFERRED) || !is_member(structure, edge->to) ||
			    !graph_trait(graph, graph->node[node].type))
				continue;
			write_advice(graph, node, e, ret);
			return;
		}
	}
}
