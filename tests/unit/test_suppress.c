/* SPDX-License-Identifier: Apache-2.0
 *
 * Suppression files: which lines are accepted, and what they match.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suppress.h"

static char g_path[] = "/tmp/castaway-suppress-XXXXXX";

static int make_file(void **state)
{
	int fd = mkstemp(g_path);

	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	return unlink(g_path);
}

static enum error_code read_text(const char *text, struct suppressions *list, struct error *error)
{
	FILE *file = fopen(g_path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	*list = (struct suppressions){0};
	return suppress_read(g_path, list, error);
}

static void make_subject(struct subject *subject)
{
	*subject = (struct subject){.has_fingerprint = true, .fingerprint = 0xabc};
	assert_true(subject_names_add(&subject->types, "Node"));
	assert_true(subject_names_add(&subject->types, "list"));
	assert_true(subject_names_add(&subject->qualified, "cpython:Node"));
	assert_true(subject_names_add(&subject->qualified, "cpython:list"));
	assert_true(subject_names_add(&subject->functions, "build_tree"));
	assert_true(subject_names_add(&subject->modules, "/usr/lib/libtree.so.1"));
	assert_true(subject_names_add(&subject->modules, "libtree.so.1"));
}

static void test_matches(void **state)
{
	static const struct {
		const char *line;
		bool matches;
	} cases[] = {
		{"fingerprint:0000000000000abc", true},
		{"fingerprint:0000000000000abd", false},
		{"type:Node", true},
		{"type:N*", true},
		{"type:node", false},
		{"type:cpython:*", true},
		{"type:native:*", false},
		{"function:build_*", true},
		{"function:Node", false},
		{"module:libtree.so*", true},
		{"module:/usr/lib/*", true},
		{"module:libtree", false},
	};
	struct subject subject;

	make_subject(&subject);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct error error = {0};
		struct suppressions list;

		assert_int_equal(read_text(cases[i].line, &list, &error), ERROR_NONE);
		assert_int_equal(list.count, 1);
		if (suppress_match(&list, &subject) != cases[i].matches)
			fail_msg("%s", cases[i].line);
		assert_int_equal(list.entries[0].used, cases[i].matches);
		suppress_free(&list);
	}
	subject_free(&subject);
}

static void test_comments_and_blanks(void **state)
{
	struct suppressions list;
	struct error error = {0};

	assert_int_equal(read_text("# all of it\n\n  type:A B  # why\r\n\ttype:a#b\n", &list, &error),
			 ERROR_NONE);
	assert_int_equal(list.count, 2);
	assert_string_equal(list.entries[0].pattern, "A B");
	assert_int_equal(list.entries[0].line, 3);
	assert_string_equal(list.entries[1].pattern, "a#b");
	assert_int_equal(list.entries[1].line, 4);
	suppress_free(&list);
}

static void test_refused(void **state)
{
	static const char *const wrong[] = {
		"Node", "type:",          "types:Node", "leak:malloc",
		":x",   "fingerprint:12", "type",       "fingerprint:0000000000000ABC"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct suppressions list;
		struct error error = {0};
		char text[64];

		snprintf(text, sizeof(text), "type:x\n%s\n", wrong[i]);
		assert_int_equal(read_text(text, &list, &error), ERROR_INPUT);
		assert_non_null(strstr(error.what, "line 2"));
		suppress_free(&list);
	}
}

static void test_missing_file(void **state)
{
	struct suppressions list = {0};
	struct error error = {0};

	assert_int_equal(suppress_read("/nonexistent/suppressions", &list, &error), ERROR_IO);
}

static void test_names_are_sorted_and_unique(void **state)
{
	struct subject subject = {0};
	static const char *const names[] = {"b", "a", "c", "b", "a"};

	for (size_t i = 0; i < 5; i++)
		assert_true(subject_names_add(&subject.types, names[i]));
	assert_int_equal(subject.types.count, 3);
	assert_string_equal(subject.types.items[0], "a");
	assert_string_equal(subject.types.items[1], "b");
	assert_string_equal(subject.types.items[2], "c");
	subject_free(&subject);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_comments_and_blanks),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_names_are_sorted_and_unique),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
