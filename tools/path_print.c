/* SPDX-License-Identifier: Apache-2.0
 *
 * Roots, nodes and references in words.
 */
#include "path_print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define MAX_DOMINATORS 16u

static const char *const g_statuses[] = {
	[PATH_HELD] = "held",
	[PATH_MEMBER] = "member",
	[PATH_ENTRAINED] = "entrained",
	[PATH_LOST] = "lost",
};

/* X(name in JSON, constant) */
#define ROOT_KINDS(X)           \
	X("register", REGISTER) \
	X("stack", STACK)       \
	X("module", MODULE)     \
	X("memory", MEMORY)     \
	X("tls", TLS)

static const char *kind_name(uint8_t kind)
{
	switch (kind) {
#define X(name, constant)              \
	case CASTAWAY_ROOT_##constant: \
		return name;
		ROOT_KINDS(X)
#undef X
	default:
		return "unknown";
	}
}

/* As DWARF numbers them on x86-64, the machine of all traces so far. */
static const char *register_name(const struct analysis *analysis, uint64_t number)
{
	static const char *const names[] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8",
					    "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip"};

	if (analysis->trace->header.machine != 62 || number >= sizeof(names) / sizeof(names[0]))
		return NULL;
	return names[number];
}

static const struct trace_thread *find_thread(const struct trace *trace, uint32_t kernel_tid)
{
	for (size_t i = trace->thread_count; i-- > 0;) {
		if (trace->threads[i].kernel_tid == kernel_tid)
			return &trace->threads[i];
	}
	return NULL;
}

static const char *type_name(const struct analysis *analysis, uint32_t node)
{
	const struct graph_node *n = &analysis->graph->node[node];
	const char *type = trace_text(analysis->trace, n->type);

	if (*type)
		return type;
	return n->flags & GRAPH_NODE_BLOCK ? "block" : "object";
}

/* ---- text -------------------------------------------------------------------- */

static void put_place(struct textout *out, const struct analysis *analysis, uint32_t node)
{
	struct symbols_frame *frames = NULL;
	uint32_t stack = analysis->graph->node[node].stack;
	size_t count = stack ? symbols_program_stack(analysis->symbols, stack, 1, &frames) : 0;

	if (count) {
		textout_put(out, ", allocated in ");
		text_frame(out, &frames[0]);
	}
	free(frames);
}

static void put_node(struct textout *out, const struct analysis *analysis, uint32_t node)
{
	const struct graph_node *n = &analysis->graph->node[node];
	char size[TEXTOUT_NUMBER];

	textout_put(out, "%s 0x%" PRIx64 " (%s)", type_name(analysis, node), n->address,
		    textout_size(n->size, size));
	put_place(out, analysis, node);
}

static void put_thread(struct textout *out, const struct analysis *analysis, uint32_t tid)
{
	const struct trace_thread *thread = find_thread(analysis->trace, tid);

	textout_put(out, "thread %" PRIu32, tid);
	if (thread && *thread->name)
		textout_put(out, " \"%s\"", thread->name);
}

static void put_module(struct textout *out, const struct analysis *analysis, const struct graph_root *root)
{
	const struct trace *trace = analysis->trace;
	uint64_t offset = 0;
	const char *name = symbols_variable(analysis->symbols, root->where, root->address, &offset);
	bool known = root->where > 0 && root->where <= trace->module_count;

	if (name && offset)
		textout_put(out, "%s+%" PRIu64 " of ", name, offset);
	else if (name)
		textout_put(out, "%s of ", name);
	textout_put(out, "%s", known ? trace->modules[root->where - 1].path : "a module");
}

static void put_root(struct textout *out, const struct analysis *analysis, const struct graph_root *root)
{
	const char *name;

	switch (root->kind) {
	case CASTAWAY_ROOT_REGISTER:
		name = register_name(analysis, root->address);
		textout_put(out, "register %s of ", name ? name : "?");
		put_thread(out, analysis, root->where);
		return;
	case CASTAWAY_ROOT_STACK:
		textout_put(out, "the stack of ");
		put_thread(out, analysis, root->where);
		break;
	case CASTAWAY_ROOT_TLS:
		textout_put(out, "thread-local storage of ");
		put_thread(out, analysis, root->where);
		break;
	case CASTAWAY_ROOT_MODULE:
		put_module(out, analysis, root);
		break;
	default:
		textout_put(out, "memory");
	}
	textout_put(out, ", at 0x%" PRIx64, root->address);
}

