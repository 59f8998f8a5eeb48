/* SPDX-License-Identifier: Apache-2.0
 *
 * Condensation, source components and who entrains what.  All steps are
 * linear: components come from scc.c in reverse topological order, so one walk
 * from the highest number down sees every component after all that lead to it.
 */
#include "verdict.h"

#include <stdlib.h>
#include <string.h>

static const char *const verdict_names[VERDICT_COUNT] = {
	[VERDICT_STRANDED] = "stranded",
	[VERDICT_LIKELY_STRANDED] = "likely-stranded",
	[VERDICT_OVER_REFERENCED] = "over-referenced",
	[VERDICT_LEAKED] = "leaked",
	[VERDICT_LATENT] = "latent",
};

const char *verdict_name(enum verdict verdict)
{
	return (unsigned)verdict < VERDICT_COUNT ? verdict_names[verdict] : "unknown";
}

bool verdict_parse(const char *name, enum verdict *ret)
{
	for (int v = 0; v < VERDICT_COUNT; v++) {
		if (strcmp(name, verdict_names[v]) == 0) {
			*ret = (enum verdict)v;
			return true;
		}
	}
	return false;
}

#define CYCLIC  0x01u /* has an edge inside */
#define COVERED 0x02u /* another component that counts leads to it */

/* What becomes a structure. */
enum mode {
	MODE_STRANDED, /* cyclic components that no cyclic one leads to */
	MODE_LOST,     /* components that no other leads to */
	MODE_LATENT,   /* all cyclic components */
};

struct work {
	enum mode mode;
	uint32_t kinds; /* of edges */
	const struct graph *graph;
	const struct scc *scc;
	uint8_t *flags;   /* per component: CYCLIC, COVERED */
	uint32_t *number; /* per component: its structure, GRAPH_NONE = none */
	uint32_t *owner;  /* per node: the structure it belongs to */
	uint32_t structures;
};

static enum error_code out_of_memory(const struct graph *graph, struct error *error)
{
	return error_set(error, ERROR_MEMORY, "out of memory for the structures of %u objects",
			 graph->node_count);
}

/* An edge inside a component makes it cyclic: a self-edge, or there are
 * several nodes and each has one. */
static void mark_cyclic(struct work *w)
{
	const struct graph *graph = w->graph;
	const uint32_t *component = w->scc->component;

	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (component[i] == GRAPH_NONE || w->flags[component[i]] & CYCLIC)
			continue;
		for (uint32_t e = graph->first[i]; e < graph->first[i + 1]; e++) {
			if (component[graph->edge[e].to] == component[i] &&
			    graph_is(&graph->edge[e], w->kinds)) {
				w->flags[component[i]] |= CYCLIC;
				break;
			}
		}
	}
}

/* Counting sort of the nodes by component; start[c + 1] is the end of c. */
static uint32_t *nodes_by_component(const struct graph *graph, const struct scc *scc, uint32_t *start)
{
	uint32_t total = 0, *node;

	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (scc->component[i] != GRAPH_NONE)
			start[scc->component[i]]++;
	}
	for (uint32_t c = 0; c < scc->count; c++) {
		uint32_t count = start[c];

		start[c] = total;
		total += count;
	}
	node = malloc(((size_t)total + 1) * sizeof(*node));
	if (!node)
		return NULL;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (scc->component[i] != GRAPH_NONE)
			node[start[scc->component[i]]++] = i;
	}
	/* The starts have become the ends: move them up by one. */
	memmove(start + 1, start, scc->count * sizeof(*start));
	start[0] = 0;
	return node;
}

static void cover_targets(struct work *w, uint32_t node, uint32_t own)
{
	const struct graph *graph = w->graph;

	for (uint32_t e = graph->first[node]; e < graph->first[node + 1]; e++) {
		uint32_t other = w->scc->component[graph->edge[e].to];

		if (other != GRAPH_NONE && other != own && graph_is(&graph->edge[e], w->kinds))
			w->flags[other] |= COVERED;
	}
}

