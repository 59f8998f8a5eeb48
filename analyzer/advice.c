/* SPDX-License-Identifier: Apache-2.0
 *
 * Classes of references, their marks, and the test by topological sort whether
 * the rest of the component is acyclic.  The number of tests goes down with
 * the size of the component, so that a giant one costs no more than a fixed
 * number of edge visits.
 */
#include "advice.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "advice_hints.h"

#define MAX_CLASSES 1024u /* further ones are not considered */
#define SLOTS       4096u
#define MAX_TESTS   16u
#define MAX_LINKS   4096u
#define TEST_BUDGET (32u << 20) /* nodes and edges visited in tests, per component */

struct class
{
	uint32_t from_type, field, to_type;
	uint32_t offset; /* where fields have no names, else 0 */
	uint32_t count;
	uint32_t edge_from, edge; /* the first one seen */
	uint32_t hint;            /* place in the table; HINT_COUNT = none */
	uint64_t acquired;        /* event of its link; 0 = not known */
	bool younger, breaks;
};

struct advice {
	const struct graph *graph;
	const struct replay *replay;
	uint32_t *local; /* number of a node in the component at hand, else GRAPH_NONE */
	uint32_t *into;  /* per member: edges into it */
	uint32_t *queue;
	size_t capacity;
	struct class class[MAX_CLASSES];
	uint32_t class_count;
	uint16_t slot[SLOTS]; /* class + 1 */
};

struct hint {
	const char *word, *text;
};

static const struct hint hints[] = {
#define X(word, text) {word, text},
	ADVICE_HINTS(X)
#undef X
};
#define HINT_COUNT ((uint32_t)(sizeof(hints) / sizeof(hints[0])))

enum error_code advice_new(const struct graph *graph, const struct replay *replay, struct advice **ret,
			   struct error *error)
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

static struct class key_of(const struct graph *graph, uint32_t from, uint32_t e)
{
	const struct graph_edge *edge = &graph->edge[e];
	bool named = graph_field(edge) != 0;

	return (struct class){
		.from_type = graph->node[from].type,
		.field = graph_field(edge),
		.to_type = graph->node[edge->to].type,
		.offset = !named && edge->field_flags & CASTAWAY_EDGE_OFFSET ? edge->detail : 0,
		.edge_from = from,
		.edge = e,
		.hint = HINT_COUNT,
	};
}

static bool same_class(const struct class *a, const struct class *b)
{
	return a->from_type == b->from_type && a->field == b->field && a->to_type == b->to_type &&
	       a->offset == b->offset;
}

static void count_class(struct advice *a, const struct class *key)
{
	uint32_t hash = key->from_type * 0x9e3779b1u ^ key->field * 0x85ebca6bu ^ key->to_type * 0xc2b2ae35u ^
			key->offset * 0x27d4eb2fu;
	uint32_t slot = (hash ^ hash >> 15) % SLOTS;

	while (a->slot[slot]) {
		struct class *known = &a->class[a->slot[slot] - 1];

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

/* Returns the number of edges inside the component. */
static uint64_t collect_classes(struct advice *a, const uint32_t *member, uint32_t count)
{
	const struct graph *graph = a->graph;
	uint64_t edges = 0;

	a->class_count = 0;
	memset(a->slot, 0, sizeof(a->slot));
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t e = graph->first[member[i]]; e < graph->first[member[i] + 1]; e++) {
			struct class key;

			if (a->local[graph->edge[e].to] == GRAPH_NONE || !graph_owns(&graph->edge[e]))
				continue;
			key = key_of(graph, member[i], e);
			count_class(a, &key);
			edges++;
		}
	}
	return edges;
}

/* ---- marks ------------------------------------------------------------------- */

/* The end of the word that starts at `text`: words end at anything that is no
 * letter, and where a capital follows a small letter. */
static const char *word_end(const char *text)
{
	const char *end = text + 1;

	while (isalpha((unsigned char)*end) &&
	       !(isupper((unsigned char)*end) && islower((unsigned char)end[-1])))
		end++;
	return end;
}

static uint32_t hint_of(const char *text)
{
	uint32_t best = HINT_COUNT;

	while (*text) {
		const char *end;

		if (!isalpha((unsigned char)*text)) {
			text++;
			continue;
		}
		end = word_end(text);
		for (uint32_t h = 0; h < best; h++) {
			size_t length = strlen(hints[h].word);

			if ((size_t)(end - text) == length && strncasecmp(text, hints[h].word, length) == 0)
				best = h;
		}
		text = end;
	}
	return best;
}

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

