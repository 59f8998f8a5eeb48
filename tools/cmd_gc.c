/* SPDX-License-Identifier: Apache-2.0
 *
 * `castaway gc TRACE QUESTION`: the questions of Python's gc module, asked of
 * one moment of a trace.
 */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "gc_print.h"
#include "interrupt.h"
#include "message.h"
#include "options.h"
#include "progress.h"
#include "session.h"

#define NO_GENERATION (-1)

static struct {
	int generation;
} g_gc = {.generation = NO_GENERATION};

static bool parse_generation(const struct option_row *row, const char *argument)
{
	uint64_t number;

	if (!option_parse_number(argument, &number) || number > 2)
		return false;
	g_gc.generation = (int)number;
	return true;
}

static const struct option_row g_rows[] = {
	{"at", 0, "K|last", options_parse_moment, NULL, "the snapshot to ask (default: last)"},
	{"runtime", 0, "NAME", options_parse_runtime, NULL, options_runtime_help},
	{"generation", 0, "0|1|2", parse_generation, NULL,
	 "objects: of this generation only; collect: of this one and younger ones"},
	{0},
};

static const struct option_row *const g_tables[] = {g_rows, options_format_rows, options_output_rows, NULL};

static const struct option_set g_set = {
	.command = "gc",
	.operands = "TRACE QUESTION [ADDRESS]",
	.summary = "Asks a trace what Python's gc module is asked: stats, count, objects, collect,\n"
		   "referrers ADDRESS, referents ADDRESS or refcount ADDRESS.",
	.tables = g_tables,
};

/* Each answers for one query; returns an exit status. */
typedef int (*answer_fn)(struct gc_print *print, uint64_t address);

static int fail(const struct gc_print *print, const struct error *error)
{
	return session_fail(print->query->trace->path, error);
}

static int answer_runtimes(struct gc_print *print, bool stats)
{
	struct query_runtime runtimes[QUERY_MAX_RUNTIMES];
	struct error error = {0};
	size_t count;

	if (query_runtimes(print->query, runtimes, &count, &error) != ERROR_NONE)
		return fail(print, &error);
	for (size_t i = 0; i < count; i++) {
		unsigned runtime = (unsigned)runtimes[i].runtime;
		uint32_t wanted = g_options.analysis.runtimes;

		if (!wanted || (runtime < 32 && (wanted >> runtime & 1)))
			(stats ? gc_print_stats : gc_print_count)(print, &runtimes[i]);
	}
	return EXIT_STATUS_OK;
}

static int answer_stats(struct gc_print *print, uint64_t address)
{
	return answer_runtimes(print, true);
}

static int answer_count(struct gc_print *print, uint64_t address)
{
	return answer_runtimes(print, false);
}

/* As gc.get_objects(): permanent objects are of no generation. */
static int answer_objects(struct gc_print *print, uint64_t address)
{
	const struct graph *graph = print->query->graph;

	for (uint32_t i = 0; i < graph->node_count; i++) {
		int generation = graph->node[i].flags & GRAPH_NODE_GENERATION;
		bool wanted =
			g_gc.generation == NO_GENERATION ? generation < 3 : generation == g_gc.generation;

		if (wanted && query_is_object(print->query, i, g_options.analysis.runtimes))
			gc_print_node(print, i);
	}
	return EXIT_STATUS_OK;
}

static int answer_collect(struct gc_print *print, uint64_t address)
{
	const struct graph *graph = print->query->graph;
	int generation = g_gc.generation == NO_GENERATION ? 2 : g_gc.generation;
	struct error error = {0};
	struct trial trial;

	if (query_collect(print->query, generation, g_options.analysis.runtimes, &trial, &error) !=
	    ERROR_NONE)
		return fail(print, &error);
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (trial.state[i] == TRIAL_DEAD)
			gc_print_node(print, i);
	}
	if (trial.inexact)
		message("%s: warning: %s (%u objects): what they lead to is taken as alive",
			print->query->trace->path, trace_limit_message(CASTAWAY_LIMIT_INEXACT),
			trial.inexact);
	trial_done(&trial);
	return EXIT_STATUS_OK;
}

