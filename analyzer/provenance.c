/* SPDX-License-Identifier: Apache-2.0
 *
 * One walk over the events keeps, for each object of the findings, the
 * references that were not given back; then each pointer to it gets one
 * (provenance_share.c).  Never prints.
 */
#include "provenance.h"

#include <stdlib.h>
#include <string.h>

#include "address_table.h"
#include "provenance_internal.h"
#include "snapshot_reader.h"
#include "trace_internal.h"

#define MAX_LEAKS 256u /* rows that are explained */

struct watched {
	uint64_t address; /* its first member is the key */
	size_t object;
};

struct walk {
	struct analysis *analysis;
	struct provenance_match *match;
	struct address_table watched;
	struct provenance_object *objects; /* by node */
	size_t count;
	struct error *error;
};

static bool is_explained(const struct graph_node *node)
{
	return node->flags & GRAPH_NODE_COUNTED &&
	       (node->runtime == CASTAWAY_RUNTIME_GOBJECT || node->runtime == CASTAWAY_RUNTIME_GST);
}

/* ---- what is watched ------------------------------------------------------------------ */

static int by_node(const void *a, const void *b)
{
	const struct provenance_object *left = a, *right = b;

	return (left->node > right->node) - (left->node < right->node);
}

static size_t most_objects(const struct analysis *a)
{
	size_t count = a->leak_count < MAX_LEAKS ? a->leak_count : MAX_LEAKS;

	for (size_t f = 0; f < a->finding_count; f++)
		count += a->structures[a->findings[f].representative].member_count;
	return count;
}

static void add_object(struct walk *w, uint32_t node)
{
	if (is_explained(&w->analysis->graph->node[node]))
		w->objects[w->count++].node = node;
}

static void add_objects(struct walk *w)
{
	const struct analysis *a = w->analysis;
	size_t kept = 0;

	for (size_t f = 0; f < a->finding_count; f++) {
		const struct structure *s = &a->structures[a->findings[f].representative];

		for (uint32_t m = 0; m < s->member_count; m++)
			add_object(w, s->members[m]);
	}
	for (size_t l = 0; l < a->leak_count && l < MAX_LEAKS; l++) {
		if (a->leaks[l].verdict == VERDICT_OVER_REFERENCED)
			add_object(w, a->leaks[l].node);
	}
	if (w->count)
		qsort(w->objects, w->count, sizeof(*w->objects), by_node);
	for (size_t i = 0; i < w->count; i++) {
		if (kept == 0 || w->objects[kept - 1].node != w->objects[i].node)
			w->objects[kept++] = w->objects[i];
	}
	w->count = kept;
}

static struct provenance_object *find_object(const struct walk *w, uint32_t node)
{
	const struct provenance_object key = {.node = node};

	return w->count ? bsearch(&key, w->objects, w->count, sizeof(key), by_node) : NULL;
}

/* ---- births ----------------------------------------------------------------------------- */

struct births {
	const struct graph *graph;
	struct replay *replay;
	const uint32_t *node;
	size_t count;
	uint64_t *ret;
};

static bool note_birth(void *arg, const struct snapshot_object_record *record,
		       const struct snapshot_edge_record *edges)
{
	const struct births *births = arg;
	size_t low = 0, high = births->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (births->graph->node[births->node[middle]].address < record->address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < births->count && births->graph->node[births->node[low]].address == record->address) {
		const struct replay_block *block =
			replay_find_block(births->replay, record->address - record->block_offset);

		births->ret[low] = block ? block->birth_ticks : 0;
	}
	return true;
}

enum error_code provenance_births(struct trace *trace, struct replay *replay,
				  const struct trace_snapshot *snapshot, const struct graph *graph,
				  const uint32_t *node, size_t count, uint64_t *ret, struct error *error)
{
	struct births births = {graph, replay, node, count, ret};

	memset(ret, 0, count * sizeof(*ret));
	return snapshot ? snapshot_read_objects(trace, snapshot, note_birth, &births, error) : ERROR_NONE;
}

static bool append(struct provenance_object *object, uint32_t stack, bool birth)
{
	struct provenance_reference *grown =
		array_reserve(object->outstanding, &object->capacity, object->count + 1, sizeof(*grown));

	if (!grown)
		return false;
	object->outstanding = grown;
	grown[object->count++] = (struct provenance_reference){stack, birth};
	object->seen++;
	return true;
}

static enum error_code find_births(struct walk *w)
{
	struct analysis *a = w->analysis;
	uint32_t *node = malloc((w->count + 1) * sizeof(*node));
	uint64_t *birth = malloc((w->count + 1) * sizeof(*birth));
	enum error_code code = node && birth ? ERROR_NONE : no_memory(w->error);

	for (size_t i = 0; i < w->count && !code; i++)
		node[i] = w->objects[i].node;
	if (!code)
		code = provenance_births(a->trace, a->replay, a->snapshot, a->graph, node, w->count, birth,
					 w->error);
	for (size_t i = 0; i < w->count && !code; i++) {
		w->objects[i].birth = birth[i];
		if (birth[i] && !append(&w->objects[i], a->graph->node[node[i]].stack, true))
			code = no_memory(w->error);
	}
	free(node);
	free(birth);
	return code;
}

