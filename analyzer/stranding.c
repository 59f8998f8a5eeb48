/* SPDX-License-Identifier: Apache-2.0
 *
 * Follows the last life of every member from its OBJECT event on.  An address
 * may have belonged to other objects before; their events are told apart by
 * the index of the event at which the member was born.
 *
 * A fork child's trace has the events since the fork, while the replay's state
 * begins later.  So members that the child had by then are looked up in the
 * events, and those that it has from its parent live from the start: with as
 * many outside counts as must have been there for the sum to come out at zero.
 */
#include "stranding.h"

#include <stdlib.h>

/* The links of one owner to one target through one field.  `kinds` has a bit
 * for each of the newest 64, newest lowest: 1 = weak. */
struct links {
	uint32_t owner, target, field; /* watches; owner GRAPH_NONE = a free slot */
	uint32_t count;
	uint64_t kinds;
};

struct watch {
	uint64_t address, birth_event;
	uint32_t group, node;
	bool inherited; /* its birth is not known to the replay */
	bool from_parent;
	bool alive;
};

struct walk {
	struct stranding_group *groups;
	int64_t *outside; /* per group */
	uint32_t *alive;  /* per group: members born so far */
	bool *unsure;     /* per group: an event that cannot be understood */
	size_t group_count;
	uint64_t begin; /* of the replay's state */
	bool any_inherited;
	struct watch *watch;
	uint32_t watch_count;
	uint32_t *slot; /* hash of addresses: watch, or GRAPH_NONE */
	unsigned slot_bits;
	struct links *links; /* hash, only inside groups */
	size_t links_used, links_size;
};

static size_t slot_of(const struct walk *w, uint64_t address)
{
	return (size_t)((address >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - w->slot_bits));
}

/* The slot of the address, or the free one where it would be. */
static size_t find_slot(const struct walk *w, uint64_t address)
{
	size_t mask = ((size_t)1 << w->slot_bits) - 1, slot = slot_of(w, address);

	while (w->slot[slot] != GRAPH_NONE && w->watch[w->slot[slot]].address != address)
		slot = (slot + 1) & mask;
	return slot;
}

static struct watch *find_alive(const struct walk *w, uint64_t address)
{
	uint32_t i = w->slot[find_slot(w, address)];

	return i != GRAPH_NONE && w->watch[i].alive ? &w->watch[i] : NULL;
}

/* ---- what is watched --------------------------------------------------------- */

static bool is_native(const struct graph *graph, const struct stranding_group *group)
{
	for (uint32_t m = 0; m < group->count; m++) {
		if (graph->node[group->members[m]].runtime != CASTAWAY_RUNTIME_NATIVE)
			return false;
	}
	return group->count != 0;
}

static void add_watches(struct walk *w, const struct replay *replay, const struct graph *graph, size_t group)
{
	const struct stranding_group *g = &w->groups[group];

	if (!is_native(graph, g))
		return;
	for (uint32_t m = 0; m < g->count; m++) {
		uint64_t address = graph->node[g->members[m]].address;
		const struct replay_object *object = replay_find_object(replay, address);

		if (!object)
			continue;
		w->slot[find_slot(w, address)] = w->watch_count;
		w->watch[w->watch_count++] = (struct watch){.address = address,
							    .birth_event = object->birth_event,
							    .group = (uint32_t)group,
							    .node = g->members[m],
							    .inherited = object->inherited};
		w->any_inherited |= object->inherited;
	}
}

static bool prepare(struct walk *w, const struct replay *replay, const struct graph *graph)
{
	size_t members = 0, slots;

	for (size_t g = 0; g < w->group_count; g++)
		members += w->groups[g].count;
	for (w->slot_bits = 4; (size_t)1 << w->slot_bits < 2 * members;)
		w->slot_bits++;
	slots = (size_t)1 << w->slot_bits;
	w->watch = malloc((members + 1) * sizeof(*w->watch));
	w->slot = malloc(slots * sizeof(*w->slot));
	w->outside = calloc(w->group_count + 1, sizeof(*w->outside));
	w->alive = calloc(w->group_count + 1, sizeof(*w->alive));
	w->unsure = calloc(w->group_count + 1, sizeof(*w->unsure));
	if (!w->watch || !w->slot || !w->outside || !w->alive || !w->unsure)
		return false;
	for (size_t i = 0; i < slots; i++)
		w->slot[i] = GRAPH_NONE;
	for (size_t g = 0; g < w->group_count; g++)
		add_watches(w, replay, graph, g);
	return true;
}