static int answer_references(struct gc_print *print, uint64_t address, enum query_direction direction)
{
	struct query_reference *references;
	struct error error = {0};
	size_t count;

	if (query_references(print->query, address, direction, &references, &count, &error) != ERROR_NONE)
		return fail(print, &error);
	gc_print_references(print, references, count, direction);
	free(references);
	return EXIT_STATUS_OK;
}

static int answer_referrers(struct gc_print *print, uint64_t address)
{
	return answer_references(print, address, QUERY_REFERRERS);
}

static int answer_referents(struct gc_print *print, uint64_t address)
{
	return answer_references(print, address, QUERY_REFERENTS);
}

static int answer_refcount(struct gc_print *print, uint64_t address)
{
	struct query_reference *references;
	struct error error = {0};
	uint32_t node = graph_find(print->query->graph, address);
	size_t count;

	if (node != GRAPH_NONE && query_is_object(print->query, node, 0)) {
		gc_print_refcount(print, node);
		return EXIT_STATUS_OK;
	}
	/* Says what is there instead. */
	if (query_references(print->query, address, QUERY_REFERENTS, &references, &count, &error) ==
	    ERROR_NONE)
		free(references);
	return fail(print, &error);
}

static const struct question {
	const char *name;
	answer_fn answer;
	bool of_object;
	const char *list; /* key of what is listed, in JSON; NULL = one value */
	const char *one, *many;
} g_questions[] = {
	{"stats", answer_stats, false, "runtimes", NULL, NULL},
	{"count", answer_count, false, "runtimes", NULL, NULL},
	{"objects", answer_objects, false, "objects", "object", "objects"},
	{"collect", answer_collect, false, "objects", "object", "objects"},
	{"referrers", answer_referrers, true, "objects", "object", "objects"},
	{"referents", answer_referents, true, "objects", "reference", "references"},
	{"refcount", answer_refcount, true, NULL, NULL, NULL},
};

static const struct question *find_question(const char *name)
{
	for (size_t i = 0; i < sizeof(g_questions) / sizeof(g_questions[0]); i++) {
		if (!strcmp(g_questions[i].name, name))
			return &g_questions[i];
	}
	return NULL;
}

static int ask(struct trace *trace, const struct question *question, uint64_t address)
{
	struct gc_print print;
	struct query query;
	struct error error = {0};
	int status;

	if (query_open(trace, g_options.analysis.snapshot, &query, &error) != ERROR_NONE) {
		status = session_fail(trace->path, &error);
	} else if (interrupt_pending()) {
		status = EXIT_STATUS_SIGNAL + interrupt_pending();
	} else {
		gc_print_begin(&print, &query, g_options.json, question->name, question->list);
		status = question->answer(&print, address);
		gc_print_end(&print, status == EXIT_STATUS_OK, question->one, question->many);
	}
	query_done(&query);
	return status;
}

int cmd_gc(int argc, char **argv)
{
	const struct question *question;
	uint64_t address = 0;
	struct trace *trace;
	int status, first = options_parse(&g_set, argc, argv, &status);

	if (first < 0)
		return status;
	if (argc - first < 2)
		return message_usage("gc: expected a trace and a question (see castaway gc --help)");
	question = find_question(argv[first + 1]);
	if (!question)
		return message_usage("gc: unknown question %s (see castaway gc --help)", argv[first + 1]);
	if (argc - first != 2 + question->of_object)
		return message_usage("gc: %s %s (see castaway gc --help)", question->name,
				     question->of_object ? "takes the address of one object"
							 : "takes nothing more");
	if (question->of_object && !option_parse_address(argv[first + 2], &address))
		return message_usage(
			"gc: '%s' is no address: expected 0x and hexadecimal digits, or decimal ones",
			argv[first + 2]);
	trace = session_open(argv[first]);
	if (!trace)
		return EXIT_STATUS_ERROR;
	status = ask(trace, question, address);
	if (!status && !message_finish_output(stdout, "standard output"))
		session_warn_partial(trace);
	trace_free(trace);
	if (message_finish_output(stdout, "standard output"))
		return EXIT_STATUS_ERROR;
	return status;
}
