/* SPDX-License-Identifier: Apache-2.0
 *
 * Events as the target's threads write them, taken from their buffers whole and
 * in parts, and read back by the analyzer: values of all sizes, the moments at
 * which a buffer ends, and the clock with one thread and with several.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event.h"
#include "preload/arch.h"
#include "preload/clock.h"
#include "preload/columns.h"
#include "preload/config.h"
#include "preload/emit_inline.h"
#include "preload/hook_loader.h"
#include "preload/varint.h"
#include "preload/writer_internal.h"
#include "trace_builder.h"

#define EVENTS_MAX 100000u

/* ---- around emit.c, columns.c and clock.c ------------------------------------- */

struct config g_config;

static struct thread s_thread, s_other;
static struct thread *s_first = &s_thread;
static struct buffer s_buffer;
static struct builder *s_builder;
static uint64_t s_serial;
static bool s_refuse;
static unsigned s_wakes, s_unaligned;

struct thread *thread_first(void)
{
	return s_first;
}

void writer_helper_wake(void)
{
	s_wakes++;
}

void writer_tick(void)
{
}

void limits_count(enum castaway_limit limit, uint64_t count, const char *detail)
{
	assert_int_equal(limit, CASTAWAY_LIMIT_UNALIGNED);
	s_unaligned++;
}

/* Functions of arch_<cpu>.c refer to them. */
void *hook_loader_dlopen(const char *file, int mode)
{
	return NULL;
}

void *hook_loader_dlmopen(long name_space, const char *file, int mode)
{
	return NULL;
}

struct buffer *writer_take(uint32_t thread)
{
	if (s_refuse)
		return NULL;
	if (s_buffer.bytes == NULL)
		s_buffer.bytes = malloc(COLUMNS_SIZE);
	s_buffer.serial = ++s_serial;
	s_buffer.thread = thread;
	s_buffer.filled = s_buffer.flushed = 0;
	s_buffer.state = BUFFER_FILLING;
	columns_begin(&s_buffer);
	return &s_buffer;
}

static void flush(bool whole)
{
	static uint8_t s_payload[WRITER_STAGING];
	const uint8_t *end;

	if (s_buffer.filled == s_buffer.flushed)
		return;
	end = columns_flush(&s_buffer, s_buffer.filled, whole, s_payload);
	assert_true((size_t)(end - s_payload) <= sizeof(s_payload));
	builder_chunk(s_builder, CASTAWAY_CHUNK_EVENTS, s_buffer.thread, s_payload,
		      (size_t)(end - s_payload));
}

void writer_give(struct buffer *buffer)
{
	assert_ptr_equal(buffer, &s_buffer);
	buffer->state = BUFFER_FULL;
	flush(true);
}

/* ---- what was recorded, and what is read ---------------------------------------- */

static struct event s_expected[EVENTS_MAX];
static size_t s_count;

static const char *const k_signatures[] = {
#define X(name, number, signature, fields) [number] = signature,
	CASTAWAY_EVENTS(X)
#undef X
};

static void expect(enum castaway_event opcode, const uint64_t *values)
{
	assert_true(s_count < EVENTS_MAX);
	s_expected[s_count].opcode = (uint8_t)opcode;
	memcpy(s_expected[s_count].field, values, strlen(k_signatures[opcode]) * sizeof(*values));
	s_count++;
}

static int set_up(void **state)
{
	s_builder = builder_new();
	builder_header(s_builder)->clock_shift = clock_shift();
	s_thread = (struct thread){.number = 1};
	s_first = &s_thread;
	s_count = 0;
	s_wakes = s_unaligned = 0;
	s_refuse = false;
	clock_set_precise();
	return 0;
}

static int tear_down(void **state)
{
	builder_free(s_builder);
	return 0;
}

