/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers from the graph where it has them.  References are read from their
 * source once more, because the graph has no targets without a record.
 */
#include "query.h"

#include <inttypes.h>
#include <stdlib.h>

#include "moment.h"
#include "snapshot_reader.h"

enum error_code query_open(struct trace *trace, int index, struct query *ret, struct error *error)
{
	enum error_code code;

	*ret = (struct query){.trace = trace};
	code = moment_find(trace, index, &ret->snapshot, error);
	if (!code)
		code = replay_new(trace, &ret->replay, error);
	if (!code)
		code = replay_run(ret->replay, ret->snapshot ? ret->snapshot->ticks : UINT64_MAX, error);
	if (!code)
		code = graph_build(trace, ret->replay, ret->snapshot, &ret->graph, error);
	return code;
}

void query_done(struct query *query)
{
	graph_free(query->graph);
	replay_free(query->replay);
	*query = (struct query){0};
}

bool query_is_object(const struct query *query, uint32_t node, uint32_t runtimes)
{
	const struct graph_node *n = &query->graph->node[node];

	if (!(n->flags & GRAPH_NODE_COUNTED) || n->untracked)
		return false;
	return runtimes == 0 || (n->runtime < 32 && (runtimes >> n->runtime & 1));
}

/* ---- collect ------------------------------------------------------------------- */

static uint32_t runtimes_present(const struct query *query, uint32_t wanted)
{
	uint32_t present = 0;

	for (uint32_t i = 0; i < query->graph->node_count; i++) {
		if (query_is_object(query, i, wanted) && query->graph->node[i].runtime < 32)
			present |= 1u << query->graph->node[i].runtime;
	}
	return present;
}

static void merge(struct trial *into, const struct trial *from, uint32_t nodes)
{
	for (uint32_t i = 0; i < nodes; i++) {
		if (from->state[i] != TRIAL_EXTERNAL)
			into->state[i] = from->state[i];
	}
	into->candidates += from->candidates;
	into->dead += from->dead;
	into->inexact += from->inexact;
}

enum error_code query_collect(const struct query *query, int generation, uint32_t runtimes, struct trial *ret,
			      struct error *error)
{
	uint32_t left = runtimes_present(query, runtimes);
	struct trial one;
	enum error_code code = ERROR_NONE;

	*ret = (struct trial){.state = calloc((size_t)query->graph->node_count + 1, 1)};
	if (!ret->state)
		return error_set(error, ERROR_MEMORY, "out of memory for the cycle pass");
	for (; left && !code; left &= left - 1) {
		code = trial_run(query->graph, generation, left & -left, &one, error);
		if (code)
			break;
		merge(ret, &one, query->graph->node_count);
		trial_done(&one);
	}
	if (code)
		trial_done(ret);
	return code;
}

/* ---- references ---------------------------------------------------------------- */

struct search {
	const struct query *query;
	uint64_t address;
	enum query_direction direction;
	struct query_reference *found;
	size_t count, capacity;
	bool seen; /* as a target */
	bool no_memory;
};

static bool add(struct search *search, uint64_t other, uint32_t field)
{
	if (search->count == search->capacity) {
		size_t capacity = search->capacity ? 2 * search->capacity : 64;
		struct query_reference *found = realloc(search->found, capacity * sizeof(*found));

		search->no_memory = !found;
		if (!found)
			return false;
		search->found = found;
		search->capacity = capacity;
	}
	search->found[search->count++] = (struct query_reference){
		.address = other,
		.node = graph_find(search->query->graph, other),
		.field = field,
	};
	return true;
}

/* One owning reference of `owner`; false = stop. */
static bool look_at(struct search *search, uint64_t owner, bool permanent, uint64_t target, uint32_t field)
{
	search->seen |= target == search->address;
	if (search->direction == QUERY_REFERENTS)
		return owner != search->address || add(search, target, field);
	return target != search->address || permanent || add(search, owner, field);
}

static bool search_record(void *arg, const struct snapshot_object_record *record,
			  const struct snapshot_edge_record *edges)
{
	struct search *search = arg;
	bool permanent = record->generation > 2 || record->flags & CASTAWAY_OBJECT_PERMANENT;

	if (record->runtime == CASTAWAY_RUNTIME_CPYTHON && !(record->flags & CASTAWAY_OBJECT_TRACKED))
		return true;
	/* What the annotations say of an object goes first, as in the graph. */
	if (replay_find_object(search->query->replay, record->address))
		return true;
	for (uint32_t e = 0; e < record->edge_count; e++) {
		if (edges[e].flags & (CASTAWAY_EDGE_STRENGTH | CASTAWAY_EDGE_SCANNED))
			continue;
		if (!look_at(search, record->address, permanent, edges[e].target, edges[e].field))
			return false;
	}
	return true;
}

static enum error_code search_annotated(struct search *search, struct error *error)
{
	struct replay *replay = search->query->replay;
	struct error failed = {0};
	size_t count;
	const struct replay_object *const *objects = replay_objects(replay, &count, &failed);

