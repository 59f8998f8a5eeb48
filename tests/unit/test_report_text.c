/* SPDX-License-Identifier: Apache-2.0
 *
 * The text report of analyses made by hand: the lines that a reader must find,
 * and nothing that a terminal would obey.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "textout.h"
#include "utf8.h"
#include "world.h"

static void expect_text(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("not in the report: %s\n%s", part, text);
}

static void test_text_pairs(void **state)
{
	struct report_options options = {.max_frames = 12};
	struct world *w = world_new_pairs();
	char *text = world_render(w, "text", &options);

	assert_ptr_equal(strstr(text, "2 stranded structures: 6 objects, 192 B\n"), text);
	expect_text(text, "./tree, pid 7, ran 1.500 s");
	expect_text(text, "tree.7.castaway, complete");
	expect_text(text, "snapshot 0 (exit) at 1.400 s, threads stopped with a signal, pause 2.5 ms");
	expect_text(text, "1.   stranded  2 x  Parent, Child  [0000000000abcdef]");
	expect_text(text, "Cycle: Child#2 --parent--> Parent#1 --child--> Child#2\n");
	expect_text(text, "Break it: make `Child.parent` weak (it points back to its owner)");
	expect_text(
		text,
		"Evidence: 2 counts: 2 explained from inside, 0 from outside, 0 unexplained; exact edges;");
	expect_text(text, "only through a weak reference");
	expect_text(text, "Child#2.parent: grow at tree.py:10");
	expect_text(text,
		    "Stranded by: unref of Parent in grow at tree.py:20 (thread 1, 1.300 s after the start)");
	expect_text(text, "Keeps alive: 1 object, 32 B: 1 Text");
	expect_text(text, "native: 6 objects, exact");
	expect_text(text, "Not seen");
	expect_text(text, "3 x call stacks cut off at the depth limit (64 frames) [stack-depth]");
	assert_null(strchr(text, '\033'));
	free(text);
	world_free(w);
}

static void test_text_color(void **state)
{
	struct report_options options = {.color = true};
	struct world *w = world_new_pairs();
	char *text = world_render(w, "text", &options);

	expect_text(text, "\033[1;31mstranded\033[0m");
	free(text);
	world_free(w);
}

static void test_text_empty(void **state)
{
	struct report_options options = {.max_frames = 12};
	struct world *w = world_new();
	char *text;

	w->analysis.summary.objects = 5;
	w->analysis.summary.blocks = 9;
	w->analysis.summary.bytes = 2048;
	text = world_render(w, "text", &options);
	assert_ptr_equal(strstr(text, "No stranded structure.\n"), text);
	expect_text(text, "5 objects with 0 references; 9 live blocks, 2.0 KiB");
	free(text);
	w->trace.complete = w->trace.has_end = false;
	text = world_render(w, "text", &options);
	assert_ptr_equal(strstr(text, "No stranded structure in the part that was recorded."), text);
	expect_text(text, "incomplete: it breaks off");
	free(text);
	world_free(w);
}

static void test_text_large(void **state)
{
	struct report_options options = {.max_frames = 12};
	struct world *w = world_new_ring(MAX_NODES);
	char *text = world_render(w, "text", &options);

	expect_text(text, "outlived 3 passes");
	expect_text(text, "... and 1992 more\n");
	expect_text(text, "Cycle: Parent#1 --child--> Parent#2");
	expect_text(text, "... 1989 more ...");
	expect_text(text, "Parent#2000 --child--> Parent#1\n");
	assert_true(strlen(text) < 4000);
	free(text);
	world_free(w);
}

/* Nothing that a terminal would obey may come through. */
static void test_text_hostile(void **state)
{
	static const char *const texts[TEXT_COUNT] = {"",
						      "\x1b]0;x\x07",
						      "\xc2\x9b"
						      "31m",
						      "\xff",
						      "\x1b[2J",
						      "\r",
						      "a b",
						      "\b",
						      "%n%s"};
	struct report_options options = {.max_frames = 12};
	struct world *w = world_new_pairs();
	char *text;

	world_set_strings(w, texts);
	text = world_render(w, "text", &options);
	for (const char *c = text; *c != '\0'; c += utf8_length(c)) {
		assert_true(utf8_length(c) > 0);
		assert_true((unsigned char)*c >= 0x20 || *c == '\n');
		assert_false((unsigned char)c[0] == 0xc2 && (unsigned char)c[1] < 0xa0);
	}
	free(text);
	world_free(w);
}

static void test_find(void **state)
{
	assert_ptr_equal(report_find("json"), &report_json);
	assert_ptr_equal(report_find("text"), &report_text);
	assert_null(report_find("jso"));
	assert_null(report_find(""));
}

static void test_units(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {{0, "0 B"},        {1023, "1023 B"},     {1024, "1.0 KiB"},
		     {1229, "1.2 KiB"}, {1048575, "1.0 MiB"}, {UINT64_MAX, "16.0 EiB"}};
	static const struct {
		uint64_t ns;
		const char *text;
	} times[] = {{1500, "1.5 us"},
		     {12300000, "12.3 ms"},
		     {1500000000, "1.500 s"},
		     {UINT64_C(123000000000), "2 min 3 s"}};
	char buffer[TEXTOUT_NUMBER];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_string_equal(textout_size(sizes[i].bytes, buffer), sizes[i].text);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		assert_string_equal(textout_duration(times[i].ns, buffer), times[i].text);
	assert_string_equal(textout_plural(1, "object", "objects", buffer), "1 object");
	assert_string_equal(textout_plural(0, "object", "objects", buffer), "0 objects");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_pairs),   cmocka_unit_test(test_text_color),
		cmocka_unit_test(test_text_empty),   cmocka_unit_test(test_text_large),
		cmocka_unit_test(test_text_hostile), cmocka_unit_test(test_find),
		cmocka_unit_test(test_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
