/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening traces: what each refusal says, the tables, times and limits, and
 * how much of a damaged file is found again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

/* Refused with this code and words, and at this offset (-1 = none is told). */
static void assert_refused(const uint8_t *bytes, size_t size, enum error_code code, const char *what,
			   int64_t offset)
{
	struct trace *trace;

	assert_int_equal(open_bytes(bytes, size, &trace), code);
	assert_null(trace);
	assert_int_equal(s_error.code, code);
	assert_non_null(strstr(s_error.what, what));
	assert_int_equal(s_error.has_offset, offset >= 0);
	if (offset >= 0)
		assert_int_equal(s_error.offset, offset);
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

static void test_header_refusals(void **state)
{
	struct builder *b = small_trace();
	size_t size;
	uint8_t *file = builder_finish(b, &size);
	struct castaway_file_header *header = (void *)file;

	(void)state;
	assert_refused(file, 0, ERROR_EMPTY, "the file is empty", -1);
	assert_refused(file, 127, ERROR_NOT_A_TRACE, "not a castaway trace", 0);
	assert_refused((const uint8_t *)"hello", 5, ERROR_NOT_A_TRACE, "not a castaway trace", 0);
	header->magic[1] ^= 1;
	assert_refused(file, size, ERROR_NOT_A_TRACE, "not a castaway trace", 0);
	header->magic[1] ^= 1;
	header->pid ^= 1;
	assert_refused(file, size, ERROR_DAMAGED, "hash", 124);
	header->pid ^= 1;
	header->version = 9;
	header->min_reader = 7;
	builder_rehash_header(file);
	assert_refused(file, size, ERROR_VERSION, "version 9", 10);
	assert_non_null(strstr(s_error.what, "reader of version 7"));
	assert_non_null(strstr(s_error.what, "this castaway reads version 1"));
	header->min_reader = 1;
	header->pointer_size = 4;
	builder_rehash_header(file);
	assert_refused(file, size, ERROR_VERSION, "pointers of 4 bytes", 24);
	header->pointer_size = 8;
	header->endian = 2;
	builder_rehash_header(file);
	assert_refused(file, size, ERROR_VERSION, "little-endian", 25);
	header->endian = 1;
	header->clock_shift = 64;
	builder_rehash_header(file);
	assert_refused(file, size, ERROR_DAMAGED, "clock shift", 65);
	builder_free(b);
}

/* A later minor writer says that this reader will do. */
static void test_newer_version_that_we_may_read(void **state)
{
	struct builder *b = small_trace();
	struct trace *trace;

	(void)state;
	builder_header(b)->version = 3;
	trace = builder_open(b);
	assert_int_equal(trace->header.version, 3);
	assert_true(trace->complete);
	trace_free(trace);
	builder_free(b);
}

static void test_header_alone(void **state)
{
	struct builder *b = small_trace();
	size_t size, first = builder_chunk_offset(b, 0);
	uint8_t *file = builder_finish(b, &size);

	(void)state;
	assert_refused(file, 128, ERROR_EMPTY, "holds nothing", 128);
	assert_refused(file, first + 1, ERROR_EMPTY, "holds nothing", 128);
	assert_refused(file, first + CHUNK_HEADER + 1, ERROR_EMPTY, "holds nothing", 128);
	memset(file + first, 0, size - first);
	assert_refused(file, size, ERROR_DAMAGED, "no part of it can be read", 128);
	builder_free(b);
}

static void put_process(struct builder *b)
{
	builder_process(b, CASTAWAY_PROCESS_EXE, "/bin/true");
	builder_process(b, CASTAWAY_PROCESS_ARGV, "true");
	builder_process(b, CASTAWAY_PROCESS_ARGV, "");
	builder_process(b, CASTAWAY_PROCESS_OPTIONS, "depth=3");
	builder_process(b, CASTAWAY_PROCESS_OPTION_ERROR, "colour=red");
	builder_process(b, 99, "of a later writer");
	builder_thread(b, 2, 200, "second");
	builder_thread(b, 1, 100, "main");
	builder_thread(b, 2, 201, "a name that is longer than what there is room for");
}

static void check_process(const struct trace *trace)
{
	assert_string_equal(trace->exe, "/bin/true");
	assert_int_equal(trace->argc, 2);
	assert_string_equal(trace->argv[0], "true");
	assert_string_equal(trace->argv[1], "");
	assert_string_equal(trace->options, "depth=3");
	assert_string_equal(trace->option_errors[0], "colour=red");
	assert_int_equal(trace->thread_count, 2);
	assert_int_equal(trace->threads[0].number, 1);
	assert_string_equal(trace->threads[0].name, "main");
	assert_int_equal(trace->threads[1].kernel_tid, 201);
	assert_string_equal(trace->threads[1].name, "a name that is longer than what");
}

static void test_tables(void **state)
{
	struct builder *b = builder_new();
	uint32_t module, frame;
	struct trace *trace;

	(void)state;
	put_process(b);
	builder_limit(b, CASTAWAY_LIMIT_NO_STACKS, 3, "");
	builder_limit(b, 4711, 1, "later");
	builder_flush(b);
	builder_limit(b, CASTAWAY_LIMIT_NO_STACKS, 5, "");
	module = builder_module(b, "/lib/x.so", 0x7000, 0x7000, 0x9000);
	builder_unload(b, module, 77);
	frame = builder_frame(b, builder_stack(b, "main", NULL), module, 0x123);
	builder_end(b, CASTAWAY_END_ABORT, 20);
	trace = builder_open(b);
	check_process(trace);
	assert_int_equal(trace->limit_count, 2);
	assert_true(limit_of(trace, CASTAWAY_LIMIT_NO_STACKS)->count == 5);
	assert_int_equal(trace->module_count, 1);
	assert_string_equal(trace->modules[0].path, "/lib/x.so");
	assert_int_equal(trace->modules[0].build_id_size, 8);
	assert_int_equal(trace->modules[0].unload_ticks, 77);
	assert_int_equal(trace->frame_count, 3);
	assert_int_equal(trace->frames[frame].tag, CASTAWAY_FRAME_MODULE0 + module);
	assert_int_equal(trace->frames[frame].address, 0x123);
	assert_int_equal(trace->frames[frame].parent, 1);
	assert_string_equal(trace_text(trace, trace->frames[1].function), "main");
	assert_string_equal(trace_text(trace, 0), "");
	assert_string_equal(trace_text(trace, UINT32_MAX), "");
	assert_true(trace->complete && trace->has_end);
	assert_int_equal(trace->end_reason, CASTAWAY_END_ABORT);
	trace_free(trace);
	builder_free(b);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(trace_limit_code(CASTAWAY_LIMIT_TRUNCATED), "truncated");
	assert_string_equal(trace_limit_message(CASTAWAY_LIMIT_DAMAGED),
			    "damaged parts of the trace were skipped");
	assert_string_equal(trace_limit_code(4711), "unknown");
	assert_string_equal(trace_runtime_name(CASTAWAY_RUNTIME_CPYTHON), "cpython");
	assert_string_equal(trace_runtime_name(250), "unknown");
}

static void test_times(void **state)
{
	struct builder *b = small_trace();
	struct trace *trace;

	(void)state;
	builder_header(b)->clock_source = CASTAWAY_CLOCK_TSC;
	builder_header(b)->start_ticks = 1000;
	builder_header(b)->start_monotonic_ns = 50000;
	trace = builder_open(b);
	assert_int_equal(trace_time_ns(trace, 2000), 0); /* one point: no rate is known */
	trace_free(trace);
	builder_clock(b, 3000, 54000, 0);
	builder_clock(b, 2000, 51000, 0); /* any order; and this one twice */
	builder_clock(b, 2000, 51000, 0);
	trace = builder_open(b);
	assert_int_equal(trace->clock_count, 3);
	assert_int_equal(trace_time_ns(trace, 900), 0);
	assert_int_equal(trace_time_ns(trace, 1000), 0);
	assert_int_equal(trace_time_ns(trace, 1500), 500);
	assert_int_equal(trace_time_ns(trace, 2000), 1000);
	assert_int_equal(trace_time_ns(trace, 2500), 2500);
	assert_int_equal(trace_time_ns(trace, 3000), 4000);
	assert_int_equal(trace_time_ns(trace, 4000), 7000); /* goes on as it last did */
	assert_true(trace_time_ns(trace, UINT64_MAX) == UINT64_MAX);
	trace_free(trace);
	builder_header(b)->clock_source = CASTAWAY_CLOCK_MONOTONIC;
	trace = builder_open(b);
	assert_int_equal(trace_time_ns(trace, 1234), 234);
	trace_free(trace);
	builder_free(b);
}

static void test_limits_add_and_set(void **state)
{
	struct builder *b = small_trace();
	struct trace *trace = builder_open(b);

	(void)state;
	assert_int_equal(trace_add_limit(trace, CASTAWAY_LIMIT_DEEPBIND, 2, NULL), ERROR_NONE);
	assert_int_equal(trace_add_limit(trace, CASTAWAY_LIMIT_DEEPBIND, 3, ""), ERROR_NONE);
	assert_int_equal(trace_add_limit(trace, CASTAWAY_LIMIT_DEEPBIND, 1, "x.so"), ERROR_NONE);
	assert_int_equal(trace->limit_count, 2);
	assert_int_equal(trace->limits[0].count, 5);
	assert_int_equal(trace_set_limit(trace, CASTAWAY_LIMIT_DEEPBIND, 1, ""), ERROR_NONE);
	assert_int_equal(trace->limits[0].count, 1);
	trace_free(trace);
	builder_free(b);
}

static void test_ends(void **state)
{
	struct builder *b = builder_new();
	struct trace *trace;

	(void)state;
	builder_event(b, 1, 10, MARK, 0, 0);
	trace = builder_open(b);
	assert_false(trace->complete || trace->has_end);
	assert_non_null(limit_of(trace, CASTAWAY_LIMIT_INCOMPLETE));
	trace_free(trace);

	builder_end(b, CASTAWAY_END_EXEC, 20);
	trace = builder_open(b);
	assert_true(trace->complete);
	assert_int_equal(trace->end_reason, CASTAWAY_END_EXEC);
	assert_int_equal(trace->end_events, 1);
	assert_null(limit_of(trace, CASTAWAY_LIMIT_INCOMPLETE));
	trace_free(trace);

	/* The exec failed, and more happened: that was not the end. */
	builder_event(b, 1, 30, MARK, 0, 0);
	trace = builder_open(b);
	assert_false(trace->complete || trace->has_end);
	trace_free(trace);

	builder_end(b, CASTAWAY_END_VANISHED, 40);
	trace = builder_open(b);
	assert_true(trace->has_end);
	assert_false(trace->complete);
	assert_non_null(limit_of(trace, CASTAWAY_LIMIT_INCOMPLETE));
	trace_free(trace);

	builder_end(b, CASTAWAY_END_EXIT, 50);
	builder_limit(b, CASTAWAY_LIMIT_NO_STACKS, 1, ""); /* of no consequence */
	trace = builder_open(b);
	assert_true(trace->complete);
	assert_int_equal(trace->end_ticks, 50);
	trace_free(trace);
	builder_free(b);
}

static void test_file(void **state)
{
	struct builder *b = small_trace();
	char path[] = "/tmp/castaway-trace-XXXXXX";
	struct trace *trace;
	size_t size;
	const uint8_t *file = builder_finish(b, &size);
	int fd = mkstemp(path);
	FILE *out = fdopen(fd, "w");

	(void)state;
	assert_non_null(out);
	assert_int_equal(fwrite(file, 1, size, out), size);
	fclose(out);
	assert_int_equal(trace_open_file(path, &trace, &s_error), ERROR_NONE);
	assert_string_equal(trace->path, path);
	assert_true(trace->complete);
	trace_free(trace);
	remove(path);
	assert_int_equal(trace_open_file(path, &trace, &s_error), ERROR_IO);
	assert_null(trace);
	trace_free(NULL);
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_refusals),
		cmocka_unit_test(test_newer_version_that_we_may_read),
		cmocka_unit_test(test_header_alone),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_limits_add_and_set),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
