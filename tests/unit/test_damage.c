/* SPDX-License-Identifier: Apache-2.0
 *
 * Damaged and hostile traces: how much is found again, and what is said about
 * the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "castaway/codec.h"
#include "trace_builder.h"

#define CHUNK_HEADER sizeof(struct castaway_chunk_header)

static struct error s_error;

static enum error_code open_bytes(const uint8_t *bytes, size_t size, struct trace **trace)
{
	struct source *source;

	memset(&s_error, 0, sizeof(s_error));
	assert_int_equal(source_open_memory(bytes, size, &source, &s_error), ERROR_NONE);
	return trace_open(source, "test", trace, &s_error);
}

static const struct trace_limit *limit_of(const struct trace *trace, enum castaway_limit limit)
{
	for (size_t i = 0; i < trace->limit_count; i++)
		if (trace->limits[i].limit == limit)
			return &trace->limits[i];
	return NULL;
}

static struct builder *small_trace(void)
{
	struct builder *b = builder_new();

	builder_string(b, "one");
	builder_event(b, 1, 10, MARK, 1, 0);
	builder_end(b, CASTAWAY_END_EXIT, 20);
	return b;
}

static void test_truncation(void **state)
{
	struct builder *b = small_trace();
	size_t size, chunks = builder_chunk_count(b);
	size_t last = builder_chunk_offset(b, chunks - 1);
	const uint8_t *file = builder_finish(b, &size);
	struct trace *trace;
	char expected[64];

	(void)state;
	snprintf(expected, sizeof(expected), "at offset %zu", last);
	for (size_t cut = last + 1; cut < size; cut++) {
		assert_int_equal(open_bytes(file, cut, &trace), ERROR_NONE);
		assert_int_equal(trace->chunk_count, chunks - 1);
		assert_string_equal(limit_of(trace, CASTAWAY_LIMIT_TRUNCATED)->detail, expected);
		assert_null(limit_of(trace, CASTAWAY_LIMIT_DAMAGED));
		assert_false(trace->complete);
		trace_free(trace);
	}
	builder_free(b);
}

static void test_resynchronisation(void **state)
{
	struct builder *b = builder_new();
	struct trace *trace;
	size_t size, offset;
	uint8_t *file;

	(void)state;
	for (uint64_t i = 0; i < 4; i++) {
		builder_event(b, 1, 10 * i, MARK, 0, 0);
		builder_next_buffer(b, 1);
	}
	builder_garbage(b, "CHNK but not a chunk, and 0 0 0 0 0 0 0 0 0", 43);
	offset = builder_chunk_offset(b, 3) + CHUNK_HEADER + 29;
	builder_end(b, CASTAWAY_END_EXIT, 50);
	file = builder_finish(b, &size);
	file[builder_chunk_offset(b, 1) + 8] ^= 0x80; /* its length: then its header is wrong */
	assert_int_equal(open_bytes(file, size, &trace), ERROR_NONE);
	assert_int_equal(trace->chunk_count, 4);
	assert_int_equal(limit_of(trace, CASTAWAY_LIMIT_DAMAGED)->count, 2);
	assert_int_equal(limit_of(trace, CASTAWAY_LIMIT_MISSING_CHUNKS)->count, 1);
	assert_string_equal(limit_of(trace, CASTAWAY_LIMIT_MISSING_CHUNKS)->detail, "first is number 1");
	assert_true(trace->has_end);
	assert_false(trace->complete);
	trace_free(trace);
	file[builder_chunk_offset(b, 1) + 8] ^= 0x80;
	assert_int_equal(open_bytes(file, size, &trace), ERROR_NONE);
	assert_int_equal(trace->chunk_count, 5);
	assert_int_equal(limit_of(trace, CASTAWAY_LIMIT_DAMAGED)->count, 1);
	{
		char expected[64];

		snprintf(expected, sizeof(expected), "first at offset %zu", offset);
		assert_string_equal(limit_of(trace, CASTAWAY_LIMIT_DAMAGED)->detail, expected);
	}
	trace_free(trace);
	builder_free(b);
}

static void test_missing_chunks(void **state)
{
	struct builder *b = small_trace();
	struct trace *trace;

	(void)state;
	builder_skip_sequence(b, 5);
	builder_end(b, CASTAWAY_END_EXIT, 30);
	trace = builder_open(b);
	assert_int_equal(limit_of(trace, CASTAWAY_LIMIT_MISSING_CHUNKS)->count, 5);
	assert_false(trace->complete);
	trace_free(trace);
	builder_free(b);
}

static void test_unknown_chunks_are_skipped(void **state)
{
	struct builder *b = small_trace();
	struct trace *trace;

	(void)state;
	builder_chunk(b, 999, 0, "whatever", 8);
	trace = builder_open(b);
	assert_true(trace->complete);
	trace_free(trace);
	builder_free(b);
}

