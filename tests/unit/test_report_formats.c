/* SPDX-License-Identifier: Apache-2.0
 *
 * What all report formats must stand: an analysis of nothing, names as a damaged
 * trace may hold them, a full disk.  What markup comes out is parsed by Python.
 *
 * Usage: test_report_formats PYTHON
 */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "utf8.h"
#include "world.h"

static const char *g_python;
static const struct report_options g_report_options = {.max_frames = 12};

static const char *const g_hostile[TEXT_COUNT] = {"",
						  "\xff</failure><script>\"'&\x01",
						  "\xef\xbf\xbe]]>\xed\xa0\x80",
						  "a\nb\\\"];",
						  "</text><rect/>",
						  "\x1b[2J",
						  "<frame>",
						  "/a b/\xc3\xbc.c",
						  "%n%s"};

static void *render(const struct world *w, const char *name, size_t *size)
{
	const struct report_format *format = report_find(name);
	struct error error = {0};
	char *text = NULL;
	FILE *out = open_memstream(&text, size);

	assert_non_null(format);
	assert_non_null(out);
	assert_int_equal(report_write(format, &w->analysis, &g_report_options, out, &error), ERROR_NONE);
	fclose(out);
	return text;
}

static void each_format(const struct world *w)
{
	size_t size;

#define X(name)                        \
	free(render(w, #name, &size)); \
	assert_true(size > 0);
	REPORT_FORMATS(X)
#undef X
}

static void test_nothing(void **state)
{
	struct world *w = world_new();

	each_format(w);
	world_free(w);
}

/* Python's parser for XML is expat, which takes nothing that is not well-formed. */
static void expect_xml(const char *text, size_t size)
{
	FILE *python;
	char command[512];

	snprintf(command, sizeof(command),
		 "%s -c 'import sys, xml.etree.ElementTree as E; E.fromstring(sys.stdin.buffer.read())'",
		 g_python);
	python = popen(command, "w");
	assert_non_null(python);
	assert_int_equal(fwrite(text, 1, size, python), size);
	assert_int_equal(pclose(python), 0);
}

static void expect_utf8(const char *text)
{
	for (; *text; text += utf8_length(text)) {
		assert_true(utf8_length(text) > 0);
		assert_true((unsigned char)*text >= 0x20 || *text == '\n');
	}
}

static void test_hostile(void **state)
{
	static const char *const json[] = {"json", "sarif", "heapsnapshot"};
	static const char *const markup[] = {"junit", "html", "dot"};
	struct world *w = world_new_pairs();
	json_error_t error;
	size_t size;
	char *text;

	world_set_strings(w, g_hostile);
	w->argv[0] = (char *)"\xfd<b>";
	each_format(w);
	for (size_t i = 0; i < 3; i++) {
		json_t *document;

		text = render(w, json[i], &size);
		document = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
		if (!document)
			fail_msg("%s, line %d: %s", json[i], error.line, error.text);
		json_decref(document);
		free(text);
	}
	for (size_t i = 0; i < 3; i++) {
		text = render(w, markup[i], &size);
		assert_int_equal(strlen(text), size);
		expect_utf8(text);
		assert_true(!strcmp(markup[i], "dot") || !strstr(text, "<script>"));
		if (!strcmp(markup[i], "junit"))
			expect_xml(text, size);
		free(text);
	}
	world_free(w);
}

/* A path with a blank and an umlaut, as RFC 3986 wants it. */
static void test_uri(void **state)
{
	struct world *w = world_new_pairs();
	size_t size;
	char *text;

	world_set_strings(w, g_hostile);
	text = render(w, "sarif", &size);
	assert_non_null(strstr(text, "\"uri\": \"file:///a%20b/%C3%BC.c\""));
	free(text);
	world_free(w);
}

/* In DOT only \ and " have a meaning inside of quotes. */
static void test_dot_quotes(void **state)
{
	struct world *w = world_new_pairs();
	size_t size;
	char *text;

	world_set_strings(w, g_hostile);
	w->nodes[1].type = TEXT_DATA;
	text = render(w, "dot", &size);
	assert_non_null(strstr(text, "[label=\"a\\nb\\\\\\\"];\\n32 B, refs 1\""));
	free(text);
	world_free(w);
}

static void test_full_disk(void **state)
{
	struct world *w = world_new_ring(MAX_NODES);

#define X(name)                                                                                              \
	do {                                                                                                 \
		FILE *out = fopen("/dev/full", "w");                                                         \
		struct error error = {0};                                                                    \
                                                                                                             \
		assert_non_null(out);                                                                        \
		assert_int_equal(report_write(&report_##name, &w->analysis, &g_report_options, out, &error), \
				 ERROR_IO);                                                                  \
		assert_int_equal(error.code, ERROR_IO);                                                      \
		fclose(out);                                                                                 \
	} while (0);
	REPORT_FORMATS(X)
#undef X
	world_free(w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),   cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_uri),       cmocka_unit_test(test_dot_quotes),
		cmocka_unit_test(test_full_disk),
	};

	if (argc != 2)
		return 2;
	g_python = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