/* Ends the buffer and compares; the events' times are left in s_expected. */
static void check(void)
{
	struct event_stream *stream;
	struct error error = {0};
	struct event event;
	struct trace *trace;
	size_t count = 0;

	if (s_thread.buffer != NULL)
		writer_give(s_thread.buffer);
	thread_drop_buffer(&s_thread);
	builder_end(s_builder, CASTAWAY_END_EXIT, 1);
	trace = builder_open(s_builder);
	trace->frame_count = trace->string_count = UINT32_MAX; /* all ids are known */
	assert_int_equal(event_stream_open(trace, &stream, &error), ERROR_NONE);
	for (; event_stream_next(stream, &event, &error) > 0; count++) {
		assert_true(count < s_count);
		assert_int_equal(event.opcode, s_expected[count].opcode);
		for (size_t i = 0; k_signatures[event.opcode][i] != '\0'; i++)
			assert_true(event.field[i] == s_expected[count].field[i]);
		s_expected[count].ticks = event.ticks;
	}
	assert_int_equal(count, s_count);
	assert_int_equal(trace->limit_count, 0);
	event_stream_free(stream);
	trace_free(trace);
}

static uint64_t s_random = 88172645463325252u;

static uint64_t draw(void)
{
	s_random ^= s_random << 13;
	s_random ^= s_random >> 7;
	s_random ^= s_random << 17;
	return s_random;
}

/* Of all lengths alike. */
static uint64_t draw_bits(unsigned most)
{
	const unsigned bits = (unsigned)(draw() % (most + 1));

	return bits == 0 ? 0 : draw() >> (64 - bits);
}

static uint64_t draw_field(char letter)
{
	switch (letter) {
	case 'b':
		return draw_bits(47) & ~UINT64_C(7);
	case 's':
	case 't':
		return draw_bits(31);
	default:
		return draw_bits(64);
	}
}

static void record_any(void)
{
	const enum castaway_event opcode =
		(enum castaway_event)(1 + draw() % (sizeof(k_signatures) / sizeof(*k_signatures) - 1));
	uint64_t values[CASTAWAY_EVENT_MAX_FIELDS];

	for (size_t i = 0; k_signatures[opcode][i] != '\0'; i++)
		values[i] = draw_field(k_signatures[opcode][i]);
	if (opcode == CASTAWAY_EVENT_ALLOC)
		values[1] &= COLUMNS_NUMBER_MAX;
	expect(opcode, values);
	if (opcode == CASTAWAY_EVENT_ALLOC)
		(draw() % 2 ? emit_alloc : emit_alloc_usual)(&s_thread, values[0], values[1],
							     (uint32_t)values[2]);
	else if (opcode == CASTAWAY_EVENT_FREE)
		(draw() % 2 ? emit_free : emit_free_usual)(&s_thread, values[0], (uint32_t)values[1]);
	else if (opcode == CASTAWAY_EVENT_REF || opcode == CASTAWAY_EVENT_UNREF)
		emit_count(&s_thread, opcode, values[0], (uint32_t)values[1]);
	else
		emit_event(&s_thread, opcode, values);
}

/* ---- tests ------------------------------------------------------------------------- */

static void test_all_values(void **state)
{
	for (unsigned i = 0; i < 60000; i++) {
		record_any();
		if (s_buffer.filled > 0 && draw() % 500 == 0)
			flush(false);
	}
	assert_true(s_serial > 1);
	check();
}

/* The longest that each of the quick ways writes, to the last event of a buffer. */
static void test_full_columns(void **state)
{
	for (unsigned i = 0; i < 2 * COLUMNS_EVENTS + 5; i++) {
		const uint64_t far = i & 1 ? COLUMNS_ADDRESS_MAX & ~UINT64_C(7) : 0;

		expect(CASTAWAY_EVENT_ALLOC,
		       (const uint64_t[]){far, COLUMNS_NUMBER_MAX, i & 1 ? INT32_MAX : 0});
		emit_alloc_usual(&s_thread, far, UINT64_MAX, i & 1 ? INT32_MAX : 0);
	}
	assert_int_equal(s_thread.buffer->filled, 5);
	for (unsigned i = 0; i < 1000; i++) {
		const uint64_t links[] = {i & 1 ? UINT64_MAX : 0, i & 1 ? 0 : UINT64_MAX, 1, 2};
		const uint64_t pass[] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};

		expect(CASTAWAY_EVENT_LINK, links);
		emit_event(&s_thread, CASTAWAY_EVENT_LINK, links);
		expect(CASTAWAY_EVENT_PASS, pass);
		emit_event(&s_thread, CASTAWAY_EVENT_PASS, pass);
	}
	check();
}