/* ---- events --------------------------------------------------------------------- */

/* `stack`: place of the stack among the event's fields. */
static void change(struct walk *w, const struct watch *watch, int64_t by, const struct event *event,
		   unsigned stack)
{
	int64_t before = w->outside[watch->group], after = before + by;
	struct stranding *result = &w->groups[watch->group].result;

	w->outside[watch->group] = after;
	if (after > 0) {
		result->present = false;
	} else if (before > 0) {
		*result = (struct stranding){
			.present = true,
			.event = event->index,
			.ticks = event->ticks,
			.thread = event->thread,
			.stack = (uint32_t)event->field[stack],
			.object = watch->node,
			.opcode = event->opcode,
		};
	}
}

static void on_object(struct walk *w, const struct event *event)
{
	uint32_t i = w->slot[find_slot(w, event->field[0])];
	struct watch *watch = i == GRAPH_NONE ? NULL : &w->watch[i];

	if (!watch || watch->from_parent || watch->birth_event != event->index)
		return;
	watch->alive = true;
	w->alive[watch->group]++;
	change(w, watch, 1, event, 3);
}

static void on_count(struct walk *w, const struct event *event, int64_t by)
{
	struct watch *watch = find_alive(w, event->field[0]);

	if (watch)
		change(w, watch, by, event, 1);
}

/* The entry of the key, or the free slot where it would be. */
static struct links *find_links(struct links *table, size_t size, const struct links *key)
{
	uint64_t hash = ((uint64_t)key->owner << 32 | key->target) * UINT64_C(0x9e3779b97f4a7c15);
	size_t at = (size_t)((hash ^ key->field * UINT64_C(0xc2b2ae3d27d4eb4f)) >> 20) & (size - 1);

	while (table[at].owner != GRAPH_NONE &&
	       (table[at].owner != key->owner || table[at].target != key->target ||
		table[at].field != key->field))
		at = (at + 1) & (size - 1);
	return &table[at];
}

static bool grow_links(struct walk *w)
{
	size_t size = w->links_size ? 2 * w->links_size : 64;
	struct links *table = malloc(size * sizeof(*table));

	if (!table)
		return false;
	for (size_t i = 0; i < size; i++)
		table[i].owner = GRAPH_NONE;
	for (size_t i = 0; i < w->links_size; i++) {
		if (w->links[i].owner != GRAPH_NONE)
			*find_links(table, size, &w->links[i]) = w->links[i];
	}
	free(w->links);
	w->links = table;
	w->links_size = size;
	return true;
}

/* Both ends when they are members of one group, else false. */
static bool find_ends(const struct walk *w, const struct event *event, struct links *key)
{
	const struct watch *owner = find_alive(w, event->field[0]);
	const struct watch *target = find_alive(w, event->field[1]);

	if (!owner || !target || owner->group != target->group)
		return false;
	*key = (struct links){.owner = (uint32_t)(owner - w->watch),
			      .target = (uint32_t)(target - w->watch),
			      .field = (uint32_t)event->field[2]};
	return true;
}

static bool on_link(struct walk *w, const struct event *event, bool weak)
{
	struct links key, *links;

	if (!find_ends(w, event, &key))
		return true;
	if (2 * w->links_used >= w->links_size && !grow_links(w))
		return false;
	links = find_links(w->links, w->links_size, &key);
	if (links->owner == GRAPH_NONE) {
		*links = key;
		w->links_used++;
	}
	links->count++;
	links->kinds = links->kinds << 1 | weak;
	if (!weak)
		change(w, &w->watch[key.owner], -1, event, 3);
	return true;
}

/* As in the replay, the newest link goes. */
static void on_unlink(struct walk *w, const struct event *event)
{
	struct links key, *links;
	bool weak;

	if (!find_ends(w, event, &key))
		return;
	links = w->links_size ? find_links(w->links, w->links_size, &key) : NULL;
	if (!links || links->owner == GRAPH_NONE || links->count == 0) {
		/* Made before the fork: weak or strong, nobody knows. */
		w->unsure[w->watch[key.owner].group] |= w->watch[key.owner].from_parent;
		return;
	}
	weak = links->kinds & 1;
	links->kinds >>= 1;
	links->count--;
	if (!weak)
		change(w, &w->watch[key.owner], 1, event, 3);
}

