/* SPDX-License-Identifier: Apache-2.0
 *
 * Open, read events, replay in two steps, read snapshots, analyze, ask.
 */
#include "exercise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis.h"
#include "balance.h"
#include "query.h"
#include "snapshot_reader.h"
#include "trace_builder.h"

#define CHUNK_HEADER sizeof(struct castaway_chunk_header)

#define REQUIRE(what)                                                         \
	do {                                                                  \
		if (!(what)) {                                                \
			fprintf(stderr, "%s: broken: %s\n", __func__, #what); \
			abort();                                              \
		}                                                             \
	} while (0)

/* A failure of the machine is no finding; any other must say what it is. */
static bool failed(enum error_code code, const struct error *error)
{
	if (code == ERROR_NONE)
		return false;
	REQUIRE(error->code == code);
	REQUIRE(error->what[0] != 0);
	REQUIRE(memchr(error->what, 0, sizeof(error->what)) != NULL);
	REQUIRE(strchr(error->what, '\n') == NULL);
	return true;
}

static void check_tables(const struct trace *trace)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < trace->string_count; i++)
		sum += strlen(trace_text(trace, i)) > trace->strings[i].length;
	REQUIRE(sum == 0);
	for (uint32_t i = 1; i < trace->frame_count; i++) {
		const struct trace_frame *frame = &trace->frames[i];

		REQUIRE(frame->parent < i);
		if (frame->tag == CASTAWAY_FRAME_SCRIPT)
			REQUIRE(frame->function < trace->string_count && frame->file < trace->string_count);
		else if (frame->tag != CASTAWAY_FRAME_RAW)
			REQUIRE(trace->modules[frame->tag - CASTAWAY_FRAME_MODULE0 - 1].path != NULL);
	}
	for (size_t i = 0; i < trace->limit_count; i++)
		REQUIRE(trace->limits[i].detail && trace_limit_message(trace->limits[i].limit));
	for (size_t i = 0; i < trace->snapshot_count; i++)
		REQUIRE(trace->snapshots[i].name != NULL);
	REQUIRE(trace_time_ns(trace, trace->header.start_ticks) == 0);
}

static uint64_t read_events(struct trace *trace)
{
	struct event_stream *stream;
	struct event event;
	struct error error;
	uint64_t count = 0;
	int got;

	if (failed(event_stream_open(trace, &stream, &error), &error))
		return 0;
	while ((got = event_stream_next(stream, &event, &error)) > 0) {
		const struct event_description *what = event_describe(event.opcode);

		REQUIRE(what && strlen(what->signature) == event.field_count);
		REQUIRE(event.index == count++);
		for (unsigned i = 0; i < event.field_count; i++) {
			REQUIRE(what->signature[i] != 's' || event.field[i] < trace->frame_count);
			REQUIRE(what->signature[i] != 't' || event.field[i] < trace->string_count);
		}
	}
	event_stream_free(stream);
	return count;
}

static void check_state(struct replay *replay, struct outcome *ret)
{
	struct error error;
	size_t count;
	const struct replay_object *const *objects = replay_objects(replay, &count, &error);
	const struct replay_generations *g = replay_generations(replay, CASTAWAY_DOMAIN_OBJECTS);

	ret->objects = count;
	for (size_t i = 0; i < count; i++) {
		uint32_t survived;

		REQUIRE(replay_find_object(replay, objects[i]->address) == objects[i]);
		REQUIRE(i == 0 || objects[i - 1]->address < objects[i]->address);
		REQUIRE(replay_generation_of(g, objects[i]->birth_pass, &survived) <= 2);
		for (uint32_t l = 0; l < objects[i]->link_count; l++)
			replay_link_target(replay, &objects[i]->links[l]);
	}
	replay_blocks(replay, &count, &error);
	REQUIRE(count == replay_block_count(replay));
	ret->blocks = count;
}

static void replay_all(struct trace *trace, struct outcome *ret)
{
	struct replay *replay;
	struct error error;

	if (failed(replay_new(trace, &replay, &error), &error))
		return;
	if (!failed(replay_run(replay, trace->header.start_ticks + 50, &error), &error) &&
	    !failed(replay_run(replay, UINT64_MAX, &error), &error)) {
		REQUIRE(replay_event_count(replay) == ret->events);
		check_state(replay, ret);
	}
	replay_free(replay);
}

static bool see_object(void *arg, const struct snapshot_object_record *object,
		       const struct snapshot_edge_record *edges)
{
	const struct trace *trace = arg;

	REQUIRE(object->type < trace->string_count && object->stack < trace->frame_count);
	for (uint32_t i = 0; i < object->edge_count; i++)
		REQUIRE(edges[i].field < trace->string_count && edges[i].stack < trace->frame_count);
	return true;
}

static bool see_block(void *arg, const struct snapshot_block_record *block)
{
	const struct trace *trace = arg;

	REQUIRE(block->stack < trace->frame_count);
	return true;
}

static bool see_runtime(void *arg, const struct snapshot_runtime_record *runtime)
{
	REQUIRE(arg && runtime->version && runtime->note);
	REQUIRE(runtime->generation_count <= SNAPSHOT_MAX_GENERATIONS);
	return true;
}

static bool see_pointers(void *arg, uint32_t from, const struct snapshot_pointer_record *pointers,
			 uint32_t count)
{
	const uint32_t *blocks = arg;

	REQUIRE(from < *blocks && count > 0);
	for (uint32_t i = 0; i < count; i++)
		REQUIRE(pointers[i].to < *blocks);
	return true;
}

