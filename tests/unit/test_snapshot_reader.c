/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots: every field of every record, several snapshots in one trace, and
 * what is missing from one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "castaway/codec.h"
#include "snapshot_reader.h"
#include "trace_builder.h"

/* Without the padding behind the last member. */
#define OBJECT_SIZE (offsetof(struct snapshot_object_record, runtime) + 1)

static struct error s_error;

struct seen {
	size_t count, stop_after;
	struct snapshot_object_record objects[16];
	struct snapshot_edge_record edges[16];
	struct snapshot_block_record blocks[16];
	size_t edge_count;
	struct snapshot_runtime_record runtime;
	char version[32], note[32];
};

static bool see_object(void *arg, const struct snapshot_object_record *object,
		       const struct snapshot_edge_record *edges)
{
	struct seen *seen = arg;

	if (seen->count < 16)
		seen->objects[seen->count] = *object;
	for (uint32_t i = 0; i < object->edge_count && seen->edge_count < 16; i++)
		seen->edges[seen->edge_count++] = edges[i];
	return ++seen->count != seen->stop_after;
}

static bool see_block(void *arg, const struct snapshot_block_record *block)
{
	struct seen *seen = arg;

	if (seen->count < 16)
		seen->blocks[seen->count] = *block;
	return ++seen->count != seen->stop_after;
}

static bool see_runtime(void *arg, const struct snapshot_runtime_record *runtime)
{
	struct seen *seen = arg;

	seen->runtime = *runtime;
	strncpy(seen->version, runtime->version, sizeof(seen->version) - 1);
	strncpy(seen->note, runtime->note, sizeof(seen->note) - 1);
	return ++seen->count != seen->stop_after;
}

static uint64_t limit_count(const struct trace *trace, enum castaway_limit limit)
{
	uint64_t count = 0;

	for (size_t i = 0; i < trace->limit_count; i++)
		if (trace->limits[i].limit == limit)
			count += trace->limits[i].count;
	return count;
}

static void check_header(const struct trace *trace)
{
	assert_int_equal(trace->snapshot_count, 1);
	assert_true(trace->snapshots[0].complete);
	assert_string_equal(trace->snapshots[0].name, "at the end");
	assert_int_equal(trace->snapshots[0].reason, CASTAWAY_REASON_EXIT);
	assert_int_equal(trace->snapshots[0].method, CASTAWAY_METHOD_INPLACE);
	assert_int_equal(trace->snapshots[0].ticks, 100);
	assert_int_equal(trace->snapshots[0].edges, 3);
}

static void check_edges(const struct seen *seen, uint64_t child, uint32_t field, uint32_t stack)
{
	assert_true(seen->edges[0].target == child && seen->edges[0].field == field);
	assert_true(seen->edges[0].offset == -1 && seen->edges[0].flags == CASTAWAY_EDGE_FIELD);
	assert_true(seen->edges[1].target == child && seen->edges[1].offset == 0);
	assert_int_equal(seen->edges[1].flags, CASTAWAY_BORROWED | CASTAWAY_EDGE_OFFSET);
	assert_true(seen->edges[2].target == 8 && seen->edges[2].offset == 24);
	assert_int_equal(seen->edges[2].stack, stack);
	assert_int_equal(seen->edges[2].flags & CASTAWAY_EDGE_STRENGTH, CASTAWAY_WEAK);
	assert_true(seen->edges[2].flags & CASTAWAY_EDGE_SCANNED);
}

static void test_objects_and_edges(void **state)
{
	struct builder *b = builder_new();
	uint32_t type = builder_string(b, "dict"), field = builder_string(b, "values");
	uint32_t stack = builder_stack(b, "main", NULL), snapshot;
	const struct snapshot_object_record parent = {.address = 0x7f0000001000,
						      .size = 64,
						      .block_offset = 16,
						      .refcount = -1,
						      .type = type,
						      .generation = 3,
						      .flags = CASTAWAY_OBJECT_TRACKED,
						      .birth_pass = 12,
						      .stack = stack,
						      .edge_count = 3,
						      .runtime = CASTAWAY_RUNTIME_CPYTHON};
	const struct snapshot_edge_record edges[3] = {
		{.target = 0x7f0000000800, .offset = -1, .field = field, .flags = CASTAWAY_STRONG},
		{.target = 0x7f0000000800, .offset = 0, .flags = CASTAWAY_BORROWED},
		{.target = 8, .offset = 24, .stack = stack, .flags = CASTAWAY_WEAK | CASTAWAY_EDGE_SCANNED},
	};
	const struct snapshot_object_record child = {.address = 0x7f0000000800, .refcount = INT64_MAX};
	struct seen seen = {0};
	struct trace *trace;

	(void)state;
	snapshot = builder_snapshot(b, CASTAWAY_REASON_EXIT, 100, "at the end");
	builder_object(b, snapshot, &parent, edges);
	builder_object(b, snapshot, &child, NULL);
	builder_snapshot_end(b, snapshot, 110);
	trace = builder_open(b);
	check_header(trace);
	assert_int_equal(snapshot_read_objects(trace, &trace->snapshots[0], see_object, &seen, &s_error),
			 ERROR_NONE);
	assert_int_equal(seen.count, 2);
	assert_memory_equal(&seen.objects[0], &parent, OBJECT_SIZE);
	assert_memory_equal(&seen.objects[1], &child, OBJECT_SIZE);
	assert_int_equal(seen.edge_count, 3);
	check_edges(&seen, child.address, field, stack);
	assert_true(trace->limit_count == 1); /* no END */
	trace_free(trace);
	builder_free(b);
}

