/* SPDX-License-Identifier: Apache-2.0
 *
 * The merged event stream: order over threads and inside one, buffers in
 * parts, and damage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event.h"
#include "trace_builder.h"

static struct event s_events[4096];

/* All events into s_events; their number. */
static size_t read_all(struct trace *trace)
{
	struct event_stream *stream;
	struct error error = {0};
	size_t count = 0;
	int got;

	assert_int_equal(event_stream_open(trace, &stream, &error), ERROR_NONE);
	while ((got = event_stream_next(stream, &s_events[count], &error)) > 0) {
		assert_int_equal(s_events[count].index, count);
		count++;
		assert_true(count < sizeof(s_events) / sizeof(*s_events));
	}
	assert_int_equal(got, 0);
	assert_int_equal(event_stream_next(stream, &s_events[count], &error), 0);
	event_stream_free(stream);
	return count;
}

static uint64_t limit_count(const struct trace *trace, enum castaway_limit limit)
{
	uint64_t count = 0;

	for (size_t i = 0; i < trace->limit_count; i++)
		if (trace->limits[i].limit == limit)
			count += trace->limits[i].count;
	return count;
}

/* One of each, at times 10, 11, ... in the order of their opcodes. */
static void put_every_opcode(struct builder *b, uint32_t type, uint32_t stack)
{
	builder_event(b, 1, 10, ALLOC, 0x5000, 64, stack);
	builder_event(b, 1, 11, FREE, 0x5000, stack);
	builder_event(b, 1, 12, REALLOC_FAILED, 0x5000);
	builder_event(b, 1, 13, ALLOC_MANAGED, 0x4ff8, 8, stack, CASTAWAY_RUNTIME_CPYTHON);
	builder_event(b, 1, 14, OBJECT, 0x5003, 5, type, stack);
	builder_event(b, 1, 15, OBJECT_END, 0x5003, stack);
	builder_event(b, 1, 16, REF, 0x4001, stack);
	builder_event(b, 1, 17, UNREF, UINT64_MAX, 0);
	builder_event(b, 1, 18, LINK, 1, 0xffff800000000000, type, stack);
	builder_event(b, 1, 19, UNLINK, 1, 2, type, 0);
	builder_event(b, 1, 20, WEAK, 2, 1, 0, 0);
	builder_event(b, 1, 21, LAYOUT, type, 16, 4, (uint64_t)-1);
	builder_event(b, 1, 22, PASS, CASTAWAY_DOMAIN_OBJECTS, 3, 1, 700, 650);
	builder_event(b, 1, 23, GC_CONTROL, CASTAWAY_GC_THRESHOLD, 1, 2, 3);
	builder_event(b, 1, 24, MARK, type, stack);
}

static void test_every_opcode(void **state)
{
	struct builder *b = builder_new();
	uint32_t type = builder_string(b, "Node"), stack = builder_stack(b, "main", "make", NULL);
	struct trace *trace;
	size_t count;

	(void)state;
	put_every_opcode(b, type, stack);
	builder_end(b, CASTAWAY_END_EXIT, 30);
	trace = builder_open(b);
	count = read_all(trace);
	assert_int_equal(count, 15);
	assert_true(trace->end_events == count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(s_events[i].opcode, i + 1);
		assert_int_equal(s_events[i].ticks, 10 + i);
		assert_int_equal(s_events[i].thread, 1);
		assert_int_equal(s_events[i].field_count,
				 strlen(event_describe(s_events[i].opcode)->signature));
	}
	assert_true(s_events[0].field[0] == 0x5000 && s_events[0].field[1] == 64);
	assert_true(s_events[0].field[2] == stack);
	assert_true(s_events[3].field[0] == 0x4ff8 && s_events[3].field[3] == CASTAWAY_RUNTIME_CPYTHON);
	assert_true(s_events[4].field[0] == 0x5003 && s_events[4].field[2] == type);
	assert_true(s_events[7].field[0] == UINT64_MAX);
	assert_true(s_events[8].field[1] == 0xffff800000000000);
	assert_true((int64_t)s_events[11].field[3] == -1);
	assert_true(s_events[12].field[4] == 650);
	assert_int_equal(limit_count(trace, CASTAWAY_LIMIT_DAMAGED), 0);
	assert_null(event_describe(0));
	assert_null(event_describe(CASTAWAY_EVENT_LIMIT));
	trace_free(trace);
	builder_free(b);
}

