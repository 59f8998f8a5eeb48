/* SPDX-License-Identifier: Apache-2.0
 *
 * Votes of the living objects, pass by pass, until nothing changes.  A place for
 * which both is voted stays undecided, and so do in the end those that own more
 * of an object than it has counts.  Linear in the pointers, per pass.
 */
#include "slots.h"

#include <stdlib.h>

#include "address_table.h"

#define MAX_PASSES 12u
/* The elements of something larger are all alike. */
#define ARRAY_SIZE 160u

struct slot {
	uint64_t key; /* its first member is the key */
	uint8_t strength;
	bool owns, borrows; /* votes of all passes */
	bool disputed;
};

struct slots {
	struct address_table table;
};

/* A pointer to the object at hand. */
struct pointer {
	struct slot *slot; /* NULL: known to own a count */
};

struct inference {
	const struct graph *graph;
	const uint8_t *reach;
	struct slots *slots;
	uint32_t *first; /* per node: its pointers; node_count + 1 */
	struct pointer *pointer;
	uint32_t *roots; /* per node */
	struct error *error;
};

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

static uint64_t key_of(const struct graph *graph, uint32_t from, const struct graph_edge *edge)
{
	const struct graph_node *owner = &graph->node[from];
	uint64_t key = mix(owner->runtime, owner->type ? owner->type : UINT64_C(1) << 40 | owner->stack);

	if (!owner->type && owner->size > ARRAY_SIZE)
		return key;
	return mix(mix(key, graph_field(edge)), edge->field_flags & CASTAWAY_EDGE_OFFSET ? edge->detail : 0);
}

static bool learns_from(const struct inference *in, uint32_t node)
{
	const struct graph_node *n = &in->graph->node[node];

	return in->reach[node] == REACH_HELD && n->flags & GRAPH_NODE_COUNTED &&
	       (n->runtime == CASTAWAY_RUNTIME_GOBJECT || n->runtime == CASTAWAY_RUNTIME_GST);
}

static enum error_code no_memory(struct error *error)
{
	return error_set(error, ERROR_MEMORY, "out of memory to infer which references own");
}

/* ---- pointers by target --------------------------------------------------------- */

static bool allocate(struct inference *in)
{
	const struct graph *graph = in->graph;
	size_t nodes = (size_t)graph->node_count + 1;
	uint32_t total = 0;

	in->first = calloc(nodes + 1, sizeof(*in->first));
	in->roots = calloc(nodes, sizeof(*in->roots));
	if (!in->first || !in->roots)
		return false;
	for (uint32_t e = 0; e < graph->edge_count; e++) {
		if (graph_is(&graph->edge[e], GRAPH_HOLDING) && learns_from(in, graph->edge[e].to))
			in->first[graph->edge[e].to + 1]++;
	}
	for (uint32_t i = 0; i < graph->node_count; i++) {
		total += in->first[i + 1];
		in->first[i + 1] = total;
	}
	for (size_t r = 0; r < graph->root_count; r++)
		in->roots[graph->root[r].node]++;
	in->pointer = malloc(((size_t)total + 1) * sizeof(*in->pointer));
	return in->pointer != NULL;
}

static struct slot *slot_of(struct inference *in, uint32_t from, const struct graph_edge *edge)
{
	uint64_t key = key_of(in->graph, from, edge);
	struct slot *slot = address_table_find(&in->slots->table, key);

	return slot ? slot : address_table_insert(&in->slots->table, key);
}

/* Counting sort: first[i] moves up to the end of i's pointers, which is where
 * those of i + 1 begin. */
static bool collect(struct inference *in)
{
	const struct graph *graph = in->graph;
	uint32_t *next = malloc(((size_t)graph->node_count + 1) * sizeof(*next));

	if (!next)
		return false;
	for (uint32_t i = 0; i < graph->node_count; i++)
		next[i] = in->first[i];
	for (uint32_t from = 0; from < graph->node_count; from++) {
		for (uint32_t e = graph->first[from]; e < graph->first[from + 1]; e++) {
			const struct graph_edge *edge = &graph->edge[e];
			struct slot *slot = NULL;

			if (!graph_is(edge, GRAPH_HOLDING) || !learns_from(in, edge->to))
				continue;
			if (!graph_is_strong(edge)) {
				slot = slot_of(in, from, edge);
				if (!slot) {
					free(next);
					return false;
				}
			}
			in->pointer[next[edge->to]++].slot = slot;
		}
	}
	free(next);
	return true;
}

