/* SPDX-License-Identifier: Apache-2.0
 *
 * One walk over the events counts per stack, one walk over the stack nodes
 * from the innermost up adds the counts of callees to their callers.
 */
#include "balance.h"

#include <stdlib.h>
#include <string.h>

#include "address_table.h"
#include "event.h"

#define PROGRESS_MASK 0xffffu

struct watched {
	uint64_t address; /* its first member is the key */
	uint64_t birth;   /* index of the OBJECT event: what came before was of another object */
	const struct balance_object *object;
};

struct tally {
	uint64_t refs, unrefs;
};

struct walk {
	struct trace *trace;
	const struct balance_options *options;
	struct address_table watched;
	uint32_t frame_count;      /* at least 1: number 0 is there without any frame */
	struct tally *own, *total; /* per stack node */
	uint32_t *touched;         /* stack nodes with a total, callers behind what they call */
	size_t touched_count;
	int64_t runtime_net; /* of the objects whose runtime counts by itself */
	struct error *error;
};

static enum error_code no_memory(const struct walk *walk)
{
	return error_set(walk->error, ERROR_MEMORY, "out of memory for the call tree of references");
}

/* ---- events ---------------------------------------------------------------------- */

static bool cancelled(const struct walk *walk, uint64_t index)
{
	const struct balance_options *options = walk->options;

	return options->progress && (index & PROGRESS_MASK) == 0 &&
	       !options->progress(options->progress_arg, index);
}

typedef void (*event_fn)(struct walk *walk, const struct event *event, struct watched *watched);

static bool is_runtime(const struct event *event)
{
	return event->opcode == CASTAWAY_EVENT_RUNTIME_REF || event->opcode == CASTAWAY_EVENT_RUNTIME_UNREF;
}

static bool is_counted(const struct event *event)
{
	return event->opcode == CASTAWAY_EVENT_OBJECT || event->opcode == CASTAWAY_EVENT_REF ||
	       event->opcode == CASTAWAY_EVENT_UNREF || is_runtime(event);
}

/* Events of the watched addresses, up to the moment. */
static enum error_code each_event(struct walk *walk, event_fn visit)
{
	struct event_stream *stream;
	struct event event;
	enum error_code code = event_stream_open(walk->trace, &stream, walk->error);
	int more = 0;

	if (code)
		return code;
	while ((more = event_stream_next(stream, &event, walk->error)) > 0) {
		struct watched *watched;

		if (event.ticks > walk->options->until)
			break;
		if (cancelled(walk, event.index)) {
			code = error_set(walk->error, ERROR_CANCELLED, "the analysis was cancelled");
			break;
		}
		if (!is_counted(&event))
			continue;
		watched = address_table_find(&walk->watched, event.field[0]);
		if (watched && watched->object->counts_itself == is_runtime(&event))
			visit(walk, &event, watched);
	}
	event_stream_free(stream);
	return more < 0 ? (enum error_code) - more : code;
}

/* An object that is alive was born by the last OBJECT event of its address. */
static void find_birth(struct walk *walk, const struct event *event, struct watched *watched)
{
	if (event->opcode == CASTAWAY_EVENT_OBJECT)
		watched->birth = event->index;
}

static void count_event(struct walk *walk, const struct event *event, struct watched *watched)
{
	bool birth = event->opcode == CASTAWAY_EVENT_OBJECT;
	uint64_t stack = event->field[birth ? 3 : 1];
	bool down = event->opcode == CASTAWAY_EVENT_UNREF || event->opcode == CASTAWAY_EVENT_RUNTIME_UNREF;
	struct tally *tally;

	if (event->index < watched->birth || event->ticks < watched->object->birth_ticks)
		return;
	tally = &walk->own[stack < walk->frame_count ? stack : 0];
	if (down)
		tally->unrefs++;
	else
		tally->refs++;
	if (watched->object->counts_itself)
		walk->runtime_net += down ? -1 : 1;
}

/* Of a runtime that counts by itself: no event, but its block's. */
static void count_births(struct walk *walk, const struct balance_object *objects, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!objects[i].counts_itself || objects[i].birth_ticks == 0)
			continue;
		walk->own[objects[i].stack < walk->frame_count ? objects[i].stack : 0].refs++;
		walk->runtime_net++;
	}
}

/* ---- the tree -------------------------------------------------------------------- */

static uint32_t parent_of(const struct walk *walk, uint32_t stack)
{
	return stack ? walk->trace->frames[stack].parent : 0;
}

/* A caller has a smaller number than what it calls. */
static void add_up(struct walk *walk)
{
	for (uint32_t i = walk->frame_count; i-- > 0;) {
		struct tally *total = &walk->total[i];
		uint32_t parent = parent_of(walk, i);

		total->refs += walk->own[i].refs;
		total->unrefs += walk->own[i].unrefs;
		if (total->refs + total->unrefs == 0)
			continue;
		walk->touched[walk->touched_count++] = i;
		if (i == 0 || parent == 0)
			continue;
		walk->total[parent].refs += total->refs;
		walk->total[parent].unrefs += total->unrefs;
	}
}

struct branch {
	uint32_t stack, parent;
	uint64_t weight; /* what is outstanding, then how much happened */
	uint64_t events;
};

static int by_parent_and_weight(const void *a, const void *b)
{
	const struct branch *x = a, *y = b;

	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	if (x->weight != y->weight)
		return x->weight > y->weight ? -1 : 1;
	if (x->events != y->events)
		return x->events > y->events ? -1 : 1;
	return x->stack < y->stack ? -1 : x->stack > y->stack;
}