static void test_merge_by_time_then_thread(void **state)
{
	struct builder *b = builder_new();
	struct trace *trace;
	size_t count;

	(void)state;
	builder_compress(b, true);
	for (uint64_t i = 0; i < 300; i++)
		builder_event(b, 3, 1000 + 2 * i, ALLOC, 0x3000 + 16 * i, 1, 0);
	for (uint64_t i = 0; i < 300; i++)
		builder_event(b, 1, 1000 + 3 * i, ALLOC, 0x900000 + 16 * i, 1, 0);
	for (uint64_t i = 0; i < 300; i++)
		builder_event(b, 2, 1000 + i, ALLOC, 0xf00000 + 16 * i, 1, 0);
	trace = builder_open(b);
	count = read_all(trace);
	assert_int_equal(count, 900);
	for (size_t i = 1; i < count; i++) {
		const struct event *a = &s_events[i - 1], *c = &s_events[i];

		assert_true(a->ticks < c->ticks || (a->ticks == c->ticks && a->thread < c->thread));
	}
	trace_free(trace);
	builder_free(b);
}

/* The clocks of two cores may differ: what one thread did stays in its order. */
static void test_order_inside_a_thread_is_not_time(void **state)
{
	struct builder *b = builder_new();
	struct trace *trace;

	(void)state;
	builder_event(b, 1, 100, ALLOC, 0x1000, 1, 0);
	builder_event(b, 1, 105, FREE, 0x1000, 0);
	builder_next_buffer(b, 1);
	builder_event(b, 1, 90, ALLOC, 0x1000, 2, 0);
	builder_event(b, 2, 101, ALLOC, 0x2000, 3, 0);
	trace = builder_open(b);
	assert_int_equal(read_all(trace), 4);
	assert_int_equal(s_events[0].field[1], 1);
	assert_int_equal(s_events[1].thread, 2);
	assert_int_equal(s_events[2].opcode, CASTAWAY_EVENT_FREE);
	assert_int_equal(s_events[3].field[1], 2);
	assert_int_equal(s_events[3].ticks, 90);
	trace_free(trace);
	builder_free(b);
}

/* 3 parts of one buffer, then another buffer; `lost` is a chunk to damage. */
static size_t events_with_lost_part(size_t lost)
{
	struct builder *b = builder_new();
	struct trace *trace;
	size_t count, size;
	uint8_t *file;

	for (uint64_t part = 0; part < 3; part++) {
		for (uint64_t i = 0; i < 10; i++)
			builder_event(b, 1, 100 * part + i, ALLOC, 0x1000 + 0x100 * part + 16 * i, 8, 0);
		builder_part(b, 1);
	}
	builder_next_buffer(b, 1);
	builder_event(b, 1, 1000, ALLOC, 0x7000, 9, 0);
	builder_end(b, CASTAWAY_END_EXIT, 2000);
	file = builder_finish(b, &size);
	if (lost < 3)
		file[builder_chunk_offset(b, lost) + sizeof(struct castaway_chunk_header) + 20] ^= 1;
	trace = builder_open(b);
	count = read_all(trace);
	assert_int_equal(s_events[count - 1].field[0], 0x7000);
	assert_int_equal(s_events[count - 1].field[1], 9);
	for (size_t i = 0; i + 1 < count; i++)
		assert_int_equal(s_events[i].field[0], 0x1000 + 0x100 * (i / 10) + 16 * (i % 10));
	assert_int_equal(trace->complete, lost >= 3);
	trace_free(trace);
	builder_free(b);
	return count;
}

static void test_parts_of_a_buffer(void **state)
{
	(void)state;
	assert_int_equal(events_with_lost_part(3), 31);
	assert_int_equal(events_with_lost_part(2), 21); /* the rest of the buffer is lost with it */
	assert_int_equal(events_with_lost_part(1), 11);
	assert_int_equal(events_with_lost_part(0), 1);
}

static void test_chunks_in_any_order(void **state)
{
	struct builder *b = builder_new(), *shuffled = builder_new();
	struct trace *trace;
	size_t size, order[3] = {2, 0, 1};
	const uint8_t *file;

	(void)state;
	for (uint64_t i = 0; i < 3; i++) {
		builder_event(b, 1, 10 * i, ALLOC, 0x1000 * (i + 1), 8, 0);
		builder_part(b, 1);
	}
	file = builder_finish(b, &size);
	for (size_t i = 0; i < 3; i++) {
		size_t at = builder_chunk_offset(b, order[i]);
		struct castaway_chunk_header header;

		memcpy(&header, file + at, sizeof(header));
		builder_chunk(shuffled, CASTAWAY_CHUNK_EVENTS, 1, file + at + sizeof(header),
			      header.stored_size);
	}
	trace = builder_open(shuffled);
	assert_int_equal(read_all(trace), 3);
	for (uint64_t i = 0; i < 3; i++)
		assert_true(s_events[i].field[0] == 0x1000 * (i + 1) && s_events[i].ticks == 10 * i);
	trace_free(trace);
	builder_free(b);
	builder_free(shuffled);
}