static enum error_code prepare(struct walk *w)
{
	const struct graph *graph = w->analysis->graph;
	enum error_code code;

	w->objects = calloc(most_objects(w->analysis) + 1, sizeof(*w->objects));
	if (!w->objects)
		return no_memory(w->error);
	add_objects(w);
	address_table_init(&w->watched, sizeof(struct watched));
	for (size_t i = 0; i < w->count; i++) {
		struct watched *watched =
			address_table_insert(&w->watched, graph->node[w->objects[i].node].address);

		if (!watched)
			return no_memory(w->error);
		watched->object = i;
	}
	code = w->count ? provenance_match_new(w->analysis->symbols, &w->match, w->error) : ERROR_NONE;
	return code || !w->count ? code : find_births(w);
}

/* ---- events ------------------------------------------------------------------------------- */

static void give_back(struct walk *w, struct provenance_object *object, const struct event *event)
{
	uint32_t stack = (uint32_t)event->field[1];

	object->seen--;
	object->last_unref = (struct stranding){.present = true,
						.event = event->index,
						.ticks = event->ticks,
						.thread = event->thread,
						.stack = stack,
						.object = object->node,
						.opcode = CASTAWAY_EVENT_UNREF};
	if (object->count)
		provenance_remove(
			object, provenance_match_unref(w->match, object->outstanding, object->count, stack));
}

static enum error_code on_event(struct walk *w, const struct event *event)
{
	const struct watched *watched;
	struct provenance_object *object;

	if (event->opcode != CASTAWAY_EVENT_RUNTIME_REF && event->opcode != CASTAWAY_EVENT_RUNTIME_UNREF)
		return ERROR_NONE;
	watched = address_table_find(&w->watched, event->field[0]);
	object = watched ? &w->objects[watched->object] : NULL;
	/* Of another object, at the same place before. */
	if (!object || event->ticks < object->birth)
		return ERROR_NONE;
	if (event->opcode == CASTAWAY_EVENT_RUNTIME_UNREF)
		give_back(w, object, event);
	else if (!append(object, (uint32_t)event->field[1], false))
		return no_memory(w->error);
	return ERROR_NONE;
}

static enum error_code walk_events(struct walk *w)
{
	struct event_stream *stream;
	struct event event;
	enum error_code code = event_stream_open(w->analysis->trace, &stream, w->error);
	int got = 0;

	if (code)
		return code;
	while (!code && (got = event_stream_next(stream, &event, w->error)) > 0 &&
	       event.ticks <= w->analysis->ticks)
		code = on_event(w, &event);
	event_stream_free(stream);
	return got < 0 ? (enum error_code) - got : code;
}

/* ---- findings and leaks ----------------------------------------------------------------------- */

/* A place for every count of every member, or not all of them. */
static void explain_finding(const struct walk *w, struct finding *finding)
{
	const struct graph *graph = w->analysis->graph;
	const struct structure *s = &w->analysis->structures[finding->representative];
	struct stranding last = {0};

	for (uint32_t m = 0; m < s->member_count; m++) {
		const struct provenance_object *object = find_object(w, s->members[m]);
		int64_t refcount = graph->node[s->members[m]].refcount, missing;

		if (!object)
			continue;
		finding->evidence.counted_by_runtime += refcount;
		finding->evidence.recorded +=
			(int64_t)object->count < refcount ? (int64_t)object->count : refcount;
		missing = object->seen - refcount;
		finding->evidence.unseen += missing < 0 ? -missing : missing;
		if (object->last_unref.present && (!last.present || object->last_unref.event > last.event))
			last = object->last_unref;
	}
	/* Else the last one may be one of those that were not seen. */
	if (!finding->stranded_at.present && finding->evidence.unseen == 0 && s->verdict != VERDICT_LATENT)
		finding->stranded_at = last;
}

/* The newest reference that was not given back; that of its birth is the one
 * which the program knew of. */
static void explain_leak(const struct walk *w, struct leak *leak)
{
	const struct provenance_object *object = find_object(w, leak->node);

	/* What no pointer was given is left. */
	if (!object || leak->verdict != VERDICT_OVER_REFERENCED || !object->count)
		return;
	leak->taken = object->outstanding[object->count - 1].stack;
}

static enum error_code run(struct walk *w)
{
	struct analysis *a = w->analysis;
	enum error_code code = prepare(w);

	if (code || !w->count)
		return code;
	code = walk_events(w);
	for (size_t f = 0; f < a->finding_count && !code; f++)
		explain_finding(w, &a->findings[f]);
	if (!code)
		code = provenance_share_out(a, w->match, w->objects, w->count, w->error);
	for (size_t l = 0; l < a->leak_count && l < MAX_LEAKS && !code; l++)
		explain_leak(w, &a->leaks[l]);
	return code;
}

enum error_code provenance_run(struct analysis *analysis, struct error *error)
{
	struct walk walk = {.analysis = analysis, .error = error};
	enum error_code code = run(&walk);

	for (size_t i = 0; i < walk.count; i++)
		free(walk.objects[i].outstanding);
	free(walk.objects);
	address_table_clear(&walk.watched);
	provenance_match_free(walk.match);
	return code;
}
