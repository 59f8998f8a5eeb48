/* SPDX-License-Identifier: Apache-2.0
 *
 * `castaway refs TRACE OBJECT`: where an object's references were taken and
 * given back, as a call tree that leaves out what is balanced.
 */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "balance.h"
#include "cmd.h"
#include "interrupt.h"
#include "message.h"
#include "options.h"
#include "progress.h"
#include "provenance.h"
#include "query.h"
#include "refs_print.h"
#include "session.h"

static struct {
	const char *type;
	bool all;
} g_refs;

static const struct option_row g_rows[] = {
	{"type", 0, "GLOB", option_text, &g_refs.type,
	 "all objects whose type matches that are alive at the moment, together"},
	{"all", 'a', NULL, option_flag, &g_refs.all, "print balanced subtrees too"},
	{"at", 0, "K|last", options_parse_moment, NULL, "the snapshot to look at (default: last)"},
	{0},
};

static const struct option_row *const g_tables[] = {g_rows, options_format_rows, options_symbols_rows,
						    options_output_rows, NULL};

static const struct option_set g_set = {
	.command = "refs",
	.operands = "TRACE ADDRESS | TRACE --type=GLOB",
	.summary = "Prints where an object's references were taken and given back: a call tree without\n"
		   "what is balanced.",
	.tables = g_tables,
};

/* Objects that were asked for. */
struct chosen {
	struct balance_object *objects;
	size_t count;
};

static bool counts_itself(const struct graph_node *node)
{
	return node->flags & GRAPH_NODE_COUNTED &&
	       (node->runtime == CASTAWAY_RUNTIME_GOBJECT || node->runtime == CASTAWAY_RUNTIME_GST);
}

static bool type_matches(const struct trace *trace, uint32_t type)
{
	return fnmatch(g_refs.type, trace_text(trace, type), 0) == 0;
}

static bool is_chosen(const struct trace *trace, uint64_t asked, uint64_t address, uint32_t type)
{
	return g_refs.type ? type_matches(trace, type) : address == asked;
}

/* Objects of runtimes that count by themselves: born with their blocks. */
static enum error_code choose_counted(const struct query *query, uint64_t address, struct chosen *chosen,
				      struct error *error)
{
	const struct graph *graph = query->graph;
	size_t first = chosen->count, count;
	uint32_t *node = malloc(((size_t)graph->node_count + 1) * sizeof(*node));
	uint64_t *birth = NULL;
	enum error_code code =
		node ? ERROR_NONE : error_set(error, ERROR_MEMORY, "out of memory for objects");

	for (uint32_t i = 0; !code && i < graph->node_count; i++) {
		const struct graph_node *n = &graph->node[i];

		if (!counts_itself(n) || !is_chosen(query->trace, address, n->address, n->type))
			continue;
		node[chosen->count - first] = i;
		chosen->objects[chosen->count++] = (struct balance_object){.address = n->address,
									   .count = n->refcount,
									   .type = n->type,
									   .counts_itself = true,
									   .stack = n->stack};
	}
	count = chosen->count - first;
	birth = code ? NULL : malloc((count + 1) * sizeof(*birth));
	if (!code && !birth)
		code = error_set(error, ERROR_MEMORY, "out of memory for %zu objects", count);
	if (!code)
		code = provenance_births(query->trace, query->replay, query->snapshot, graph, node, count,
					 birth, error);
	for (size_t i = 0; !code && i < count; i++)
		chosen->objects[first + i].birth_ticks = birth[i];
	free(birth);
	free(node);
	return code;
}

/* Why nothing was chosen: not every runtime has events of references. */
static enum error_code nothing(const struct query *query, uint64_t address, struct error *error)
{
	const struct graph *graph = query->graph;
	uint32_t node = g_refs.type ? 0 : graph_find(graph, address);

