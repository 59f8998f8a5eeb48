/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON report of analyses made by hand, of nothing at all, and of names as
 * a damaged trace may hold them.  Every report is held against the schema.
 *
 * Usage: test_report_json PYTHON CHECKER SCHEMA
 */
#include <inttypes.h>
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

#include "world.h"

static char **g_arguments;

/* Holds the report against the schema with the public validator. */
static void validate(const char *text)
{
	char path[] = "/tmp/castaway-report.XXXXXX";
	int fd = mkstemp(path), status = 0;
	size_t size = strlen(text);
	pid_t pid;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, size), size);
	close(fd);
	pid = fork();
	if (pid == 0) {
		execl(g_arguments[1], g_arguments[1], g_arguments[2], g_arguments[3], path, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	unlink(path);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) != 77) /* 77: there is no validator here */
		assert_int_equal(WEXITSTATUS(status), 0);
}

static json_t *render_json(const struct world *w, const struct report_options *options)
{
	char *text = world_render(w, "json", options);
	json_error_t error;
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);

	if (json == NULL)
		fail_msg("line %d: %s\n%s", error.line, error.text, text);
	validate(text);
	free(text);
	return json;
}

static const char *text_at(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	assert_non_null(text);
	return text;
}

static json_int_t number_at(json_t *object, const char *key)
{
	assert_true(json_is_integer(json_object_get(object, key)));
	return json_integer_value(json_object_get(object, key));
}

static void test_json_trace(void **state)
{
	struct report_options options = {.max_frames = 32};
	struct world *w = world_new_pairs();
	json_t *json = render_json(w, &options), *trace = json_object_get(json, "trace");
	json_t *snapshot = json_object_get(json, "snapshot"),
	       *limit = json_array_get(json_object_get(json, "limits"), 0);

	assert_string_equal(text_at(json, "schema"), "castaway-report/1");
	assert_string_equal(text_at(trace, "started"), "2000-02-29T00:00:00.123456Z");
	assert_int_equal(number_at(trace, "duration_ns"), 1500000000);
	assert_int_equal(number_at(trace, "events"), 77);
	assert_int_equal(number_at(trace, "dropped_events"), 0);
	assert_string_equal(json_string_value(json_array_get(json_object_get(trace, "command"), 1)),
			    "--deep");
	assert_string_equal(text_at(trace, "castaway_version"), "0.1.0");
	assert_string_equal(text_at(snapshot, "reason"), "exit");
	assert_string_equal(text_at(snapshot, "method"), "signal");
	assert_int_equal(number_at(snapshot, "time_ns"), 1400000000);
	assert_int_equal(number_at(json_object_get(json, "summary"), "stranded_bytes"), 192);
	assert_string_equal(text_at(limit, "code"), "stack-depth");
	assert_string_equal(text_at(limit, "detail"), "64 frames");
	assert_int_equal(number_at(limit, "count"), 3);
	json_decref(json);
	world_free(w);
}

static void test_json_structure(void **state)
{
	struct report_options options = {.max_frames = 1};
	struct world *w = world_new_pairs();
	json_t *json = render_json(w, &options);
	json_t *one = json_array_get(json_object_get(json, "structures"), 0);
	json_t *members = json_object_get(one, "members"), *edges = json_object_get(one, "edges");
	json_t *frame, *stranded = json_object_get(one, "stranded_at");

	assert_string_equal(text_at(one, "fingerprint"), "0000000000abcdef");
	assert_string_equal(text_at(one, "label"), "Parent, Child");
	assert_int_equal(number_at(one, "count"), 2);
	assert_int_equal(number_at(one, "objects"), 6);
	assert_int_equal(number_at(json_object_get(one, "entrained"), "bytes"), 64);
	assert_int_equal(json_array_size(members), 2);
	assert_string_equal(text_at(json_array_get(members, 1), "address"), "0x1100");
	assert_true(json_is_null(json_object_get(json_array_get(members, 1), "survived")));
	assert_int_equal(json_array_size(edges), 3);
	assert_true(json_is_true(json_object_get(json_array_get(edges, 1), "in_cycle")));
	assert_string_equal(text_at(json_array_get(edges, 2), "field"), "name");
	assert_true(json_is_false(json_object_get(json_array_get(edges, 2), "in_cycle")));
	assert_string_equal(text_at(json_object_get(one, "break"), "from_type"), "Child");
	assert_string_equal(text_at(stranded, "operation"), "unref");
	assert_int_equal(json_array_size(json_object_get(stranded, "stack")), 1);
	frame = json_array_get(json_object_get(stranded, "stack"), 0);
	assert_string_equal(text_at(frame, "function"), "grow");
	assert_int_equal(number_at(frame, "line"), 20);
	assert_null(json_object_get(one, "instances"));
	json_decref(json);
	world_free(w);
}