/* Ids that no size of file can justify, sizes that lie, tables cut short. */
static void test_hostile_tables(void **state)
{
	uint8_t payload[64], *end;
	struct builder *b = small_trace();
	struct trace *trace;

	(void)state;
	end = codec_put_varint(payload, UINT32_MAX - 2);
	end = codec_put_varint(end, 1);
	*end++ = 'x';
	builder_chunk(b, CASTAWAY_CHUNK_STRINGS, 0, payload, (size_t)(end - payload));
	builder_chunk(b, CASTAWAY_CHUNK_STACKS, 0, payload, (size_t)(end - payload));
	end = payload;
	*end++ = CASTAWAY_MODULE_LOAD;
	end = codec_put_varint(end, UINT32_MAX - 1);
	builder_chunk(b, CASTAWAY_CHUNK_MODULES, 0, payload, (size_t)(end - payload));
	builder_chunk(b, CASTAWAY_CHUNK_THREADS, 0, "\x01", 1);
	builder_chunk(b, CASTAWAY_CHUNK_LIMITS, 0, "\x01\x01\x05xy", 5);
	builder_chunk(b, CASTAWAY_CHUNK_PROCESS, 0, "\x01\xff\xff\xff\x0f", 5);
	builder_chunk(b, CASTAWAY_CHUNK_CLOCK, 0, "1234567890", 10);
	builder_chunk(b, CASTAWAY_CHUNK_SNAPSHOT, 0, "\x00\x01", 2);
	builder_chunk(b, CASTAWAY_CHUNK_SNAPSHOT_END, 0, "\x00\x01", 2);
	trace = builder_open(b);
	assert_int_equal(limit_of(trace, CASTAWAY_LIMIT_DAMAGED)->count, 9);
	assert_int_equal(trace->string_count, 2);
	assert_int_equal(trace->module_count, 0);
	assert_int_equal(trace->snapshot_count, 0);
	trace_free(trace);
	builder_free(b);
}

static void test_frames_are_checked(void **state)
{
	/* node 1: up 1 (bottom), of module 9; node 2: up 1, script of string 50;
	 * node 3: up 5, which is before the first. */
	static const uint8_t payload[] = {1, 1, 11, 0x10, 1, 1, 50, 1, 7, 5, 0, 1};
	struct builder *b = small_trace();
	struct trace *trace;

	(void)state;
	builder_chunk(b, CASTAWAY_CHUNK_STACKS, 0, payload, sizeof(payload));
	trace = builder_open(b);
	assert_int_equal(trace->frame_count, 3);
	assert_int_equal(trace->frames[1].tag, CASTAWAY_FRAME_RAW);
	assert_int_equal(trace->frames[1].parent, 0);
	assert_int_equal(trace->frames[2].parent, 1);
	assert_int_equal(trace->frames[2].function, 0);
	assert_int_equal(trace->frames[2].file, 1);
	assert_int_equal(trace->frames[2].line, 7);
	assert_int_equal(limit_of(trace, CASTAWAY_LIMIT_DAMAGED)->count, 1);
	trace_free(trace);
	builder_free(b);
}

static void test_stack_depth_is_bounded(void **state)
{
	struct builder *b = builder_new();
	struct trace *trace;
	uint32_t node = 0, depth = 0;

	(void)state;
	for (uint64_t i = 0; i < CASTAWAY_MAX_STACK_DEPTH + 10; i++)
		node = builder_frame_raw(b, node, i);
	trace = builder_open(b);
	for (uint32_t at = node; at; at = trace->frames[at].parent)
		depth++;
	assert_int_equal(depth, 10);
	assert_non_null(limit_of(trace, CASTAWAY_LIMIT_DAMAGED));
	trace_free(trace);
	builder_free(b);
}

static void test_compressed_chunks(void **state)
{
	struct builder *b = builder_new();
	struct trace *trace;
	uint8_t *buffer = NULL, *file;
	size_t capacity = 0, size, file_size;

	(void)state;
	builder_compress(b, true);
	for (uint64_t i = 0; i < 1000; i++)
		builder_event(b, 1, i, ALLOC, 0x1000 + 16 * i, 24, 0);
	builder_end(b, CASTAWAY_END_EXIT, 2000);
	trace = builder_open(b);
	assert_int_equal(trace->chunks[0].flags, CASTAWAY_CHUNK_ZSTD);
	assert_int_equal(trace_read_chunk(trace, &trace->chunks[0], &buffer, &capacity, &size, &s_error),
			 ERROR_NONE);
	assert_int_equal(size, trace->chunks[0].raw_size);
	assert_true(size > 1000 * 5);
	/* The bytes are as they were, but the size is not. */
	trace->chunks[0].raw_size--;
	assert_int_equal(trace_read_chunk(trace, &trace->chunks[0], &buffer, &capacity, &size, &s_error),
			 ERROR_DAMAGED);
	trace->chunks[0].raw_size += 2;
	assert_int_equal(trace_read_chunk(trace, &trace->chunks[0], &buffer, &capacity, &size, &s_error),
			 ERROR_DAMAGED);
	assert_int_equal(s_error.offset, 128);
	trace_free(trace);
	file = builder_finish(b, &file_size);
	file[128 + CHUNK_HEADER + 30] ^= 4; /* hashes right, and does not decompress to its size */
	builder_rehash_chunk(file, 128);
	assert_int_equal(open_bytes(file, file_size, &trace), ERROR_NONE);
	trace_free(trace);
	free(buffer);
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_resynchronisation),
		cmocka_unit_test(test_missing_chunks),
		cmocka_unit_test(test_unknown_chunks_are_skipped),
		cmocka_unit_test(test_hostile_tables),
		cmocka_unit_test(test_frames_are_checked),
		cmocka_unit_test(test_stack_depth_is_bounded),
		cmocka_unit_test(test_compressed_chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