	while (g_refs.type && node < graph->node_count &&
	       !(query_is_object(query, node, 0) && type_matches(query->trace, graph->node[node].type)))
		node++;
	if (node < graph->node_count && query_is_object(query, node, 0))
		return error_set(error, ERROR_NOT_FOUND,
				 "there are no reference events for this runtime (%s)",
				 trace_runtime_name(graph->node[node].runtime));
	if (g_refs.type)
		return error_set(error, ERROR_NOT_FOUND, "no object of type %s at this moment", g_refs.type);
	return error_set(error, ERROR_NOT_FOUND, "no object at 0x%" PRIx64 " at this moment", address);
}

static enum error_code choose(const struct query *query, uint64_t address, struct chosen *chosen,
			      struct error *error)
{
	struct error failed = {0};
	enum error_code code;
	size_t count;
	const struct replay_object *const *objects = replay_objects(query->replay, &count, &failed);

	if (failed.code)
		return error_set(error, failed.code, "%s", failed.what);
	chosen->objects = malloc((count + query->graph->node_count + 1) * sizeof(*chosen->objects));
	if (!chosen->objects)
		return error_set(error, ERROR_MEMORY, "out of memory for %zu objects", count);
	for (size_t i = 0; i < count; i++) {
		if (is_chosen(query->trace, address, objects[i]->address, objects[i]->type))
			chosen->objects[chosen->count++] = balance_annotated(objects[i]);
	}
	code = choose_counted(query, address, chosen, error);
	if (code)
		return code;
	return chosen->count ? ERROR_NONE : nothing(query, address, error);
}

struct tick {
	struct progress progress;
	const struct trace *trace;
};

static bool show_progress(void *arg, uint64_t events)
{
	struct tick *tick = arg;

	return progress_update(&tick->progress, "references", session_fraction(tick->trace, events));
}

static enum error_code balance(const struct query *query, const struct chosen *chosen, struct balance *ret,
			       struct error *error)
{
	struct tick tick = {.trace = query->trace};
	struct balance_options options = {
		.until = query->snapshot ? query->snapshot->ticks : UINT64_MAX,
		.all = g_refs.all,
		.progress = show_progress,
		.progress_arg = &tick,
	};
	enum error_code code;

	progress_begin(&tick.progress);
	code = balance_run(query->trace, chosen->objects, chosen->count, &options, ret, error);
	progress_end(&tick.progress);
	return code;
}

static int print(struct trace *trace, uint64_t address)
{
	struct query query;
	struct chosen chosen = {0};
	struct balance result = {0};
	struct symbols *symbols = NULL;
	struct error error = {0};
	enum error_code code = query_open(trace, g_options.analysis.snapshot, &query, &error);

	if (!code)
		code = choose(&query, address, &chosen, &error);
	if (!code)
		code = balance(&query, &chosen, &result, &error);
	if (!code)
		code = symbols_new(trace, &g_options.analysis.symbols, &symbols, &error);
	if (!code)
		(g_options.json ? refs_print_json : refs_print_text)(&query, chosen.objects, chosen.count,
								     &result, symbols);
	symbols_free(symbols);
	balance_done(&result);
	free(chosen.objects);
	query_done(&query);
	return code ? session_fail(trace->path, &error) : EXIT_STATUS_OK;
}

int cmd_refs(int argc, char **argv)
{
	uint64_t address = 0;
	struct trace *trace;
	int status, first = options_parse(&g_set, argc, argv, &status);

	if (first < 0)
		return status;
	if (argc - first != (g_refs.type ? 1 : 2))
		return message_usage(
			"refs: expected a trace, and an address or --type (see castaway refs --help)");
	if (!g_refs.type && !option_parse_address(argv[first + 1], &address))
		return message_usage(
			"refs: '%s' is no address: expected 0x and hexadecimal digits, or decimal ones",
			argv[first + 1]);
	options_finish();
	trace = session_open(argv[first]);
	if (!trace)
		return EXIT_STATUS_ERROR;
	status = print(trace, address);
	if (!status && !message_finish_output(stdout, "standard output"))
		session_warn_partial(trace);
	trace_free(trace);
	if (message_finish_output(stdout, "standard output"))
		return EXIT_STATUS_ERROR;
	return status;
}