static void put_origin(struct textout *out, const struct analysis *analysis, const struct path_chain *chain)
{
	switch (chain->origin) {
	case PATH_FROM_ROOT:
		put_root(out, analysis, &analysis->graph->root[chain->root]);
		break;
	case PATH_FROM_COUNT:
		textout_put(out, "a count that no known reference explains");
		break;
	case PATH_FROM_MEMBER:
		textout_put(out, "the structure itself");
		break;
	case PATH_FROM_LOST:
		textout_put(out, "lost memory");
		break;
	}
}

static void put_reference(struct textout *out, const struct analysis *analysis, uint32_t index)
{
	const struct graph_edge *edge = &analysis->graph->edge[index];
	const char *field = trace_text(analysis->trace, graph_field(edge));

	if (*field)
		textout_put(out, " .%s", field);
	else if ((edge->field_flags & (CASTAWAY_EDGE_STACK | CASTAWAY_EDGE_OFFSET)) == CASTAWAY_EDGE_OFFSET)
		textout_put(out, " %+" PRId32, (int32_t)edge->detail);
}

static void put_chain(struct textout *out, const struct analysis *analysis, const struct path_chain *chain,
		      size_t number)
{
	textout_put(out, "  %zu. ", number);
	put_origin(out, analysis, chain);
	textout_put(out, "\n");
	for (uint32_t i = 0; i < chain->count; i++) {
		textout_put(out, "     -> ");
		put_node(out, analysis, chain->step[i].node);
		if (i + 1 < chain->count)
			put_reference(out, analysis, chain->step[i + 1].edge);
		textout_put(out, "\n");
	}
}

static void put_status(struct textout *out, const struct analysis *analysis, const struct path *path)
{
	const char *verdict = "stranded";
	uint64_t fingerprint = 0;

	if (path->structure != GRAPH_NONE) {
		verdict = verdict_name(analysis->structures[path->structure].verdict);
		fingerprint = analysis->structures[path->structure].fingerprint;
	}
	switch (path->status) {
	case PATH_HELD:
		textout_put(out, "Held by what the program holds.\n");
		break;
	case PATH_MEMBER:
		textout_put(out, "Member of a %s structure [%016" PRIx64 "].\n", verdict, fingerprint);
		break;
	case PATH_ENTRAINED:
		textout_put(out, "Kept by a %s structure.\n", verdict);
		break;
	case PATH_LOST:
		textout_put(out, "Lost: nothing that the program holds leads to it.\n");
		break;
	}
}

void path_print_text(const struct analysis *analysis, const struct path *path, bool color)
{
	struct textout out = {stdout, color};
	char size[TEXTOUT_NUMBER];

	put_node(&out, analysis, path->node);
	textout_put(&out, "\n");
	put_status(&out, analysis, path);
	textout_put(&out, "Retains %s.\n", textout_size(path->retained, size));
	if (path->chain_count) {
		textout_cell(&out, TEXTOUT_BOLD, 0, "Shortest chains");
		textout_put(&out, "\n");
	}
	for (size_t i = 0; i < path->chain_count; i++)
		put_chain(&out, analysis, &path->chain[i], i + 1);
	if (path->more)
		textout_put(&out, "  ... and %zu more\n", path->more);
	if (path->dominator_count) {
		textout_cell(&out, TEXTOUT_BOLD, 0, "All chains go through");
		textout_put(&out, "\n");
	}
	for (size_t i = 0; i < path->dominator_count && i < MAX_DOMINATORS; i++) {
		textout_put(&out, "  ");
		put_node(&out, analysis, path->dominator[i]);
		textout_put(&out, "\n");
	}
	if (path->dominator_count > MAX_DOMINATORS)
		textout_put(&out, "  ... and %zu more\n", path->dominator_count - MAX_DOMINATORS);
}

/* ---- JSON ---------------------------------------------------------------------- */

static void write_node(struct jsontext *json, const struct analysis *analysis, uint32_t node)
{
	const struct graph_node *n = &analysis->graph->node[node];
	const char *type = trace_text(analysis->trace, n->type);
	struct symbols_frame *frames = NULL;
	size_t count = n->stack ? symbols_program_stack(analysis->symbols, n->stack, 0, &frames) : 0;

	jsontext_address(json, "address", n->address);
	jsontext_string(json, "runtime", trace_runtime_name(n->runtime));
	jsontext_string(json, "type", *type ? type : NULL);
	jsontext_count(json, "size", n->size);
	jsontext_array(json, "allocated_at", JSONTEXT_LINES);
	for (size_t i = 0; i < count; i++)
		text_frame_json(json, &frames[i]);
	jsontext_array_end(json);
	free(frames);
}