	if (failed.code)
		return error_set(error, failed.code, "%s", failed.what);
	for (size_t i = 0; i < count; i++) {
		for (uint32_t l = 0; l < objects[i]->link_count; l++) {
			const struct replay_link *link = &objects[i]->links[l];

			if (link->weak ||
			    (replay_find_object(replay, link->target) && !replay_link_target(replay, link)))
				continue;
			if (!look_at(search, objects[i]->address, objects[i]->frozen, link->target,
				     link->field))
				return ERROR_NONE;
		}
	}
	return ERROR_NONE;
}

static enum error_code not_found(const struct search *search, struct error *error)
{
	uint32_t node = graph_find(search->query->graph, search->address);
	bool object = node != GRAPH_NONE && query_is_object(search->query, node, 0);

	if (object || (search->seen && search->direction == QUERY_REFERRERS))
		return ERROR_NONE;
	if (search->seen)
		return error_set(error, ERROR_NOT_FOUND,
				 "0x%" PRIx64 " is no tracked object: what it refers to is not recorded",
				 search->address);
	return error_set(error, ERROR_NOT_FOUND, "no object at 0x%" PRIx64 " at this moment",
			 search->address);
}

enum error_code query_references(const struct query *query, uint64_t address, enum query_direction direction,
				 struct query_reference **ret, size_t *count, struct error *error)
{
	struct search search = {.query = query, .address = address, .direction = direction};
	struct error failed = {0};
	enum error_code code = search_annotated(&search, error);

	if (!code && query->snapshot && !search.no_memory)
		code = snapshot_read_objects(query->trace, query->snapshot, search_record, &search, &failed);
	if (search.no_memory)
		code = error_set(error, ERROR_MEMORY, "out of memory for %zu references", search.count);
	else if (failed.code && error)
		*error = failed;
	if (!code)
		code = not_found(&search, error);
	if (code) {
		free(search.found);
		return code;
	}
	*ret = search.found;
	*count = search.count;
	return ERROR_NONE;
}

/* ---- runtimes ------------------------------------------------------------------- */

struct runtimes {
	struct query_runtime *entries;
	size_t count;
};

static struct query_runtime *entry_of(struct runtimes *runtimes, uint8_t runtime)
{
	struct query_runtime *entry = runtimes->entries;

	for (size_t i = 0; i < runtimes->count; i++, entry++) {
		if ((uint8_t)entry->runtime == runtime)
			return entry;
	}
	if (runtimes->count == QUERY_MAX_RUNTIMES)
		return NULL;
	*entry = (struct query_runtime){.runtime = (enum castaway_runtime)runtime};
	runtimes->count++;
	return entry;
}

static bool copy_runtime(void *arg, const struct snapshot_runtime_record *record)
{
	struct query_runtime *entry = entry_of(arg, record->runtime);

	if (!entry)
		return true;
	entry->enabled = record->enabled;
	entry->frozen = record->frozen;
	for (uint32_t g = 0; g < 3 && g < record->generation_count; g++) {
		entry->generation[g].count = record->generations[g].count;
		entry->generation[g].threshold = record->generations[g].threshold;
		entry->generation[g].collections = record->generations[g].collections;
		entry->generation[g].collected = record->generations[g].collected;
		entry->generation[g].uncollectable = record->generations[g].uncollectable;
	}
	return true;
}

static void fill_annotated(const struct query *query, struct query_runtime *entry)
{
	const struct replay_generations *g = replay_generations(query->replay, CASTAWAY_DOMAIN_OBJECTS);

	entry->enabled = g->enabled;
	entry->passes_only = true;
	for (unsigned i = 0; i < 3; i++) {
		entry->generation[i].threshold = g->threshold[i];
		entry->generation[i].count = g->counter[i] > 0 ? (uint64_t)g->counter[i] : 0;
	}
	for (size_t p = 0; p < g->count; p++) {
		unsigned i = g->passes[p].generation > 2 ? 2 : g->passes[p].generation;

		entry->generation[i].collections++;
		entry->generation[i].examined += g->passes[p].examined;
		entry->generation[i].promoted += g->passes[p].promoted;
	}
}

static void count_objects(const struct query *query, struct runtimes *runtimes)
{
	for (uint32_t i = 0; i < query->graph->node_count; i++) {
		const struct graph_node *node = &query->graph->node[i];
		unsigned generation = node->flags & GRAPH_NODE_GENERATION;
		struct query_runtime *entry;

		if (!query_is_object(query, i, 0) || !(entry = entry_of(runtimes, node->runtime)))
			continue;
		if (generation < 3)
			entry->generation[generation].objects++;
		else if (node->runtime == CASTAWAY_RUNTIME_NATIVE)
			entry->frozen++;
	}
}

enum error_code query_runtimes(const struct query *query, struct query_runtime *entries, size_t *count,
			       struct error *error)
{
	struct runtimes runtimes = {.entries = entries};
	enum error_code code = ERROR_NONE;

	if (query->snapshot)
		code = snapshot_read_runtimes(query->trace, query->snapshot, copy_runtime, &runtimes, error);
	if (code)
		return code;
	count_objects(query, &runtimes);
	for (size_t i = 0; i < runtimes.count; i++) {
		if (entries[i].runtime == CASTAWAY_RUNTIME_NATIVE)
			fill_annotated(query, &entries[i]);
	}
	*count = runtimes.count;
	return ERROR_NONE;
}