static enum error_code mark_covered(struct work *w, struct error *error)
{
	uint32_t *start = calloc((size_t)w->scc->count + 1, sizeof(*start));
	uint32_t *node = start ? nodes_by_component(w->graph, w->scc, start) : NULL;

	if (!node) {
		free(start);
		return out_of_memory(w->graph, error);
	}
	for (uint32_t c = w->scc->count; c-- > 0;) {
		if (w->mode == MODE_STRANDED && !w->flags[c])
			continue;
		for (uint32_t i = start[c]; i < start[c + 1]; i++)
			cover_targets(w, node[i], c);
	}
	free(node);
	free(start);
	return ERROR_NONE;
}

static bool is_structure(const struct work *w, uint32_t component)
{
	unsigned flags = w->flags[component];

	return w->mode == MODE_LOST ? !(flags & COVERED) : flags == CYCLIC;
}

/* Numbers the components that become structures, by smallest member, and
 * gives their members to them. */
static void number_structures(struct work *w)
{
	memset(w->number, 0xff, (size_t)w->scc->count * sizeof(*w->number));
	for (uint32_t i = 0; i < w->graph->node_count; i++) {
		uint32_t c = w->scc->component[i];

		w->owner[i] = GRAPH_NONE;
		if (c == GRAPH_NONE || !is_structure(w, c))
			continue;
		if (w->number[c] == GRAPH_NONE)
			w->number[c] = w->structures++;
		w->owner[i] = w->number[c];
	}
}

/* Breadth-first from all members at once, in the order of their addresses. */
static enum error_code entrain(struct work *w, struct error *error)
{
	const struct graph *graph = w->graph;
	uint32_t *queue = malloc(((size_t)graph->node_count + 1) * sizeof(*queue));
	uint32_t tail = 0;

	if (!queue)
		return out_of_memory(graph, error);
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (w->owner[i] != GRAPH_NONE)
			queue[tail++] = i;
	}
	for (uint32_t head = 0; head < tail; head++) {
		uint32_t node = queue[head];

		for (uint32_t e = graph->first[node]; e < graph->first[node + 1]; e++) {
			uint32_t to = graph->edge[e].to;

			if (w->scc->component[to] == GRAPH_NONE || w->owner[to] != GRAPH_NONE ||
			    !graph_is(&graph->edge[e], w->kinds))
				continue;
			w->owner[to] = w->owner[node];
			queue[tail++] = to;
		}
	}
	free(queue);
	return ERROR_NONE;
}

static bool is_member(const struct work *w, uint32_t node)
{
	return w->number[w->scc->component[node]] == w->owner[node];
}

static void count_nodes(const struct work *w, struct verdict_result *result)
{
	for (uint32_t i = 0; i < w->graph->node_count; i++) {
		struct structure *s;

		if (w->scc->component[i] == GRAPH_NONE)
			continue;
		if (w->owner[i] == GRAPH_NONE) {
			result->lone_count++;
			continue;
		}
		s = &result->structures[w->owner[i]];
		if (is_member(w, i)) {
			s->member_count++;
			s->member_bytes += w->graph->node[i].size;
		} else {
			s->entrained_count++;
			s->entrained_bytes += w->graph->node[i].size;
		}
	}
}

/* Each structure's nodes stand together in `nodes`, members first, both by
 * address; the lone ones come last.  The counts serve as cursors. */
static void place_nodes(const struct work *w, struct verdict_result *result)
{
	uint32_t at = 0, lone = 0;

	for (size_t i = 0; i < result->count; i++) {
		struct structure *s = &result->structures[i];

		s->members = result->nodes + at;
		s->entrained = s->members + s->member_count;
		at += s->member_count + s->entrained_count;
		s->member_count = s->entrained_count = 0;
	}
	result->lone = result->nodes + at;
	for (uint32_t i = 0; i < w->graph->node_count; i++) {
		struct structure *s;

		if (w->scc->component[i] == GRAPH_NONE)
			continue;
		if (w->owner[i] == GRAPH_NONE) {
			result->nodes[at + lone++] = i;
			continue;
		}
		s = &result->structures[w->owner[i]];
		if (is_member(w, i))
			s->members[s->member_count++] = i;
		else
			s->entrained[s->entrained_count++] = i;
	}
}