/* ---- votes ------------------------------------------------------------------------ */

static void vote(struct inference *in, uint32_t node)
{
	const struct pointer *pointer = &in->pointer[in->first[node]];
	uint32_t count = in->first[node + 1] - in->first[node];
	int64_t owning = 0, undecided = 0, refcount = in->graph->node[node].refcount;
	bool owns, borrows;

	for (uint32_t i = 0; i < count; i++) {
		owning += !pointer[i].slot || pointer[i].slot->strength == SLOT_OWNS;
		undecided += pointer[i].slot && pointer[i].slot->strength == SLOT_UNDECIDED;
	}
	borrows = owning >= refcount;
	owns = owning + undecided + in->roots[node] == refcount;
	for (uint32_t i = 0; undecided && (owns || borrows) && i < count; i++) {
		struct slot *slot = pointer[i].slot;

		if (!slot || slot->strength != SLOT_UNDECIDED)
			continue;
		slot->owns |= owns;
		slot->borrows |= borrows;
	}
}

static bool decide(struct inference *in)
{
	struct slot *slot;
	size_t position = 0;
	bool changed = false;

	while ((slot = address_table_next(&in->slots->table, &position)) != NULL) {
		if (slot->strength != SLOT_UNDECIDED || slot->owns == slot->borrows)
			continue;
		slot->strength = slot->owns ? SLOT_OWNS : SLOT_BORROWS;
		changed = true;
	}
	return changed;
}

/* More owners than counts: one of these places was judged too early. */
static void dispute(struct inference *in, uint32_t node)
{
	const struct pointer *pointer = &in->pointer[in->first[node]];
	uint32_t count = in->first[node + 1] - in->first[node];
	int64_t owning = 0;

	for (uint32_t i = 0; i < count; i++)
		owning += !pointer[i].slot || pointer[i].slot->strength == SLOT_OWNS;
	for (uint32_t i = 0; owning > in->graph->node[node].refcount && i < count; i++) {
		if (pointer[i].slot && pointer[i].slot->strength == SLOT_OWNS)
			pointer[i].slot->disputed = true;
	}
}

static void settle_disputes(struct inference *in)
{
	struct slot *slot;
	size_t position = 0;

	for (uint32_t i = 0; i < in->graph->node_count; i++) {
		if (in->first[i + 1] > in->first[i])
			dispute(in, i);
	}
	while ((slot = address_table_next(&in->slots->table, &position)) != NULL) {
		if (slot->disputed)
			slot->strength = SLOT_UNDECIDED;
	}
}

static enum error_code infer(struct inference *in)
{
	if (!allocate(in) || !collect(in))
		return no_memory(in->error);
	for (unsigned pass = 0; pass < MAX_PASSES; pass++) {
		for (uint32_t i = 0; i < in->graph->node_count; i++) {
			if (in->first[i + 1] > in->first[i])
				vote(in, i);
		}
		if (!decide(in))
			break;
	}
	settle_disputes(in);
	return ERROR_NONE;
}

enum error_code slots_infer(const struct graph *graph, const uint8_t *reach_state, struct slots **ret,
			    struct error *error)
{
	struct inference in = {.graph = graph, .reach = reach_state, .error = error};
	enum error_code code;

	*ret = NULL;
	in.slots = calloc(1, sizeof(*in.slots));
	if (!in.slots)
		return no_memory(error);
	address_table_init(&in.slots->table, sizeof(struct slot));
	code = infer(&in);
	free(in.first);
	free(in.pointer);
	free(in.roots);
	if (code)
		slots_free(in.slots);
	else
		*ret = in.slots;
	return code;
}

enum slot_strength slots_strength(const struct slots *slots, const struct graph *graph, uint32_t from,
				  const struct graph_edge *edge)
{
	const struct slot *slot;

	if (!slots || graph_is_strong(edge))
		return graph_is_strong(edge) ? SLOT_OWNS : SLOT_UNDECIDED;
	slot = address_table_find(&slots->table, key_of(graph, from, edge));
	return slot ? (enum slot_strength)slot->strength : SLOT_UNDECIDED;
}

void slots_free(struct slots *slots)
{
	if (!slots)
		return;
	address_table_clear(&slots->table);
	free(slots);
}