static bool see_root(void *arg, const struct snapshot_root_record *root)
{
	const uint32_t *blocks = arg;

	REQUIRE(root->to < *blocks);
	return true;
}

static void read_scan(struct trace *trace, const struct trace_snapshot *snapshot)
{
	struct error error;
	uint32_t blocks = snapshot->blocks > 7 ? 7 : (uint32_t)snapshot->blocks;

	failed(snapshot_read_pointers(trace, snapshot, blocks, see_pointers, &blocks, &error), &error);
	failed(snapshot_read_roots(trace, snapshot, blocks, see_root, &blocks, &error), &error);
}

static void read_snapshots(struct trace *trace)
{
	struct error error;

	for (size_t i = 0; i < trace->snapshot_count; i++) {
		const struct trace_snapshot *snapshot = &trace->snapshots[i];

		failed(snapshot_read_objects(trace, snapshot, see_object, trace, &error), &error);
		failed(snapshot_read_blocks(trace, snapshot, see_block, trace, &error), &error);
		read_scan(trace, snapshot);
		failed(snapshot_read_runtimes(trace, snapshot, see_runtime, trace, &error), &error);
	}
}

static void analyze(struct trace *trace, bool confirm)
{
	struct analysis_options options;
	struct analysis *analysis;
	struct error error;

	analysis_options_default(&options);
	options.latent = options.leaks = options.instances = true;
	options.confirm = confirm;
	if (!failed(analysis_run(trace, &options, &analysis, &error), &error))
		analysis_free(analysis);
}

static void analyze_all(struct trace *trace)
{
	analyze(trace, false);
	analyze(trace, true);
}

static void ask_references(const struct query *query)
{
	uint32_t nodes = query->graph->node_count;
	struct query_reference *found;
	struct error error;
	size_t count;

	for (uint32_t i = 0; i < nodes; i += 1 + nodes / 4) {
		uint64_t address = query->graph->node[i].address;

		if (!failed(query_references(query, address, QUERY_REFERRERS, &found, &count, &error),
			    &error))
			free(found);
		if (!failed(query_references(query, address, QUERY_REFERENTS, &found, &count, &error),
			    &error))
			free(found);
	}
}

static void balance_all(const struct query *query)
{
	struct balance_options options = {.until = UINT64_MAX, .all = true};
	struct balance balance;
	struct error error;
	size_t count;
	const struct replay_object *const *alive = replay_objects(query->replay, &count, &error);
	struct balance_object *objects = calloc(count + 1, sizeof(*objects));
	bool bad;

	REQUIRE(objects != NULL);
	for (size_t i = 0; i < count; i++)
		objects[i] = balance_annotated(alive[i]);
	bad = failed(balance_run(query->trace, objects, count, &options, &balance, &error), &error);
	free(objects);
	if (bad)
		return;
	for (size_t i = 0; i < balance.count; i++) {
		const struct balance_node *node = &balance.nodes[i];

		REQUIRE(node->stack < query->trace->frame_count || node->stack == 0);
		REQUIRE(node->parent == BALANCE_NONE || node->parent < i);
		REQUIRE(node->own_refs <= node->refs && node->own_unrefs <= node->unrefs);
	}
	balance_done(&balance);
}

static void ask_all(struct trace *trace)
{
	struct query_runtime runtimes[QUERY_MAX_RUNTIMES];
	struct query query;
	struct trial trial;
	struct error error;
	size_t count;

	if (!failed(query_open(trace, ANALYSIS_SNAPSHOT_LAST, &query, &error), &error)) {
		if (!failed(query_collect(&query, 1, 0, &trial, &error), &error))
			trial_done(&trial);
		failed(query_runtimes(&query, runtimes, &count, &error), &error);
		ask_references(&query);
		balance_all(&query);
	}
	query_done(&query);
}

void exercise(const uint8_t *bytes, size_t size, bool analyze, struct outcome *ret)
{
	struct source *source;
	struct trace *trace;
	struct error error;

	memset(ret, 0, sizeof(*ret));
	REQUIRE(source_open_memory(bytes, size, &source, &error) == ERROR_NONE);
	ret->code = trace_open(source, "<memory>", &trace, &error);
	if (failed(ret->code, &error)) {
		REQUIRE(!error.has_offset || error.offset <= size);
		return;
	}
	check_tables(trace);
	ret->events = read_events(trace);
	replay_all(trace, ret);
	read_snapshots(trace);
	if (analyze) {
		analyze_all(trace);
		ask_all(trace);
	}
	REQUIRE(trace->complete || trace->limit_count > 0);
	ret->complete = trace->complete;
	ret->limits = trace->limit_count;
	trace_free(trace);
}

void exercise_repair(uint8_t *bytes, size_t size)
{
	size_t at = sizeof(struct castaway_file_header);

	if (size < at)
		return;
	builder_rehash_header(bytes);
	while (size - at >= CHUNK_HEADER) {
		struct castaway_chunk_header header;
		const uint32_t magic = CASTAWAY_CHUNK_MAGIC;

		memcpy(bytes + at, &magic, sizeof(magic));
		memcpy(&header, bytes + at, CHUNK_HEADER);
		if (header.stored_size > size - at - CHUNK_HEADER)
			break;
		if (!(header.flags & CASTAWAY_CHUNK_ZSTD))
			header.raw_size = header.stored_size;
		memcpy(bytes + at, &header, CHUNK_HEADER);
		builder_rehash_chunk(bytes, at);
		at += CHUNK_HEADER + header.stored_size;
	}
}
