/* SPDX-License-Identifier: Apache-2.0
 *
 * Classes of references, their marks, and the test by topological sort whether
 * the rest of the component is acyclic.  The number of tests goes down with
 * the size of the component, so that a giant one costs no more than a fixed
 * number of edge visits.
 */
#include "advice.h"

#include <stdlib.h>
#include <string.h>

#include "advice_internal.h"
#include "gobject_fields.h"
#include "slots.h"

#define MAX_CLASSES 1024u /* further ones are not considered */
#define SLOTS       4096u
#define MAX_TESTS   16u
#define MAX_LINKS   4096u
#define MAX_ROUNDS  64u
#define TEST_BUDGET (32u << 20) /* nodes and edges visited in tests, per component */

struct advice {
	const struct graph *graph;
	const struct replay *replay;
	const struct slots *slots;
	uint32_t kinds;  /* of the edges of the component at hand */
	uint32_t *local; /* number of a node in the component at hand, else GRAPH_NONE */
	uint32_t *into;  /* per member: edges into it */
	uint32_t *queue;
	size_t capacity;
	struct advice_class class[MAX_CLASSES];
	uint32_t class_count;
	uint16_t slot[SLOTS]; /* class + 1 */
};

enum error_code advice_new(const struct graph *graph, const struct replay *replay, const struct slots *slots,
			   struct advice **ret, struct error *error)
{
	struct advice *a = calloc(1, sizeof(*a));

	if (a)
		a->local = malloc(((size_t)graph->node_count + 1) * sizeof(*a->local));
	if (!a || !a->local) {
		advice_free(a);
		return error_set(error, ERROR_MEMORY, "out of memory to explain the findings");
	}
	memset(a->local, 0xff, ((size_t)graph->node_count + 1) * sizeof(*a->local));
	a->graph = graph;
	a->replay = replay;
	a->slots = slots;
	*ret = a;
	return ERROR_NONE;
}

void advice_free(struct advice *a)
{
	if (!a)
		return;
	free(a->local);
	free(a->into);
	free(a->queue);
	free(a);
}

/* ---- classes ---------------------------------------------------------------- */

static struct advice_class key_of(const struct graph *graph, uint32_t from, uint32_t e)
{
	const struct graph_edge *edge = &graph->edge[e];
	bool named = graph_field(edge) != 0;
	bool python = graph->node[from].runtime == CASTAWAY_RUNTIME_CPYTHON;

	return (struct advice_class){
		.item = python && advice_python_is_item(trace_text(graph->trace, graph_field(edge))),
		.from_type = graph->node[from].type,
		.field = graph_field(edge),
		.to_type = graph->node[edge->to].type,
		.offset = !named && edge->field_flags & CASTAWAY_EDGE_OFFSET ? (int32_t)edge->detail : 0,
		.name = named ? NULL : gobject_field_name(graph, from, edge),
		.edge_from = from,
		.edge = e,
		.hint = ADVICE_NO_HINT,
	};
}

static bool same_class(const struct advice_class *a, const struct advice_class *b)
{
	return a->from_type == b->from_type && a->to_type == b->to_type && a->item == b->item &&
	       (a->item || a->field == b->field) && a->offset == b->offset;
}

static void count_class(struct advice *a, const struct advice_class *key)
{
	uint32_t field = key->item ? 0 : key->field;
	uint32_t hash = key->from_type * 0x9e3779b1u ^ field * 0x85ebca6bu ^ key->to_type * 0xc2b2ae35u ^
			(uint32_t)key->offset * 0x27d4eb2fu;
	uint32_t slot = (hash ^ hash >> 15) % SLOTS;

	while (a->slot[slot]) {
		struct advice_class *known = &a->class[a->slot[slot] - 1];

		if (same_class(known, key)) {
			known->count++;
			return;
		}
		slot = (slot + 1) % SLOTS;
	}
	if (a->class_count == MAX_CLASSES)
		return;
	a->class[a->class_count] = *key;
	a->class[a->class_count++].count = 1;
	a->slot[slot] = (uint16_t)a->class_count;
}

/* Part of a cycle: not what only knows its target. */
static bool is_inner(const struct advice *a, uint32_t from, const struct graph_edge *edge)
{
	return a->local[edge->to] != GRAPH_NONE && graph_is(edge, a->kinds) &&
	       slots_strength(a->slots, a->graph, from, edge) != SLOT_BORROWS;
}