/* The `count` blocks of snapshot `index`, the first of which is number `first`. */
static void check_blocks(struct trace *trace, uint32_t index, size_t first, size_t count, uint32_t stack)
{
	struct seen seen = {0};

	assert_int_equal(snapshot_read_blocks(trace, &trace->snapshots[index], see_block, &seen, &s_error),
			 ERROR_NONE);
	assert_int_equal(seen.count, count);
	for (size_t i = 0; i < count; i++) {
		const struct snapshot_block_record *block = &seen.blocks[i];
		uint64_t n = first + i;

		assert_true(block->address == 0x9000 - 0x100 * n && block->size == n);
		assert_true(block->stack == stack && block->birth_pass == 3);
		assert_true(block->thread == 2 && block->birth_ticks == 5 + n);
		assert_int_equal(block->runtime, CASTAWAY_RUNTIME_GOBJECT);
	}
}

static void test_blocks_of_two_snapshots(void **state)
{
	struct builder *b = builder_new();
	uint32_t stack = builder_stack(b, "main", NULL);
	uint32_t first = builder_snapshot(b, CASTAWAY_REASON_INTERVAL, 10, "");
	uint32_t second = builder_snapshot(b, CASTAWAY_REASON_EXIT, 20, "");
	struct trace *trace;

	(void)state;
	builder_compress(b, true);
	for (uint64_t i = 0; i < 10; i++) {
		const struct snapshot_block_record block = {.address = 0x9000 - 0x100 * i,
							    .size = i,
							    .birth_ticks = 5 + i,
							    .stack = stack,
							    .birth_pass = 3,
							    .thread = 2,
							    .runtime = CASTAWAY_RUNTIME_GOBJECT};

		builder_block(b, i < 4 ? first : second, &block);
	}
	builder_snapshot_end(b, second, 25);
	builder_snapshot_end(b, first, 26);
	trace = builder_open(b);
	check_blocks(trace, 0, 0, 4, stack);
	check_blocks(trace, 1, 4, 6, stack);
	assert_int_equal(limit_count(trace, CASTAWAY_LIMIT_INCOMPLETE_SNAPSHOT), 0);
	trace_free(trace);
	builder_free(b);
}

static void test_runtimes(void **state)
{
	const struct snapshot_runtime_record runtime = {
		.version = "3.11.2",
		.note = "checked",
		.frozen = 7,
		.generations = {{1, 700, 20, 3, 0}, {2, 10, 5, 1, 0}, {3, 10, 1, 0, 4}},
		.generation_count = 3,
		.runtime = CASTAWAY_RUNTIME_CPYTHON,
		.status = CASTAWAY_STATUS_RULES,
		.enabled = true,
	};
	struct builder *b = builder_new();
	struct seen seen = {0};
	struct trace *trace;
	uint32_t snapshot;

	(void)state;
	snapshot = builder_snapshot(b, CASTAWAY_REASON_EXIT, 10, "");
	builder_runtime(b, snapshot, &runtime);
	builder_snapshot_end(b, snapshot, 11);
	trace = builder_open(b);
	assert_int_equal(snapshot_read_runtimes(trace, &trace->snapshots[0], see_runtime, &seen, &s_error),
			 ERROR_NONE);
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.version, "3.11.2");
	assert_string_equal(seen.note, "checked");
	assert_true(seen.runtime.enabled && seen.runtime.frozen == 7);
	assert_int_equal(seen.runtime.status, CASTAWAY_STATUS_RULES);
	assert_int_equal(seen.runtime.generation_count, 3);
	assert_memory_equal(seen.runtime.generations, runtime.generations, sizeof(runtime.generations));
	trace_free(trace);
	builder_free(b);
}