static uint64_t outstanding(const struct tally *tally)
{
	return tally->refs > tally->unrefs ? tally->refs - tally->unrefs : tally->unrefs - tally->refs;
}

/* Branches by their parents, the weightiest first. */
static struct branch *sorted_branches(const struct walk *walk)
{
	struct branch *branches = malloc((walk->touched_count + 1) * sizeof(*branches));

	for (size_t i = 0; branches && i < walk->touched_count; i++) {
		uint32_t stack = walk->touched[i];
		const struct tally *total = &walk->total[stack];

		branches[i] = (struct branch){
			.stack = stack,
			.parent = parent_of(walk, stack),
			.weight = outstanding(total),
			.events = total->refs + total->unrefs,
		};
	}
	if (branches)
		qsort(branches, walk->touched_count, sizeof(*branches), by_parent_and_weight);
	return branches;
}

static size_t first_of(const struct branch *branches, size_t count, uint32_t parent)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (branches[middle].parent < parent)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A place in the list of siblings, and the node that called them. */
struct cursor {
	size_t next;
	uint32_t stack, node;
};

static void emit(const struct walk *walk, struct balance *ret, uint32_t stack, uint32_t parent)
{
	ret->nodes[ret->count++] = (struct balance_node){
		.stack = stack,
		.parent = parent,
		.refs = walk->total[stack].refs,
		.unrefs = walk->total[stack].unrefs,
		.own_refs = walk->own[stack].refs,
		.own_unrefs = walk->own[stack].unrefs,
	};
}

/* Depth first; `path` has room for every level.  Stack 0 has no frame, so it
 * calls nothing: its number stands for "bottom" among the parents. */
static void list(const struct walk *walk, const struct branch *branches, struct cursor *path,
		 struct balance *ret)
{
	size_t depth = 1;

	path[0] = (struct cursor){.stack = 0, .node = BALANCE_NONE};
	while (depth > 0) {
		struct cursor *at = &path[depth - 1];
		const struct branch *branch = &branches[at->next];

		if (at->next == walk->touched_count || branch->parent != at->stack) {
			depth--;
			continue;
		}
		at->next++;
		if (branch->weight == 0 && !walk->options->all)
			continue;
		emit(walk, ret, branch->stack, at->node);
		if (branch->stack == 0)
			continue;
		path[depth++] = (struct cursor){
			.next = first_of(branches, walk->touched_count, branch->stack),
			.stack = branch->stack,
			.node = (uint32_t)ret->count - 1,
		};
	}
}

static enum error_code make_tree(struct walk *walk, struct balance *ret)
{
	struct branch *branches;
	struct cursor *path;
	enum error_code code = ERROR_NONE;

	add_up(walk);
	branches = sorted_branches(walk);
	path = malloc((walk->touched_count + 2) * sizeof(*path));
	ret->nodes = malloc((walk->touched_count + 1) * sizeof(*ret->nodes));
	if (branches && path && ret->nodes)
		list(walk, branches, path, ret);
	else
		code = no_memory(walk);
	free(branches);
	free(path);
	return code;
}

/* ---- the whole ------------------------------------------------------------------- */

static enum error_code watch(struct walk *walk, const struct balance_object *objects, size_t count)
{
	size_t frames = walk->frame_count;

	address_table_init(&walk->watched, sizeof(struct watched));
	walk->own = calloc(frames, sizeof(*walk->own));
	walk->total = calloc(frames, sizeof(*walk->total));
	walk->touched = malloc(frames * sizeof(*walk->touched));
	if (!walk->own || !walk->total || !walk->touched)
		return no_memory(walk);
	for (size_t i = 0; i < count; i++) {
		struct watched *watched = address_table_insert(&walk->watched, objects[i].address);

		if (!watched)
			return no_memory(walk);
		watched->object = &objects[i];
	}
	return ERROR_NONE;
}

static void sum(const struct walk *walk, const struct balance_object *objects, size_t count,
		struct balance *ret)
{
	int64_t runtime = 0;

	for (uint32_t i = 0; i < walk->frame_count; i++) {
		ret->refs += walk->own[i].refs;
		ret->unrefs += walk->own[i].unrefs;
	}
	for (size_t i = 0; i < count; i++) {
		ret->counts += objects[i].count;
		runtime += objects[i].counts_itself ? objects[i].count : 0;
	}
	ret->unseen = runtime - walk->runtime_net;
	ret->before = ret->counts - (int64_t)(ret->refs - ret->unrefs) - ret->unseen;
}

struct balance_object balance_annotated(const struct replay_object *object)
{
	return (struct balance_object){
		.address = object->address, .count = object->count, .type = object->type};
}

enum error_code balance_run(struct trace *trace, const struct balance_object *objects, size_t count,
			    const struct balance_options *options, struct balance *ret, struct error *error)
{
	struct walk walk = {
		.trace = trace,
		.options = options,
		.frame_count = trace->frame_count ? trace->frame_count : 1,
		.error = error,
	};
	enum error_code code = watch(&walk, objects, count);

	*ret = (struct balance){0};
	if (!code)
		code = each_event(&walk, find_birth);
	if (!code)
		code = each_event(&walk, count_event);
	if (!code) {
		count_births(&walk, objects, count);
		sum(&walk, objects, count, ret);
		code = make_tree(&walk, ret);
	}
	address_table_clear(&walk.watched);
	free(walk.own);
	free(walk.total);
	free(walk.touched);
	if (code)
		balance_done(ret);
	return code;
}

void balance_done(struct balance *balance)
{
	free(balance->nodes);
	*balance = (struct balance){0};
}