/* Returns the number of edges inside the component. */
static uint64_t collect_classes(struct advice *a, const uint32_t *member, uint32_t count)
{
	const struct graph *graph = a->graph;
	uint64_t edges = 0;

	a->class_count = 0;
	memset(a->slot, 0, sizeof(a->slot));
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t e = graph->first[member[i]]; e < graph->first[member[i] + 1]; e++) {
			struct advice_class key;

			if (!is_inner(a, member[i], &graph->edge[e]))
				continue;
			key = key_of(graph, member[i], e);
			count_class(a, &key);
			edges++;
		}
	}
	return edges;
}

/* ---- marks ------------------------------------------------------------------- */

/* The newest one; in a large container not looked for forever. */
static const struct replay_link *link_of(const struct replay_object *owner, uint64_t target, uint32_t field)
{
	uint32_t count = owner ? owner->link_count : 0;

	for (uint32_t tries = 0; tries < count && tries < MAX_LINKS; tries++) {
		const struct replay_link *link = &owner->links[count - 1 - tries];

		if (link->target == target && link->field == field && !link->weak)
			return link;
	}
	return NULL;
}

/* A container's own memory, which nobody would take apart. */
static bool is_plumbing(const struct graph *graph, const struct graph_node *from, const struct graph_node *to)
{
	return from->flags & to->flags & GRAPH_NODE_BLOCK ||
	       (to->flags & GRAPH_NODE_BLOCK && graph->node[to - graph->node].type == 0);
}

/* By the first reference of the class: they are alike in this as a rule. */
static void mark_class(const struct advice *a, struct advice_class *class)
{
	const struct graph *graph = a->graph;
	const struct graph_node *from = &graph->node[class->edge_from];
	const struct graph_node *to = &graph->node[graph->edge[class->edge].to];
	const struct replay_object *owner = NULL, *target = NULL;
	const struct replay_link *link;

	class->hint =
		advice_text_hint(trace_text(graph->trace, class->field ? class->field : class->from_type));
	if (a->replay && from->runtime == CASTAWAY_RUNTIME_NATIVE) {
		owner = replay_find_object(a->replay, from->address);
		target = replay_find_object(a->replay, to->address);
	}
	link = link_of(owner, to->address, class->field);
	class->acquired = link ? link->event : 0;
	class->owns =
		slots_strength(a->slots, graph, class->edge_from, &graph->edge[class->edge]) == SLOT_OWNS;
	class->python.rank = is_plumbing(graph, from, to) ? PYTHON_FIXED : PYTHON_USUAL;
	(void)gobject_field_advice(graph, class->edge_from, &graph->edge[class->edge], &class->python);
	if (from->runtime == CASTAWAY_RUNTIME_CPYTHON)
		class->python = advice_python(trace_text(graph->trace, class->from_type),
					      trace_text(graph->trace, class->field),
					      trace_text(graph->trace, class->to_type));
	if (owner && target)
		class->younger = owner->birth_event > target->birth_event;
	else if (from->flags & to->flags & GRAPH_NODE_BIRTH_KNOWN)
		class->younger = from->birth_pass > to->birth_pass;
}

static int compare_classes(const void *x, const void *y)
{
	const struct advice_class *a = x, *b = y;

	if (a->breaks != b->breaks)
		return a->breaks ? -1 : 1;
	if (a->python.rank != b->python.rank)
		return a->python.rank < b->python.rank ? -1 : 1;
	if (a->owns != b->owns)
		return a->owns ? -1 : 1;
	if (a->hint != b->hint)
		return a->hint < b->hint ? -1 : 1;
	if (a->younger != b->younger)
		return a->younger ? -1 : 1;
	if (a->acquired != b->acquired)
		return a->acquired > b->acquired ? -1 : 1;
	if (a->count != b->count)
		return a->count < b->count ? -1 : 1;
	return a->edge < b->edge ? -1 : a->edge > b->edge;
}

/* ---- the test ------------------------------------------------------------------ */

static bool stays(const struct advice *a, uint32_t from, uint32_t e, const struct advice_class *without)
{
	struct advice_class key;

	if (!is_inner(a, from, &a->graph->edge[e]))
		return false;
	key = key_of(a->graph, from, e);
	return !same_class(&key, without);
}

/* What has no way on to others that are left is on no cycle: `into` is 0 then. */
static bool trim(struct advice *a, const struct advice_class *class, const uint32_t *member, uint32_t count)
{
	const struct graph *graph = a->graph;
	bool changed = false;

	for (uint32_t i = 0; i < count; i++) {
		bool leads = false;

		if (a->into[i] == 0)
			continue;
		for (uint32_t e = graph->first[member[i]]; !leads && e < graph->first[member[i] + 1]; e++)
			leads = stays(a, member[i], e, class) && a->into[a->local[graph->edge[e].to]] != 0;
		if (!leads)
			a->into[i] = 0;
		changed |= !leads;
	}
	return changed;
}

