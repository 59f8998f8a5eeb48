/* SPDX-License-Identifier: Apache-2.0
 *
 * Sources: exact reads, and clean errors for everything that is not a regular
 * file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "source.h"

static char s_directory[] = "/tmp/castaway-source-XXXXXX";

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(s_directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(s_directory);
}

static void path_of(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", s_directory, name);
}

static void test_memory(void **state)
{
	struct source *source;
	struct error error = {0};
	char got[4] = "";

	(void)state;
	assert_int_equal(source_open_memory("abcdef", 6, &source, &error), ERROR_NONE);
	assert_int_equal(source_size(source), 6);
	assert_int_equal(source_read(source, 2, got, 3, &error), ERROR_NONE);
	assert_string_equal(got, "cde");
	assert_int_equal(source_read(source, 6, got, 0, &error), ERROR_NONE);
	assert_int_equal(source_read(source, 4, got, 3, &error), ERROR_IO);
	assert_true(error.has_offset);
	assert_int_equal(error.offset, 4);
	assert_int_equal(source_read(source, UINT64_MAX, got, 1, &error), ERROR_IO);
	source_free(source);
	source_free(NULL);
}

static void test_file_that_shrinks(void **state)
{
	struct source *source;
	struct error error = {0};
	char path[256], got[8] = "";
	FILE *file;

	(void)state;
	path_of(path, sizeof(path), "file");
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("0123456789", file);
	fclose(file);
	assert_int_equal(source_open_file(path, &source, &error), ERROR_NONE);
	assert_int_equal(source_size(source), 10);
	assert_int_equal(source_read(source, 3, got, 4, &error), ERROR_NONE);
	assert_string_equal(got, "3456");
	assert_int_equal(truncate(path, 5), 0);
	assert_int_equal(source_read(source, 3, got, 4, &error), ERROR_IO);
	assert_int_equal(error.offset, 5);
	assert_non_null(strstr(error.what, "shorter"));
	source_free(source);
	unlink(path);
}

static void test_missing(void **state)
{
	struct source *source;
	struct error error = {0};
	char path[256];

	(void)state;
	path_of(path, sizeof(path), "nothing");
	assert_int_equal(source_open_file(path, &source, &error), ERROR_IO);
	assert_int_equal(error.os_error, ENOENT);
	assert_null(source);
	assert_non_null(strstr(error.what, "No such file"));
	assert_int_equal(source_open_file(path, &source, NULL), ERROR_IO);
}

static void test_directory_and_fifo(void **state)
{
	struct source *source;
	struct error error = {0};
	char path[256];

	(void)state;
	assert_int_equal(source_open_file(s_directory, &source, &error), ERROR_IO);
	assert_int_equal(error.os_error, EISDIR);
	path_of(path, sizeof(path), "fifo");
	assert_int_equal(mkfifo(path, 0600), 0);
	/* Nobody writes to it: this must not wait. */
	assert_int_equal(source_open_file(path, &source, &error), ERROR_IO);
	assert_string_equal(error.what, "not a regular file");
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_file_that_shrinks),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_directory_and_fifo),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
