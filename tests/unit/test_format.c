/* SPDX-License-Identifier: Apache-2.0
 *
 * The worked example of FORMAT.md: the bytes on that page are what the builder
 * writes, and mean to the reader what the page says.  Argument: the page.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "replay.h"
#include "trace_builder.h"

static const char *s_page;

static struct builder *make_example(void)
{
	struct builder *b = builder_new();
	struct castaway_file_header *header = builder_header(b);
	uint32_t type = builder_string(b, "Node"), field = builder_string(b, "next");
	uint32_t stack = builder_frame_raw(b, 0, 0x401136);

	header->pid = 4711;
	header->ppid = 1;
	header->start_realtime_ns = 1700000000000000000u;
	header->start_monotonic_ns = header->start_ticks = 1000;
	memset(header->writer, 0, sizeof(header->writer));
	memcpy(header->writer, "0.1.0", 5);
	builder_event(b, 1, 1005, ALLOC, 0x5000, 24, stack);
	builder_event(b, 1, 1010, OBJECT, 0x5000, 24, type, stack);
	builder_event(b, 1, 1320, LINK, 0x5000, 0x5000, field, 0);
	builder_end(b, CASTAWAY_END_EXIT, 1400);
	return b;
}

/* The bytes of the page's ```hex block: per line an offset, bytes in hex, and
 * behind a "|" what they are. */
static size_t read_page(uint8_t *bytes, size_t capacity)
{
	FILE *page = fopen(s_page, "r");
	char line[512];
	size_t size = 0;
	bool inside = false;

	assert_non_null(page);
	while (fgets(line, sizeof(line), page)) {
		char *at = line;

		if (strncmp(line, "```", 3) == 0) {
			inside = strncmp(line, "```hex", 6) == 0;
			continue;
		}
		if (!inside || strspn(line, " \n") == strlen(line))
			continue;
		assert_int_equal(strtoul(at, &at, 16), size);
		while (*(at += strspn(at, " ")) != '|') {
			char *end;

			assert_true(size < capacity);
			bytes[size++] = (uint8_t)strtoul(at, &end, 16);
			assert_int_equal(end - at, 2);
			at = end;
		}
	}
	fclose(page);
	return size;
}

static void test_bytes_of_the_page(void **state)
{
	struct builder *b = make_example();
	uint8_t bytes[1024];
	size_t size, expected = read_page(bytes, sizeof(bytes));
	const uint8_t *file = builder_finish(b, &size);

	(void)state;
	assert_int_equal(size, expected);
	assert_memory_equal(file, bytes, size);
	builder_free(b);
}

static void test_meaning_of_the_page(void **state)
{
	uint8_t bytes[1024];
	size_t size = read_page(bytes, sizeof(bytes));
	struct error error = {0};
	struct source *source;
	struct trace *trace;
	struct replay *replay;
	const struct replay_object *node;

	(void)state;
	assert_int_equal(source_open_memory(bytes, size, &source, &error), ERROR_NONE);
	assert_int_equal(trace_open(source, "page", &trace, &error), ERROR_NONE);
	assert_true(trace->complete);
	assert_int_equal(trace->header.pid, 4711);
	assert_int_equal(trace->limit_count, 0);
	assert_int_equal(replay_new(trace, &replay, &error), ERROR_NONE);
	assert_int_equal(replay_run(replay, UINT64_MAX, &error), ERROR_NONE);
	assert_int_equal(replay_event_count(replay), trace->end_events);
	assert_int_equal(replay_block_bytes(replay), 24);
	node = replay_find_object(replay, 0x5000);
	assert_non_null(node);
	assert_string_equal(trace_text(trace, node->type), "Node");
	assert_int_equal(node->count, 1);
	assert_int_equal(trace->frames[node->stack].address, 0x401136);
	assert_int_equal(node->link_count, 1);
	assert_ptr_equal(replay_link_target(replay, &node->links[0]), node);
	assert_string_equal(trace_text(trace, node->links[0].field), "next");
	assert_int_equal(trace_time_ns(trace, replay_now(replay)), 320);
	replay_free(replay);
	trace_free(trace);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_of_the_page),
		cmocka_unit_test(test_meaning_of_the_page),
	};

	if (argc != 2)
		return 2;
	s_page = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