/* Events that take more than their share, and then ones that take all of it. */
static void test_after_large_values(void **state)
{
	/* The column behind that of the objects. */
	expect(CASTAWAY_EVENT_ALLOC, (const uint64_t[]){16, 123, 1});
	emit_alloc(&s_thread, 16, 123, 1);
	for (unsigned i = 0; i < 5000; i++) {
		const uint64_t links[] = {0, UINT64_C(1) << 62, 1, 2}; /* 20 bytes of objects */

		expect(CASTAWAY_EVENT_LINK, links);
		emit_event(&s_thread, CASTAWAY_EVENT_LINK, links);
	}
	for (unsigned i = 0; i < 2 * COLUMNS_EVENTS; i++) {
		const uint64_t far = i & 1 ? COLUMNS_ADDRESS_MAX : 0;

		expect(CASTAWAY_EVENT_REF, (const uint64_t[]){far, i & 1 ? INT32_MAX : 0});
		emit_count(&s_thread, CASTAWAY_EVENT_REF, far, i & 1 ? INT32_MAX : 0);
	}
	check();
}

/* Long waits between events take more of their column than others. */
static void test_long_waits(void **state)
{
	const uint64_t wait = UINT64_C(1) << 45, first = s_serial;
	uint64_t began;

	for (unsigned i = 0; i < 2 * COLUMNS_EVENTS; i++) {
		const uint64_t block = 16 * (i % 100 + 1);

		expect(CASTAWAY_EVENT_FREE, (const uint64_t[]){block, i});
		s_thread.last_ticks -= wait; /* as if it had been so long ago */
		emit_free(&s_thread, block, i);
	}
	assert_true(s_serial - first > 3);
	began = s_buffer.base_ticks;
	check();
	/* All but the first of a buffer. */
	for (size_t i = s_count - 10; i < s_count; i++)
		assert_in_range(s_expected[i].ticks - s_expected[i - 1].ticks,
				wait - (UINT64_C(1) << clock_shift()), wait + UINT64_C(60000000000));
	assert_true(s_expected[s_count - 1].ticks > began);
}

static void test_dropped_and_unaligned(void **state)
{
	emit_alloc(&s_thread, 0x1004, 8, 1);
	emit_free(&s_thread, UINT64_C(1) << 47, 1);
	assert_int_equal(s_unaligned, 2);
	s_refuse = true;
	emit_alloc(&s_thread, 0x1000, 8, 1);
	assert_int_equal(s_thread.dropped, 1);
	s_refuse = false;
	expect(CASTAWAY_EVENT_FREE, (const uint64_t[]){0x1000, 1});
	emit_free(&s_thread, 0x1000, 1);
	check();
}

static void record_free(uint64_t block)
{
	expect(CASTAWAY_EVENT_FREE, (const uint64_t[]){block, 0});
	emit_free(&s_thread, block, 0);
}

/* One thread: time goes on when the helper says so, and at a moment. */
static void test_coarse_clock(void **state)
{
	uint64_t moment;

	clock_begin_coarse();
	record_free(0x10);
	record_free(0x20);
	assert_true(clock_renew(true));
	record_free(0x30);
	moment = clock_moment();
	record_free(0x40);
	check();
	assert_true(s_expected[0].ticks == s_expected[1].ticks);
	assert_true(s_expected[1].ticks < s_expected[2].ticks);
	assert_true(s_expected[2].ticks <= moment);
	assert_true(moment < s_expected[3].ticks);
	assert_int_equal(s_wakes, 0);
}