static void test_json_instances(void **state)
{
	struct report_options options = {.all_members = true};
	struct world *w = world_new_pairs();
	json_t *json = render_json(w, &options);
	json_t *instances =
		json_object_get(json_array_get(json_object_get(json, "structures"), 0), "instances");
	json_t *second = json_array_get(instances, 1);

	assert_int_equal(json_array_size(instances), 2);
	assert_string_equal(json_string_value(json_array_get(json_object_get(second, "members"), 0)),
			    "0x1300");
	assert_string_equal(json_string_value(json_array_get(json_object_get(second, "entrained"), 0)),
			    "0x1500");
	json_decref(json);
	world_free(w);
}

/* Killed, uncalibrated, and without a single object. */
static void test_json_empty(void **state)
{
	struct report_options options = {.max_frames = 32};
	struct world *w = world_new();
	json_t *json, *trace;

	w->trace.has_end = w->trace.complete = false;
	w->trace.header.clock_source = CASTAWAY_CLOCK_TSC;
	w->trace.header.start_realtime_ns = 0;
	memset(w->trace.header.writer, 'x', sizeof(w->trace.header.writer));
	json = render_json(w, &options);
	trace = json_object_get(json, "trace");
	assert_true(json_is_null(json_object_get(trace, "duration_ns")));
	assert_true(json_is_null(json_object_get(trace, "started")));
	assert_true(json_is_null(json_object_get(trace, "dropped_events")));
	assert_int_equal(strlen(text_at(trace, "castaway_version")), sizeof(w->trace.header.writer));
	assert_string_equal(text_at(json_object_get(json, "snapshot"), "method"), "events");
	assert_int_equal(json_array_size(json_object_get(json, "structures")), 0);
	assert_int_equal(json_array_size(json_object_get(json, "generations")), 3);
	json_decref(json);
	world_free(w);
}

/* Every way in which UTF-8 can be wrong, controls, quotes, huge numbers. */
static void test_json_hostile(void **state)
{
	static const char *const texts[TEXT_COUNT] = {"",
						      "\xff\xfe\"\\\n\t\x01\x7f",
						      "\xc0\xaf\xe0\x80\x80\xed\xa0\x80\xf4\x90\x80\x80",
						      "gr\xc3\xbcn \xe2\x82",
						      "\xf0\x9f\x8d\x8c\xf0\x9f",
						      "\xe2\x80\xa8</script>",
						      "\x1b[31m",
						      "\r\n",
						      "%s%n"};
	struct report_options options = {.max_frames = 32, .all_members = true};
	struct world *w = world_new_pairs();
	json_t *json, *one, *members;

	world_set_strings(w, texts);
	w->nodes[0].size = w->nodes[0].address = UINT64_MAX;
	w->nodes[1].refcount = INT64_MIN;
	w->analysis.summary.bytes = UINT64_MAX;
	w->argv[1] = (char *)"\xfd";
	json = render_json(w, &options);
	one = json_array_get(json_object_get(json, "structures"), 0);
	members = json_object_get(one, "members");
	assert_string_equal(text_at(json_array_get(members, 0), "type"),
			    "\xef\xbf\xbd\xef\xbf\xbd\"\\\n\t\x01\x7f");
	assert_string_equal(text_at(json_array_get(members, 0), "address"), "0xffffffffffffffff");
	assert_true(number_at(json_array_get(members, 0), "size") == INT64_MAX);
	assert_true(number_at(json_array_get(members, 1), "refcount") == INT64_MIN);
	json_decref(json);
	world_free(w);
}

static void test_json_large(void **state)
{
	struct report_options options = {.max_frames = 32};
	struct world *w = world_new_ring(MAX_NODES);
	json_t *json = render_json(w, &options);
	json_t *one = json_array_get(json_object_get(json, "structures"), 0);

	assert_int_equal(json_array_size(json_object_get(one, "members")), MAX_NODES);
	assert_int_equal(json_array_size(json_object_get(one, "edges")), MAX_NODES);
	assert_int_equal(number_at(json_object_get(one, "truncated"), "members"), 0);
	json_decref(json);
	world_free(w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_trace),     cmocka_unit_test(test_json_structure),
		cmocka_unit_test(test_json_instances), cmocka_unit_test(test_json_empty),
		cmocka_unit_test(test_json_hostile),   cmocka_unit_test(test_json_large),
	};

	if (argc != 4) {
		fprintf(stderr, "usage: %s PYTHON CHECKER SCHEMA\n", argv[0]);
		return 2;
	}
	g_arguments = argv;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