/* The last one before the state began is the member's. */
static bool find_birth(struct walk *w, const struct event *event)
{
	uint32_t i;

	if (event->opcode != CASTAWAY_EVENT_OBJECT || event->ticks >= w->begin)
		return true;
	i = w->slot[find_slot(w, event->field[0])];
	if (i != GRAPH_NONE && w->watch[i].inherited) {
		w->watch[i].from_parent = false;
		w->watch[i].birth_event = event->index;
	}
	return true;
}

/* False when memory ran out. */
static bool apply(struct walk *w, const struct event *event)
{
	switch (event->opcode) {
	case CASTAWAY_EVENT_OBJECT:
		on_object(w, event);
		return true;
	case CASTAWAY_EVENT_REF:
		on_count(w, event, 1);
		return true;
	case CASTAWAY_EVENT_UNREF:
		on_count(w, event, -1);
		return true;
	case CASTAWAY_EVENT_LINK:
		return on_link(w, event, false);
	case CASTAWAY_EVENT_WEAK:
		return on_link(w, event, true);
	case CASTAWAY_EVENT_UNLINK:
		on_unlink(w, event);
		return true;
	default:
		return true;
	}
}

static enum error_code walk_events(struct walk *w, struct trace *trace, uint64_t until,
				   bool (*visit)(struct walk *w, const struct event *event),
				   struct error *error)
{
	struct event_stream *stream;
	struct event event;
	enum error_code code = event_stream_open(trace, &stream, error);
	int got = 0;

	if (code)
		return code;
	while ((got = event_stream_next(stream, &event, error)) > 0 && event.ticks <= until) {
		if (!visit(w, &event)) {
			got = -(int)error_set(error, ERROR_MEMORY, "out of memory to find stranding events");
			break;
		}
	}
	event_stream_free(stream);
	return got < 0 ? (enum error_code) - got : ERROR_NONE;
}

/* Back to the fork.  What is at zero now had the opposite of all changes then;
 * a structure that has nothing from the parent was not there. */
static void rewind_walk(struct walk *w)
{
	for (size_t g = 0; g < w->group_count; g++) {
		w->alive[g] = 0;
		w->groups[g].result = (struct stranding){.present = false};
	}
	for (uint32_t i = 0; i < w->watch_count; i++) {
		w->watch[i].alive = w->watch[i].from_parent;
		w->alive[w->watch[i].group] += w->watch[i].from_parent;
	}
	for (size_t g = 0; g < w->group_count; g++) {
		w->outside[g] = w->alive[g] ? -w->outside[g] : 0;
		w->unsure[g] |= w->outside[g] < 0;
	}
	free(w->links);
	w->links = NULL;
	w->links_used = w->links_size = 0;
}

/* Finds out what a fork child's members were at the fork. */
static enum error_code find_start(struct walk *w, struct trace *trace, uint64_t until, struct error *error)
{
	enum error_code code;

	for (uint32_t i = 0; i < w->watch_count; i++)
		w->watch[i].from_parent = w->watch[i].inherited;
	code = walk_events(w, trace, w->begin, find_birth, error);
	if (code)
		return code;
	rewind_walk(w);
	code = walk_events(w, trace, until, apply, error);
	rewind_walk(w);
	return code;
}

/* A structure whose members are not all known from their birth or the fork on,
 * or that does not come out at zero, has no known moment. */
static void drop_unsure(struct walk *w)
{
	for (size_t g = 0; g < w->group_count; g++) {
		if (w->alive[g] != w->groups[g].count || w->outside[g] != 0 || w->unsure[g])
			w->groups[g].result.present = false;
	}
}

enum error_code stranding_find(struct trace *trace, const struct replay *replay, const struct graph *graph,
			       uint64_t until, struct stranding_group *groups, size_t count,
			       struct error *error)
{
	struct walk walk = {.groups = groups, .group_count = count, .begin = replay_begin(replay)};
	enum error_code code = ERROR_NONE;

	if (!prepare(&walk, replay, graph))
		code = error_set(error, ERROR_MEMORY, "out of memory to find stranding events");
	if (!code && walk.any_inherited)
		code = find_start(&walk, trace, until, error);
	if (!code && walk.watch_count)
		code = walk_events(&walk, trace, until, apply, error);
	if (!code)
		drop_unsure(&walk);
	free(walk.links);
	free(walk.watch);
	free(walk.slot);
	free(walk.outside);
	free(walk.alive);
	free(walk.unsure);
	return code;
}