static enum verdict verdict_of(const struct work *w, const struct structure *s)
{
	uint32_t component = w->scc->component[s->members[0]];

	if (w->mode == MODE_LATENT)
		return VERDICT_LATENT;
	if (w->kinds & GRAPH_INFERRED && w->mode == MODE_STRANDED)
		return VERDICT_LIKELY_STRANDED;
	return w->flags[component] & CYCLIC ? VERDICT_STRANDED : VERDICT_LEAKED;
}

static enum error_code collect(const struct work *w, struct verdict_result *result, struct error *error)
{
	uint32_t total = 0;

	for (uint32_t i = 0; i < w->graph->node_count; i++)
		total += w->scc->component[i] != GRAPH_NONE;
	result->structures = calloc((size_t)w->structures + 1, sizeof(*result->structures));
	result->nodes = malloc(((size_t)total + 1) * sizeof(*result->nodes));
	if (!result->structures || !result->nodes)
		return out_of_memory(w->graph, error);
	result->count = w->structures;
	count_nodes(w, result);
	place_nodes(w, result);
	for (size_t i = 0; i < result->count; i++) {
		result->structures[i].verdict = verdict_of(w, &result->structures[i]);
		result->structures[i].survived = GRAPH_NONE;
		result->structures[i].culprit = GRAPH_NONE;
		result->structures[i].scanned = w->mode == MODE_LOST;
		result->structures[i].inferred = result->structures[i].verdict == VERDICT_LIKELY_STRANDED;
	}
	return ERROR_NONE;
}

static enum error_code run(struct work *w, struct verdict_result *result, struct error *error)
{
	enum error_code code = ERROR_NONE;

	w->flags = calloc((size_t)w->scc->count + 1, 1);
	w->number = malloc(((size_t)w->scc->count + 1) * sizeof(*w->number));
	w->owner = malloc(((size_t)w->graph->node_count + 1) * sizeof(*w->owner));
	if (!w->flags || !w->number || !w->owner)
		return out_of_memory(w->graph, error);
	mark_cyclic(w);
	if (w->mode != MODE_LATENT)
		code = mark_covered(w, error);
	if (code)
		return code;
	number_structures(w);
	if (w->mode != MODE_LATENT)
		code = entrain(w, error);
	return code ? code : collect(w, result, error);
}

static enum error_code run_and_free(struct work work, struct verdict_result *ret, struct error *error)
{
	struct verdict_result result = {0};
	enum error_code code = run(&work, &result, error);

	free(work.flags);
	free(work.number);
	free(work.owner);
	if (code)
		verdict_done(&result);
	else
		*ret = result;
	return code;
}

enum error_code verdict_stranded(const struct graph *graph, const struct scc *scc, struct verdict_result *ret,
				 struct error *error)
{
	struct work work = {.mode = MODE_STRANDED, .kinds = GRAPH_OWNING, .graph = graph, .scc = scc};

	return run_and_free(work, ret, error);
}

enum error_code verdict_inferred(const struct graph *graph, const struct scc *scc, struct verdict_result *ret,
				 struct error *error)
{
	struct work work = {
		.mode = MODE_STRANDED, .kinds = GRAPH_OWNING | GRAPH_INFERRED, .graph = graph, .scc = scc};

	return run_and_free(work, ret, error);
}

enum error_code verdict_lost(const struct graph *graph, const struct scc *scc, struct verdict_result *ret,
			     struct error *error)
{
	struct work work = {.mode = MODE_LOST, .kinds = GRAPH_HOLDING, .graph = graph, .scc = scc};

	return run_and_free(work, ret, error);
}

enum error_code verdict_latent(const struct graph *graph, const struct scc *scc, struct verdict_result *ret,
			       struct error *error)
{
	struct work work = {.mode = MODE_LATENT, .kinds = GRAPH_OWNING, .graph = graph, .scc = scc};

	return run_and_free(work, ret, error);
}

void verdict_done(struct verdict_result *result)
{
	free(result->structures);
	free(result->nodes);
	*result = (struct verdict_result){0};
}