static void test_unknown_ids_become_none(void **state)
{
	struct builder *b = builder_new();
	struct trace *trace;

	(void)state;
	builder_stack(b, "main", NULL);
	builder_event(b, 1, 1, ALLOC, 0x1000, 8, 1);
	builder_event(b, 1, 2, ALLOC, 0x2000, 8, 77);
	builder_event(b, 1, 3, MARK, 99, UINT32_MAX);
	trace = builder_open(b);
	assert_int_equal(read_all(trace), 3);
	assert_int_equal(s_events[0].field[2], 1);
	assert_int_equal(s_events[1].field[2], 0);
	assert_int_equal(s_events[2].field[0], 0);
	assert_int_equal(s_events[2].field[1], 0);
	assert_int_equal(limit_count(trace, CASTAWAY_LIMIT_DAMAGED), 1);
	/* Reading again counts nothing again. */
	assert_int_equal(read_all(trace), 3);
	assert_int_equal(limit_count(trace, CASTAWAY_LIMIT_DAMAGED), 1);
	trace_free(trace);
	builder_free(b);
}

static void test_unknown_opcode_ends_the_buffer(void **state)
{
	/* serial 1, offset 0, base 5, 3 events, the sizes of the columns; MARK at +1,
	 * opcode 100, a MARK that is never read; their times; stacks; names. */
	static const uint8_t payload[] = {1,         0,   0,         0, 0, 0, 0, 0, 0, 5, 0, 0, 0,
					  0,         0,   0,         0, 3, 3, 2, 0, 0, 0, 2, 2, 0, /* sizes */
					  15 | 0x80, 100, 15 | 0x80, 1, 1, 0, 0, 0, 0};
	struct builder *b = builder_new();
	struct trace *trace;

	(void)state;
	builder_chunk(b, CASTAWAY_CHUNK_EVENTS, 4, payload, sizeof(payload));
	builder_chunk(b, CASTAWAY_CHUNK_EVENTS, 6, payload, 16); /* in mid-preamble */
	trace = builder_open(b);
	assert_int_equal(read_all(trace), 1);
	assert_int_equal(s_events[0].thread, 4);
	assert_int_equal(s_events[0].ticks, 6);
	assert_int_equal(limit_count(trace, CASTAWAY_LIMIT_DAMAGED), 2);
	trace_free(trace);
	builder_free(b);
}

/* A chunk of one MARK whose columns have these sizes, `size` bytes in all. */
static void expect_damaged(uint8_t count, const uint8_t sizes[CASTAWAY_COLUMN_COUNT], size_t size)
{
	uint8_t payload[40] = {[0] = 1, [17] = count, [26] = 15};
	struct builder *b = builder_new();
	struct trace *trace;

	memcpy(payload + 18, sizes, CASTAWAY_COLUMN_COUNT);
	builder_chunk(b, CASTAWAY_CHUNK_EVENTS, 1, payload, size);
	trace = builder_open(b);
	assert_int_equal(read_all(trace), 0);
	assert_int_equal(limit_count(trace, CASTAWAY_LIMIT_DAMAGED), 1);
	trace_free(trace);
	builder_free(b);
}

static void test_columns_that_do_not_fit(void **state)
{
	(void)state;
	expect_damaged(1, (const uint8_t[]){1, 0, 0, 0, 0, 1, 0, 0}, 28);   /* no name */
	expect_damaged(1, (const uint8_t[]){1, 0, 0, 0, 0, 1, 1, 0}, 30);   /* a byte too many */
	expect_damaged(1, (const uint8_t[]){1, 0, 0, 0, 0, 1, 2, 0}, 29);   /* one too few */
	expect_damaged(2, (const uint8_t[]){1, 0, 0, 0, 0, 1, 1, 0}, 29);   /* more events than opcodes */
	expect_damaged(1, (const uint8_t[]){1, 0, 0, 0, 0, 1, 1, 255}, 29); /* in mid-size */
}

static void test_clock_shift(void **state)
{
	struct builder *b = builder_new();
	struct trace *trace;

	(void)state;
	builder_header(b)->clock_shift = 5;
	builder_event(b, 1, 1000, MARK, 0, 0);
	builder_event(b, 1, 1000 + 7 * 32, MARK, 0, 0);
	trace = builder_open(b);
	assert_int_equal(read_all(trace), 2);
	assert_int_equal(s_events[1].ticks, 1000 + 7 * 32);
	trace_free(trace);
	builder_free(b);
}

static void test_no_events(void **state)
{
	struct builder *b = builder_new();
	struct trace *trace;

	(void)state;
	builder_end(b, CASTAWAY_END_EXIT, 1);
	trace = builder_open(b);
	assert_int_equal(read_all(trace), 0);
	trace_free(trace);
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_opcode),
		cmocka_unit_test(test_merge_by_time_then_thread),
		cmocka_unit_test(test_order_inside_a_thread_is_not_time),
		cmocka_unit_test(test_parts_of_a_buffer),
		cmocka_unit_test(test_chunks_in_any_order),
		cmocka_unit_test(test_unknown_ids_become_none),
		cmocka_unit_test(test_unknown_opcode_ends_the_buffer),
		cmocka_unit_test(test_columns_that_do_not_fit),
		cmocka_unit_test(test_clock_shift),
		cmocka_unit_test(test_no_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