static void write_root(struct jsontext *json, const struct analysis *analysis, const struct graph_root *root)
{
	const struct trace *trace = analysis->trace;
	bool in_module =
		root->kind == CASTAWAY_ROOT_MODULE && root->where > 0 && root->where <= trace->module_count;
	bool in_thread = root->kind == CASTAWAY_ROOT_REGISTER || root->kind == CASTAWAY_ROOT_STACK ||
			 root->kind == CASTAWAY_ROOT_TLS;
	uint64_t offset = 0;
	const char *name =
		in_module ? symbols_variable(analysis->symbols, root->where, root->address, &offset) : NULL;

	if (root->kind == CASTAWAY_ROOT_REGISTER)
		name = register_name(analysis, root->address);
	jsontext_object(json, "root", JSONTEXT_LINES);
	jsontext_string(json, "kind", kind_name(root->kind));
	if (root->kind == CASTAWAY_ROOT_REGISTER)
		jsontext_null(json, "address");
	else
		jsontext_address(json, "address", root->address);
	if (in_thread)
		jsontext_count(json, "thread", root->where);
	else
		jsontext_null(json, "thread");
	jsontext_string(json, "module", in_module ? trace->modules[root->where - 1].path : NULL);
	jsontext_string(json, "name", name);
	jsontext_count(json, "offset", offset);
	jsontext_object_end(json);
}

static void write_chain(struct jsontext *json, const struct analysis *analysis,
			const struct path_chain *chain)
{
	static const char *const origins[] = {
		[PATH_FROM_ROOT] = "root",
		[PATH_FROM_COUNT] = "count",
		[PATH_FROM_MEMBER] = "structure",
		[PATH_FROM_LOST] = "lost",
	};

	jsontext_object(json, NULL, JSONTEXT_LINES);
	jsontext_string(json, "from", origins[chain->origin]);
	if (chain->origin == PATH_FROM_ROOT)
		write_root(json, analysis, &analysis->graph->root[chain->root]);
	else
		jsontext_null(json, "root");
	jsontext_array(json, "steps", JSONTEXT_LINES);
	for (uint32_t i = 0; i < chain->count; i++) {
		const struct graph_edge *edge = i ? &analysis->graph->edge[chain->step[i].edge] : NULL;
		const char *field = edge ? trace_text(analysis->trace, graph_field(edge)) : "";

		jsontext_object(json, NULL, JSONTEXT_LINES);
		jsontext_string(json, "field", *field ? field : NULL);
		if (edge && (edge->field_flags & (CASTAWAY_EDGE_STACK | CASTAWAY_EDGE_OFFSET)) ==
				    CASTAWAY_EDGE_OFFSET)
			jsontext_integer(json, "offset", (int32_t)edge->detail);
		else
			jsontext_null(json, "offset");
		write_node(json, analysis, chain->step[i].node);
		jsontext_object_end(json);
	}
	jsontext_array_end(json);
	jsontext_object_end(json);
}

void path_print_json(const struct analysis *analysis, const struct path *path)
{
	struct jsontext json;
	char text[17];

	jsontext_start(&json, stdout);
	jsontext_object(&json, NULL, JSONTEXT_LINES);
	jsontext_string(&json, "schema", "castaway-path/1");
	write_node(&json, analysis, path->node);
	jsontext_string(&json, "status", g_statuses[path->status]);
	if (path->structure != GRAPH_NONE)
		snprintf(text, sizeof(text), "%016" PRIx64,
			 analysis->structures[path->structure].fingerprint);
	jsontext_string(&json, "fingerprint", path->structure != GRAPH_NONE ? text : NULL);
	jsontext_count(&json, "retained", path->retained);
	jsontext_array(&json, "chains", JSONTEXT_LINES);
	for (size_t i = 0; i < path->chain_count; i++)
		write_chain(&json, analysis, &path->chain[i]);
	jsontext_array_end(&json);
	jsontext_count(&json, "more", path->more);
	jsontext_array(&json, "dominators", JSONTEXT_FLAT);
	for (size_t i = 0; i < path->dominator_count; i++)
		jsontext_address(&json, NULL, analysis->graph->node[path->dominator[i]].address);
	jsontext_array_end(&json);
	jsontext_object_end(&json);
}
