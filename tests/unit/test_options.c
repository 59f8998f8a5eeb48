/* SPDX-License-Identifier: Apache-2.0
 *
 * Command lines: values arrive where they belong, operands are left alone, and
 * what is wrong is a usage error.  Messages go to stderr, which the cases that
 * fail on purpose send to /dev/null.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "options.h"
#include "recording.h"
#include "settings.h"

static const char *g_text;
static uint64_t g_number;
static bool g_flag;
static struct option_list g_list;

static const struct option_row g_rows[] = {
	{"text", 't', "FILE", option_text, &g_text, "a text"},
	{"number", 'n', "N", option_number, &g_number, "a number"},
	{"flag", 'f', NULL, option_flag, &g_flag, "a flag"},
	{"list", 0, "X", option_list, &g_list, "a list"},
	{0},
};
static const struct option_row *const g_tables[] = {g_rows, options_analysis_rows, options_output_rows,
						    settings_rows, NULL};

static int parse(bool stop, int *status, char **argv)
{
	const struct option_set set = {"test", "X", "A test.", g_tables, stop};
	int argc = 0;

	while (argv[argc])
		argc++;
	*status = -1;
	return options_parse(&set, argc, argv, status);
}

#define ARGUMENTS(...) ((char *[]){(char[]){"test"}, __VA_ARGS__, NULL})
#define ARGUMENT(text) ((char[]){text})

static void test_values(void **state)
{
	int status;
	char **argv = ARGUMENTS(ARGUMENT("--text=a=b"), ARGUMENT("-n"), ARGUMENT("17"), ARGUMENT("--list=x"),
				ARGUMENT("-f"), ARGUMENT("--list"), ARGUMENT("y"), ARGUMENT("operand"));

	assert_int_equal(parse(false, &status, argv), 8);
	assert_int_equal(status, 0);
	assert_string_equal(argv[8], "operand");
	assert_string_equal(g_text, "a=b");
	assert_int_equal(g_number, 17);
	assert_true(g_flag);
	assert_int_equal(g_list.count, 2);
	assert_string_equal(g_list.items[1], "y");
	assert_null(g_list.items[2]);
}

static void test_stops_at_operand(void **state)
{
	int status;

	assert_int_equal(
		parse(true, &status, ARGUMENTS(ARGUMENT("-f"), ARGUMENT("ls"), ARGUMENT("--nonsense"))), 2);
	assert_int_equal(parse(true, &status, ARGUMENTS(ARGUMENT("--"), ARGUMENT("--nonsense"))), 2);
}

static void test_analysis_options(void **state)
{
	int status;

	assert_int_equal(
		parse(false, &status,
		      ARGUMENTS(ARGUMENT("--generation=1"), ARGUMENT("--min-survived=3"),
				ARGUMENT("--snapshot=2"), ARGUMENT("--runtime=cpython"),
				ARGUMENT("--runtime=native"), ARGUMENT("--only=A*"), ARGUMENT("--leaks"),
				ARGUMENT("--members=all"), ARGUMENT("--no-symbols"))),
		10);
	options_finish();
	assert_int_equal(g_options.analysis.generation, 1);
	assert_int_equal(g_options.analysis.min_survived, 3);
	assert_int_equal(g_options.analysis.snapshot, 2);
	assert_int_equal(g_options.analysis.runtimes,
			 1u << CASTAWAY_RUNTIME_CPYTHON | 1u << CASTAWAY_RUNTIME_NATIVE);
	assert_string_equal(g_options.analysis.only[0], "A*");
	assert_null(g_options.analysis.only[1]);
	assert_null(g_options.analysis.ignore);
	assert_true(g_options.analysis.leaks);
	assert_false(g_options.analysis.latent);
	assert_true(g_options.analysis.instances);
	assert_true(g_options.analysis.symbols.off);
}

static void test_settings(void **state)
{
	int status;

	assert_int_equal(parse(false, &status, ARGUMENTS(ARGUMENT("--depth=7"), ARGUMENT("--follow=no"))), 3);
	assert_int_equal(unsetenv("CASTAWAY_OPTIONS"), 0);
	assert_string_equal(settings_text(), "depth=7:follow=no");
	assert_int_equal(setenv("CASTAWAY_OPTIONS", "flush=9", 1), 0);
	assert_string_equal(settings_text(), "flush=9:depth=7:follow=no");
}

static void test_usage_errors(void **state)
{
	static const char *const wrong[] = {
		"--nonsense",
		"-x",
		"--flag=1",
		"--number",
		"--number=",
		"--number=-1",
		"--number=1x",
		"--number=+1",
		"--generation=3",
		"--snapshot=first",
		"--runtime=java",
		"--members=two",
		"--color=maybe",
		"--follow=maybe",
		"--depth=many",
		"--text=",
		"--number=18446744073709551616",
		"-n",
	};
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);

	assert_true(saved >= 0 && null >= 0);
	fflush(stderr);
	dup2(null, STDERR_FILENO);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char argument[64];
		int status, first;

		strcpy(argument, wrong[i]);
		first = parse(false, &status, ARGUMENTS(argument));
		if (first != -1 || status != EXIT_STATUS_ERROR) {
			dup2(saved, STDERR_FILENO);
			fail_msg("%s was accepted", wrong[i]);
		}
	}
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(null);
}

static void test_trace_names(void **state)
{
	char *path = recording_path("/t/%e.%p.100%%.%x", 42, "prog");
	char *escaped = recording_escape("a%b");

	assert_string_equal(path, "/t/prog.42.100%.%x");
	assert_string_equal(escaped, "a%%b");
	free(path);
	free(escaped);
	path = recording_pattern(NULL, "/bin/50%", false);
	assert_non_null(strstr(path, "/50%%.%p.castaway"));
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),           cmocka_unit_test(test_stops_at_operand),
		cmocka_unit_test(test_analysis_options), cmocka_unit_test(test_settings),
		cmocka_unit_test(test_usage_errors),     cmocka_unit_test(test_trace_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