/* Cycles of plain blocks among themselves are a container's: a list whose links
 * lead both ways.  Those of counted objects are what is to be broken. */
static bool is_only_plumbing(struct advice *a, const struct advice_class *class, const uint32_t *member,
			     uint32_t count)
{
	unsigned rounds = 0;

	if (a->kinds == GRAPH_OWNING)
		return false;
	while (trim(a, class, member, count) && ++rounds < MAX_ROUNDS)
		;
	for (uint32_t i = 0; i < count; i++) {
		if (a->into[i] != 0 && a->graph->node[member[i]].flags & GRAPH_NODE_COUNTED)
			return false;
	}
	return true;
}

/* Topological sort: it gets through to all members when no cycle is left. */
static bool is_broken_by(struct advice *a, const struct advice_class *class, const uint32_t *member,
			 uint32_t count)
{
	const struct graph *graph = a->graph;
	uint32_t tail = 0;

	memset(a->into, 0, count * sizeof(*a->into));
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t e = graph->first[member[i]]; e < graph->first[member[i] + 1]; e++) {
			if (stays(a, member[i], e, class))
				a->into[a->local[graph->edge[e].to]]++;
		}
	}
	for (uint32_t i = 0; i < count; i++) {
		if (a->into[i] == 0)
			a->queue[tail++] = i;
	}
	for (uint32_t head = 0; head < tail; head++) {
		uint32_t node = member[a->queue[head]];

		for (uint32_t e = graph->first[node]; e < graph->first[node + 1]; e++) {
			if (stays(a, node, e, class) && --a->into[a->local[graph->edge[e].to]] == 0)
				a->queue[tail++] = a->local[graph->edge[e].to];
		}
	}
	return tail == count || is_only_plumbing(a, class, member, count);
}

static void test_classes(struct advice *a, const uint32_t *member, uint32_t count, uint64_t edges)
{
	uint64_t tests = TEST_BUDGET / (count + edges);

	tests = tests < 1 ? 1 : tests;
	tests = tests > MAX_TESTS ? MAX_TESTS : tests;
	for (uint32_t c = 0; c < a->class_count && c < tests; c++)
		a->class[c].breaks = is_broken_by(a, &a->class[c], member, count);
}

/* A dict that is an object's `__dict__`: the reader knows the object. */
static uint32_t owner_of_dict(const struct advice *a, const struct advice_class *class,
			      const uint32_t *member, uint32_t count)
{
	const struct graph *graph = a->graph;

	if (strcmp(trace_text(graph->trace, class->from_type), "dict") != 0)
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t e = graph->first[member[i]]; e < graph->first[member[i] + 1]; e++) {
			if (graph->edge[e].to == class->edge_from &&
			    strcmp(trace_text(graph->trace, graph_field(&graph->edge[e])), "__dict__") == 0)
				return graph->node[member[i]].type;
		}
	}
	return 0;
}

static void choose(struct advice *a, const uint32_t *member, uint32_t count, struct break_advice *ret)
{
	uint64_t edges = collect_classes(a, member, count);
	struct advice_class *best = &a->class[0];

	if (a->class_count == 0)
		return;
	for (uint32_t c = 0; c < a->class_count; c++)
		mark_class(a, &a->class[c]);
	qsort(a->class, a->class_count, sizeof(a->class[0]), compare_classes);
	test_classes(a, member, count, edges);
	qsort(a->class, a->class_count, sizeof(a->class[0]), compare_classes);
	*ret = (struct break_advice){
		.present = true,
		.from_type = best->from_type,
		.field = best->field,
		.to_type = best->to_type,
		.edge_from = best->edge_from,
		.edge = best->edge,
	};
	best->owner_type = owner_of_dict(a, best, member, count);
	advice_text_write(a->graph, best, count, ret);
}

static bool reserve(struct advice *a, uint32_t count)
{
	if (count <= a->capacity)
		return true;
	free(a->into);
	free(a->queue);
	a->into = malloc(count * sizeof(*a->into));
	a->queue = malloc(count * sizeof(*a->queue));
	a->capacity = a->into && a->queue ? count : 0;
	return a->capacity != 0;
}

enum error_code advice_for(struct advice *a, const uint32_t *member, uint32_t count, uint32_t kinds,
			   struct break_advice *ret, struct error *error)
{
	*ret = (struct break_advice){0};
	a->kinds = kinds;
	if (!reserve(a, count))
		return error_set(error, ERROR_MEMORY, "out of memory to explain %u objects", count);
	for (uint32_t i = 0; i < count; i++)
		a->local[member[i]] = i;
	choose(a, member, count, ret);
	for (uint32_t i = 0; i < count; i++)
		a->local[member[i]] = GRAPH_NONE;
	return ERROR_NONE;
}