/* By the first reference of the class: they are alike in this as a rule. */
static void mark_class(const struct advice *a, struct class *class)
{
	const struct graph *graph = a->graph;
	const struct graph_node *from = &graph->node[class->edge_from];
	const struct graph_node *to = &graph->node[graph->edge[class->edge].to];
	const struct replay_object *owner = NULL, *target = NULL;
	const struct replay_link *link;

	class->hint = hint_of(trace_text(graph->trace, class->field ? class->field : class->from_type));
	if (a->replay && from->runtime == CASTAWAY_RUNTIME_NATIVE) {
		owner = replay_find_object(a->replay, from->address);
		target = replay_find_object(a->replay, to->address);
	}
	link = link_of(owner, to->address, class->field);
	class->acquired = link ? link->event : 0;
	if (owner && target)
		class->younger = owner->birth_event > target->birth_event;
	else if (from->flags & to->flags & GRAPH_NODE_BIRTH_KNOWN)
		class->younger = from->birth_pass > to->birth_pass;
}

static int compare_classes(const void *x, const void *y)
{
	const struct class *a = x, *b = y;

	if (a->breaks != b->breaks)
		return a->breaks ? -1 : 1;
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

static bool stays(const struct advice *a, uint32_t from, uint32_t e, const struct class *without)
{
	struct class key;

	if (a->local[a->graph->edge[e].to] == GRAPH_NONE || !graph_owns(&a->graph->edge[e]))
		return false;
	key = key_of(a->graph, from, e);
	return !same_class(&key, without);
}

/* Topological sort: it gets through to all members when no cycle is left. */
static bool is_broken_by(struct advice *a, const struct class *class, const uint32_t *member, uint32_t count)
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
	return tail == count;
}

static void test_classes(struct advice *a, const uint32_t *member, uint32_t count, uint64_t edges)
{
	uint64_t tests = TEST_BUDGET / (count + edges);

	tests = tests < 1 ? 1 : tests;
	tests = tests > MAX_TESTS ? MAX_TESTS : tests;
	for (uint32_t c = 0; c < a->class_count && c < tests; c++)
		a->class[c].breaks = is_broken_by(a, &a->class[c], member, count);
}

/* ---- the text ------------------------------------------------------------------- */

static void name_class(const struct advice *a, const struct class *class, char *text, size_t size)
{
	const struct trace *trace = a->graph->trace;

	if (class->field)
		snprintf(text, size, "`%.40s`", trace_text(trace, class->field));
	else if (class->offset)
		snprintf(text, size, "the reference at offset %u of `%.40s`", class->offset,
			 trace_text(trace, class->from_type));
	else
		snprintf(text, size, "the reference from `%.24s` to `%.24s`",
			 trace_text(trace, class->from_type), trace_text(trace, class->to_type));
}

static const char *why(const struct class *class)
{
	if (class->hint < HINT_COUNT)
		return hints[class->hint].text;
	if (class->younger)
		return "leads from a younger object back to an older one";
	return class->acquired ? "was acquired late" : "is part of the cycle";
}

static void write_reason(const struct advice *a, const struct class *class, uint32_t count,
			 struct break_advice *ret)
{
	char name[80];

	name_class(a, class, name, sizeof(name));
	if (!class->breaks)
		snprintf(ret->reason, sizeof(ret->reason), "%s %s; no single field breaks every cycle here",
			 name, why(class));
	else if (count == 1)
		snprintf(ret->reason, sizeof(ret->reason), "%s %s; without it the object has no cycle", name,
			 why(class));
	else
		snprintf(ret->reason, sizeof(ret->reason), "%s %s; without it the %u objects have no cycle",
			 name, why(class), count);
}

static void choose(struct advice *a, const uint32_t *member, uint32_t count, struct break_advice *ret)
{
	uint64_t edges = collect_classes(a, member, count);
	const struct class *best = &a->class[0];

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
	write_reason(a, best, count, ret);
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

enum error_code advice_for(struct advice *a, const uint32_t *member, uint32_t count, struct break_advice *ret,
			   struct error *error)
{
	*ret = (struct break_advice){0};
	if (!reserve(a, count))
		return error_set(error, ERROR_MEMORY, "out of memory to explain %u objects", count);
	for (uint32_t i = 0; i < count; i++)
		a->local[member[i]] = i;
	choose(a, member, count, ret);
	for (uint32_t i = 0; i < count; i++)
		a->local[member[i]] = GRAPH_NONE;
	return ERROR_NONE;
}
