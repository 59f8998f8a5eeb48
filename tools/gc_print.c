/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines are `0xADDRESS generation refcount type`, then the fields of
 * references; a dash stands for what no record tells.
 */
#include "gc_print.h"

#include <inttypes.h>

void gc_print_begin(struct gc_print *print, const struct query *query, bool json, const char *question,
		    const char *list)
{
	*print = (struct gc_print){
		.query = query,
		.question = question,
		.list = list,
		.json = json,
		.text = {.out = stdout},
	};
}

/* Before anything is printed. */
static struct jsontext *document(struct gc_print *print)
{
	struct jsontext *json = &print->document;

	if (print->opened)
		return json;
	print->opened = true;
	jsontext_start(json, stdout);
	jsontext_object(json, NULL, JSONTEXT_LINES);
	jsontext_string(json, "schema", "castaway-gc/1");
	jsontext_string(json, "question", print->question);
	if (print->query->snapshot)
		jsontext_count(json, "snapshot", print->query->snapshot->index);
	else
		jsontext_null(json, "snapshot");
	if (print->list)
		jsontext_array(json, print->list, JSONTEXT_LINES);
	return json;
}

void gc_print_end(struct gc_print *print, bool answered, const char *one, const char *many)
{
	char number[TEXTOUT_NUMBER];

	if (!answered)
		return;
	if (print->json) {
		struct jsontext *json = document(print);

		if (print->list)
			jsontext_array_end(json);
		if (one)
			jsontext_count(json, "count", print->lines);
		jsontext_object_end(json);
	} else if (one) {
		textout_put(&print->text, "%s\n", textout_plural(print->lines, one, many, number));
	}
}

/* ---- numbers of a runtime ------------------------------------------------------- */

void gc_print_count(struct gc_print *print, const struct query_runtime *runtime)
{
	const char *name = trace_runtime_name((uint32_t)runtime->runtime);
	struct jsontext *json;

	if (!print->json) {
		textout_put(&print->text, "%s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", name,
			    runtime->generation[0].count, runtime->generation[1].count,
			    runtime->generation[2].count);
		return;
	}
	json = document(print);
	jsontext_object(json, NULL, JSONTEXT_FLAT);
	jsontext_string(json, "name", name);
	jsontext_array(json, "count", JSONTEXT_FLAT);
	for (unsigned i = 0; i < 3; i++)
		jsontext_count(json, NULL, runtime->generation[i].count);
	jsontext_array_end(json);
	jsontext_object_end(json);
}

static void stats_json(struct jsontext *json, const struct query_runtime *runtime)
{
	jsontext_object(json, NULL, JSONTEXT_LINES);
	jsontext_string(json, "name", trace_runtime_name((uint32_t)runtime->runtime));
	jsontext_bool(json, "enabled", runtime->enabled);
	jsontext_count(json, "frozen", runtime->frozen);
	jsontext_array(json, "generations", JSONTEXT_LINES);
	for (unsigned i = 0; i < 3; i++) {
		const struct query_generation *g = &runtime->generation[i];

		jsontext_object(json, NULL, JSONTEXT_FLAT);
		jsontext_count(json, "objects", g->objects);
		jsontext_count(json, "threshold", g->threshold);
		jsontext_count(json, "collections", g->collections);
		if (runtime->passes_only) {
			jsontext_count(json, "examined", g->examined);
			jsontext_count(json, "promoted", g->promoted);
		} else {
			jsontext_count(json, "collected", g->collected);
			jsontext_count(json, "uncollectable", g->uncollectable);
		}
		jsontext_object_end(json);
	}
	jsontext_array_end(json);
	jsontext_object_end(json);
}

void gc_print_stats(struct gc_print *print, const struct query_runtime *runtime)
{
	if (print->json) {
		stats_json(document(print), runtime);
		return;
	}
	for (unsigned i = 0; i < 3; i++) {
		const struct query_generation *g = &runtime->generation[i];

		textout_put(&print->text,
			    "%s generation %u: objects %" PRIu64 ", threshold %" PRIu64
			    ", collections %" PRIu64,
			    trace_runtime_name((uint32_t)runtime->runtime), i, g->objects, g->threshold,
			    g->collections);
		if (runtime->passes_only)
			textout_put(&print->text, ", examined %" PRIu64 ", promoted %" PRIu64 "\n",
				    g->examined, g->promoted);
		else
			textout_put(&print->text, ", collected %" PRIu64 ", uncollectable %" PRIu64 "\n",
				    g->collected, g->uncollectable);
	}
}