static void test_cancelled(void **state)
{
	struct builder *b = builder_new();
	uint32_t snapshot = builder_snapshot(b, CASTAWAY_REASON_EXIT, 10, "");
	struct seen seen = {.stop_after = 2};
	struct trace *trace;

	(void)state;
	for (uint64_t i = 1; i < 5; i++)
		builder_object(b, snapshot, &(struct snapshot_object_record){.address = 16 * i}, NULL);
	builder_snapshot_end(b, snapshot, 11);
	trace = builder_open(b);
	assert_int_equal(snapshot_read_objects(trace, &trace->snapshots[0], see_object, &seen, &s_error),
			 ERROR_CANCELLED);
	assert_int_equal(seen.count, 2);
	trace_free(trace);
	builder_free(b);
}

static void test_incomplete(void **state)
{
	struct builder *b = builder_new();
	uint32_t snapshot = builder_snapshot(b, CASTAWAY_REASON_EXIT, 10, "");
	uint8_t total[32], *end;
	struct seen seen = {0};
	struct trace *trace;

	(void)state;
	builder_block(b, snapshot, &(struct snapshot_block_record){.address = 0x1000});
	trace = builder_open(b);
	assert_false(trace->snapshots[0].complete);
	assert_int_equal(limit_count(trace, CASTAWAY_LIMIT_INCOMPLETE_SNAPSHOT), 1);
	trace_free(trace);

	/* An end that speaks of 3 blocks, where 0 can be read. */
	end = codec_put_varint(total, snapshot);
	end = codec_put_varint(end, 3);
	end = codec_put_varint(end, 0);
	end = codec_put_varint(end, 0);
	end = codec_put_u64(end, 12);
	memset(end, 0, 3);
	end += 3;
	builder_chunk(b, CASTAWAY_CHUNK_SNAPSHOT_END, 0, total, (size_t)(end - total));
	trace = builder_open(b);
	assert_true(trace->snapshots[0].complete);
	assert_int_equal(snapshot_read_blocks(trace, &trace->snapshots[0], see_block, &seen, &s_error),
			 ERROR_NONE);
	assert_int_equal(seen.count, 0);
	assert_int_equal(limit_count(trace, CASTAWAY_LIMIT_INCOMPLETE_SNAPSHOT), 3);
	trace_free(trace);
	builder_free(b);
}

/* Edge counts that no payload can hold, ids that are nowhere. */
static void test_hostile_records(void **state)
{
	struct builder *b = builder_new();
	uint32_t snapshot = builder_snapshot(b, CASTAWAY_REASON_EXIT, 10, "");
	const struct snapshot_object_record bad_ids = {.address = 64, .type = 70, .stack = 80};
	struct seen seen = {0};
	uint8_t payload[64], *end = payload;
	struct trace *trace;

	(void)state;
	builder_object(b, snapshot, &bad_ids, NULL);
	builder_snapshot_end(b, snapshot, 11);
	end = codec_put_varint(end, snapshot);
	for (unsigned i = 0; i < 10; i++)
		end = codec_put_varint(end, 0);
	end = codec_put_varint(end, UINT32_MAX - 5);
	builder_chunk(b, CASTAWAY_CHUNK_OBJECTS, 0, payload, (size_t)(end - payload));
	builder_chunk(b, CASTAWAY_CHUNK_OBJECTS, 0, "\xff", 1);
	/* runtime 2, version "", status 9 */
	builder_chunk(b, CASTAWAY_CHUNK_RUNTIME, 0, "\x00\x02\x00\x09\x00\x01\x00\x00", 8);
	trace = builder_open(b);
	assert_int_equal(snapshot_read_objects(trace, &trace->snapshots[0], see_object, &seen, &s_error),
			 ERROR_NONE);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.objects[0].type, 0);
	assert_int_equal(seen.objects[0].stack, 0);
	assert_int_equal(limit_count(trace, CASTAWAY_LIMIT_DAMAGED), 3);
	assert_int_equal(snapshot_read_runtimes(trace, &trace->snapshots[0], see_runtime, &seen, &s_error),
			 ERROR_NONE);
	assert_int_equal(seen.count, 1);
	assert_int_equal(limit_count(trace, CASTAWAY_LIMIT_DAMAGED), 4);
	trace_free(trace);
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects_and_edges), cmocka_unit_test(test_blocks_of_two_snapshots),
		cmocka_unit_test(test_runtimes),          cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_incomplete),        cmocka_unit_test(test_hostile_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
