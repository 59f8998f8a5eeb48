/* SPDX-License-Identifier: Apache-2.0
 *
 * Fingerprint files: what is written can be read, the order does not depend on
 * the order of adding, and what is no baseline is refused with a reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "baseline.h"

static char g_path[] = "/tmp/castaway-baseline-XXXXXX";

static int make_file(void **state)
{
	int fd = mkstemp(g_path);

	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	return unlink(g_path);
}

static void put(const char *text)
{
	FILE *file = fopen(g_path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static char *written(const struct baseline *baseline)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	baseline_write(baseline, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void test_round_trip(void **state)
{
	struct baseline first = {0}, second;
	struct error error = {0};
	char *text, *again;

	assert_true(baseline_add(&first, 0xfedcba9876543210u, "stranded", "cycle of \"A\", B\n", 3));
	assert_true(baseline_add(&first, 1, "leaked", "", 0));
	text = written(&first);
	put(text);
	assert_int_equal(baseline_read(g_path, &second, &error), ERROR_NONE);
	assert_int_equal(second.count, 2);
	assert_string_equal(second.entries[1].label, "cycle of \"A\", B\n");
	assert_string_equal(second.entries[1].verdict, "stranded");
	assert_int_equal(second.entries[1].count, 3);
	assert_true(second.entries[1].fingerprint == 0xfedcba9876543210u);
	again = written(&second);
	assert_string_equal(text, again);
	free(text);
	free(again);
	baseline_free(&first);
	baseline_free(&second);
}

static void test_order_does_not_matter(void **state)
{
	struct baseline up = {0}, down = {0};
	char *text_up, *text_down;

	for (uint64_t i = 0; i < 200; i++) {
		assert_true(baseline_add(&up, i * 7919, "stranded", "x", 1));
		assert_true(baseline_add(&down, (199 - i) * 7919, "stranded", "x", 1));
	}
	text_up = written(&up);
	text_down = written(&down);
	assert_string_equal(text_up, text_down);
	for (uint64_t i = 0; i < 200; i++) {
		assert_non_null(baseline_find(&up, i * 7919));
		assert_null(baseline_find(&up, i * 7919 + 1));
	}
	free(text_up);
	free(text_down);
	baseline_free(&up);
	baseline_free(&down);
}

static void test_same_fingerprint_once(void **state)
{
	struct baseline baseline = {0};

	assert_true(baseline_add(&baseline, 5, "stranded", "first", 2));
	assert_true(baseline_add(&baseline, 5, "stranded", "second", 9));
	assert_true(baseline_add(&baseline, 5, "stranded", "third", 4));
	assert_int_equal(baseline.count, 1);
	assert_string_equal(baseline.entries[0].label, "first");
	assert_int_equal(baseline.entries[0].count, 9);
	baseline_free(&baseline);
}

static void test_fingerprint_text(void **state)
{
	static const char *const wrong[] = {"",
					    "0",
					    "0123456789abcde",
					    "0123456789abcdef0",
					    "0123456789ABCDEF",
					    " 123456789abcdef",
					    "0x23456789abcdef"};
	uint64_t value = 0;

	assert_true(baseline_parse_fingerprint("00000000deadbeef", &value));
	assert_int_equal(value, 0xdeadbeefu);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(baseline_parse_fingerprint(wrong[i], &value));
}

static void test_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"[]",
		"{\"schema\": \"castaway-baseline/2\", \"findings\": []}",
		"{\"schema\": 1, \"findings\": []}",
		"{\"schema\": \"castaway-baseline/1\"}",
		"{\"schema\": \"castaway-baseline/1\", \"findings\": {}}",
		"{\"schema\": \"castaway-baseline/1\", \"findings\": [1]}",
		"{\"schema\": \"castaway-baseline/1\", \"findings\": [{}]}",
		"{\"schema\": \"castaway-baseline/1\", \"findings\": [{\"fingerprint\": \"12\"}]}",
		"{\"schema\": \"castaway-baseline/1\", \"findings\": [",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct error error = {0};
		struct baseline baseline;

		put(wrong[i]);
		assert_int_equal(baseline_read(g_path, &baseline, &error), ERROR_INPUT);
		assert_int_not_equal(strlen(error.what), 0);
		assert_int_equal(baseline.count, 0);
	}
}

static void test_missing_file(void **state)
{
	struct error error = {0};
	struct baseline baseline;

	assert_int_equal(baseline_read("/nonexistent/baseline", &baseline, &error), ERROR_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_order_does_not_matter),
		cmocka_unit_test(test_same_fingerprint_once),
		cmocka_unit_test(test_fingerprint_text),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_missing_file),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
