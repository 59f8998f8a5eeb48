/* SPDX-License-Identifier: Apache-2.0
 *
 * Stacks of the program: without the frames of castaway's library and of its
 * annotation header.  And modules that have no file: one that is gone, and one
 * that the kernel maps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "symbols.h"

enum module { VDSO, GONE, OWN, MODULES };
enum text { NONE, MAIN, REF, FILE_NAME, TEXTS };

static struct trace_module g_modules[MODULES] = {
	[VDSO] = {.number = 1, .path = (char *)"[vdso]"},
	[GONE] = {.number = 2, .path = (char *)"/nowhere/libgone.so"},
	[OWN] = {.number = 3, .path = (char *)"/nowhere/libcastaway.so"},
};

static struct trace_string g_strings[TEXTS] = {
	[NONE] = {"", 0},
	[MAIN] = {"main", 4},
	[REF] = {"castaway_ref", 12},
	[FILE_NAME] = {"program.py", 10},
};

/* 1: the library calls (2) main, which calls (3) a lost function, which calls
 * (4) the header's; and (5) the clock, by the kernel's module. */
static struct trace_frame g_frames[] = {
	{.tag = 0},
	{.tag = CASTAWAY_FRAME_MODULE0 + 1 + OWN, .address = 0x10},
	{.parent = 1, .tag = CASTAWAY_FRAME_SCRIPT, .function = MAIN, .file = FILE_NAME, .line = 7},
	{.parent = 2, .tag = CASTAWAY_FRAME_MODULE0 + 1 + GONE, .address = 0x20},
	{.parent = 3, .tag = CASTAWAY_FRAME_SCRIPT, .function = REF, .file = FILE_NAME, .line = 8},
	{.parent = 2, .tag = CASTAWAY_FRAME_MODULE0 + 1 + VDSO, .address = 0x30},
};

static struct symbols *open_symbols(struct trace *trace)
{
	struct symbols *symbols;

	*trace = (struct trace){
		.modules = g_modules,
		.module_count = MODULES,
		.frames = g_frames,
		.frame_count = sizeof(g_frames) / sizeof(g_frames[0]),
		.strings = g_strings,
		.string_count = TEXTS,
	};
	assert_int_equal(symbols_new(trace, NULL, &symbols, NULL), ERROR_NONE);
	return symbols;
}

static void test_program_stack(void **state)
{
	struct symbols_frame *frames;
	struct trace trace;
	struct symbols *symbols = open_symbols(&trace);

	assert_int_equal(symbols_stack(symbols, 4, 0, &frames), 4);
	assert_string_equal(frames[0].function, "castaway_ref");
	assert_string_equal(frames[3].module, "/nowhere/libcastaway.so");
	free(frames);
	assert_int_equal(symbols_program_stack(symbols, 4, 0, &frames), 2);
	assert_string_equal(frames[0].module, "/nowhere/libgone.so");
	assert_int_equal(frames[0].offset, 0x20);
	assert_string_equal(frames[1].function, "main");
	free(frames);
	/* What is left out does not count against the limit. */
	assert_int_equal(symbols_program_stack(symbols, 4, 1, &frames), 1);
	assert_string_equal(frames[0].module, "/nowhere/libgone.so");
	free(frames);
	assert_int_equal(symbols_program_stack(symbols, 1, 0, &frames), 0);
	free(frames);
	symbols_free(symbols);
}

static void test_no_file(void **state)
{
	struct symbols_statistics statistics;
	struct symbols_frame *frames;
	struct trace trace;
	struct symbols *symbols = open_symbols(&trace);

	assert_int_equal(symbols_stack(symbols, 5, 1, &frames), 1);
	assert_string_equal(frames[0].module, "[vdso]");
	free(frames);
	symbols_statistics(symbols, &statistics);
	assert_int_equal(statistics.missing, 0);
	assert_int_equal(symbols_stack(symbols, 3, 1, &frames), 1);
	free(frames);
	symbols_statistics(symbols, &statistics);
	assert_int_equal(statistics.missing, 1);
	assert_string_equal(statistics.first_missing, "/nowhere/libgone.so");
	symbols_free(symbols);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_program_stack),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