/* Nobody renews it while nothing is recorded: then the next event reads the counter. */
static void test_idle_clock(void **state)
{
	uint64_t before;

	clock_begin_coarse();
	record_free(0x10);
	assert_false(clock_renew(false));
	before = clock_ticks();
	record_free(0x20);
	record_free(0x30);
	check();
	assert_int_equal(s_wakes, 1);
	assert_true(s_expected[1].ticks + (UINT64_C(1) << clock_shift()) > before);
	assert_true(s_expected[1].ticks == s_expected[2].ticks);
	assert_true(clock_renew(true));
}

static void test_precise_clock(void **state)
{
	uint64_t before, after;

	s_thread.next = &s_other;
	clock_begin_coarse(); /* not with two threads */
	assert_false(clock_renew(true));
	for (unsigned i = 0; i < 100; i++) {
		before = clock_ticks();
		record_free(16 * i);
		after = clock_ticks();
	}
	check();
	for (unsigned i = 1; i < 100; i++)
		assert_true(s_expected[i].ticks >= s_expected[i - 1].ticks);
	assert_true(s_expected[99].ticks > s_expected[0].ticks);
	assert_true(s_expected[99].ticks <= after);
	assert_true(s_expected[99].ticks + (UINT64_C(1) << clock_shift()) > before);
}

/* The bytes are those of codec.h. */
static void test_varints(void **state)
{
	uint8_t out[CODEC_VARINT_MAX], other[CODEC_VARINT_MAX];

	(void)state;
	for (unsigned bits = 0; bits < 64; bits++) {
		for (int delta = -1; delta <= 1; delta++) {
			const uint64_t value = (UINT64_C(1) << bits) + (uint64_t)(int64_t)delta;
			const size_t size = (size_t)(codec_put_varint(out, value) - out);

			assert_int_equal(varint_put(other, value) - other, size);
			assert_memory_equal(other, out, size);
			if (value >> VARINT_SHORT_BITS != 0)
				continue;
			assert_int_equal(varint_put_short(other, value) - other, size);
			assert_memory_equal(other, out, size);
		}
	}
}

/* From here on as on a processor that has no bit deposit. */
static void test_without_deposits(void **state)
{
	(void)state;
	g_arch_deposits = false;
	emit_init();
	assert_false(g_emit_quick);
}

/* What live mode leaves out is counted, whichever way it comes. */
static void test_live(void **state)
{
	const bool quick = g_emit_quick;

	g_config.events_live = true;
	emit_init();
	assert_false(g_emit_quick);
	emit_alloc_usual(&s_thread, 0x1000, 8, 1);
	emit_free_usual(&s_thread, 0x1000, 1);
	assert_int_equal(s_thread.left_out, 2);
	assert_null(s_thread.buffer);
	g_config.events_live = false;
	emit_init();
	assert_int_equal(g_emit_quick, quick);
}

#define TESTS                                                                                                \
	cmocka_unit_test(test_varints), cmocka_unit_test_setup_teardown(test_all_values, set_up, tear_down), \
		cmocka_unit_test_setup_teardown(test_full_columns, set_up, tear_down),                       \
		cmocka_unit_test_setup_teardown(test_after_large_values, set_up, tear_down),                 \
		cmocka_unit_test_setup_teardown(test_long_waits, set_up, tear_down),                         \
		cmocka_unit_test_setup_teardown(test_dropped_and_unaligned, set_up, tear_down),              \
		cmocka_unit_test_setup_teardown(test_live, set_up, tear_down),                               \
		cmocka_unit_test_setup_teardown(test_coarse_clock, set_up, tear_down),                       \
		cmocka_unit_test_setup_teardown(test_idle_clock, set_up, tear_down),                         \
		cmocka_unit_test_setup_teardown(test_precise_clock, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TESTS,
		cmocka_unit_test(test_without_deposits),
		TESTS,
	};

	clock_init();
	arch_init();
	emit_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