/* ---- objects --------------------------------------------------------------------- */

static void node_json(struct jsontext *json, const struct query *query, uint32_t node)
{
	const struct graph_node *n = &query->graph->node[node];

	jsontext_string(json, "runtime", trace_runtime_name(n->runtime));
	jsontext_count(json, "generation", n->flags & GRAPH_NODE_GENERATION);
	jsontext_integer(json, "refcount", n->refcount);
	jsontext_string(json, "type", n->type ? trace_text(query->trace, n->type) : NULL);
}

static void node_text(struct gc_print *print, uint64_t address, uint32_t node)
{
	const struct graph_node *n = &print->query->graph->node[node];
	const char *type;

	if (node == GRAPH_NONE) {
		textout_put(&print->text, "0x%" PRIx64 " - - -", address);
		return;
	}
	type = trace_text(print->query->trace, n->type);
	textout_put(&print->text, "0x%" PRIx64 " %u %" PRId64 " %s", address,
		    n->flags & GRAPH_NODE_GENERATION, n->refcount, *type ? type : "-");
}

void gc_print_node(struct gc_print *print, uint32_t node)
{
	uint64_t address = print->query->graph->node[node].address;

	print->lines++;
	if (print->json) {
		struct jsontext *json = document(print);

		jsontext_object(json, NULL, JSONTEXT_FLAT);
		jsontext_address(json, "address", address);
		node_json(json, print->query, node);
		jsontext_object_end(json);
	} else {
		node_text(print, address, node);
		textout_put(&print->text, "\n");
	}
}

/* `count` references that one line is about. */
static void reference_json(struct gc_print *print, const struct query_reference *references, size_t count)
{
	struct jsontext *json = document(print);

	jsontext_object(json, NULL, JSONTEXT_FLAT);
	jsontext_address(json, "address", references->address);
	if (references->node != GRAPH_NONE) {
		node_json(json, print->query, references->node);
	} else {
		jsontext_null(json, "runtime");
		jsontext_null(json, "generation");
		jsontext_null(json, "refcount");
		jsontext_null(json, "type");
	}
	jsontext_array(json, "fields", JSONTEXT_FLAT);
	for (size_t i = 0; i < count; i++)
		jsontext_string(json, NULL,
				references[i].field ? trace_text(print->query->trace, references[i].field)
						    : NULL);
	jsontext_array_end(json);
	jsontext_object_end(json);
}

static void reference_text(struct gc_print *print, const struct query_reference *references, size_t count)
{
	const char *separator = "  ";

	node_text(print, references->address, references->node);
	for (size_t i = 0; i < count; i++) {
		if (!references[i].field)
			continue;
		textout_put(&print->text, "%s%s", separator,
			    trace_text(print->query->trace, references[i].field));
		separator = ", ";
	}
	textout_put(&print->text, "\n");
}

void gc_print_references(struct gc_print *print, const struct query_reference *references, size_t count,
			 enum query_direction direction)
{
	for (size_t i = 0, same; i < count; i += same) {
		same = 1;
		/* A referrer is one, however often it refers. */
		while (direction == QUERY_REFERRERS && i + same < count &&
		       references[i + same].address == references[i].address)
			same++;
		(print->json ? reference_json : reference_text)(print, references + i, same);
		print->lines++;
	}
}

void gc_print_refcount(struct gc_print *print, uint32_t node)
{
	const struct graph_node *n = &print->query->graph->node[node];

	if (print->json) {
		struct jsontext *json = document(print);

		jsontext_address(json, "address", n->address);
		node_json(json, print->query, node);
	} else {
		textout_put(&print->text, "%" PRId64 "\n", n->refcount);
	}
}
