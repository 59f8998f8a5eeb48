/* SPDX-License-Identifier: Apache-2.0
 *
 * Colour refinement.  A multiset of neighbours is hashed as the sum of the
 * neighbours' hashes, which needs neither a sort nor the edges in reverse, so
 * that a round costs one walk over the rows.
 */
#include "fingerprint.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Part of every fingerprint: changed when their meaning changes. */
#define SEED UINT64_C(0x6361737461776179)

/* Up to this many members the colours are counted after every round. */
#define COUNTED_SIZE   65536u
#define COUNTED_ROUNDS 16u
#define LARGE_ROUNDS   4u

enum direction { OUT = 1, IN = 2 };

struct fingerprint {
	const struct graph *graph;
	struct symbols *symbols;
	uint64_t *text;  /* hash by string id; 0 = not made yet */
	uint64_t *site;  /* hash by stack node; 0 = not made yet */
	uint32_t *local; /* number of a node in the component at hand, else GRAPH_NONE */
	uint64_t *colour, *sum;
	size_t capacity;
};

static uint64_t hash_numbers(const uint64_t *numbers, size_t count)
{
	return XXH64(numbers, count * sizeof(*numbers), SEED);
}

static uint64_t hash_text(const char *text)
{
	return XXH64(text, strlen(text), SEED);
}

enum error_code fingerprint_new(const struct graph *graph, struct symbols *symbols, struct fingerprint **ret,
				struct error *error)
{
	struct fingerprint *f = calloc(1, sizeof(*f));

	if (f) {
		f->graph = graph;
		f->symbols = symbols;
		f->text = calloc((size_t)graph->trace->string_count + 1, sizeof(*f->text));
		f->site = calloc((size_t)graph->trace->frame_count + 1, sizeof(*f->site));
		f->local = malloc(((size_t)graph->node_count + 1) * sizeof(*f->local));
	}
	if (!f || !f->text || !f->site || !f->local) {
		fingerprint_free(f);
		return error_set(error, ERROR_MEMORY, "out of memory for fingerprints");
	}
	memset(f->local, 0xff, ((size_t)graph->node_count + 1) * sizeof(*f->local));
	*ret = f;
	return ERROR_NONE;
}

void fingerprint_free(struct fingerprint *f)
{
	if (!f)
		return;
	free(f->text);
	free(f->site);
	free(f->local);
	free(f->colour);
	free(f->sum);
	free(f);
}

static uint64_t text_hash(struct fingerprint *f, uint32_t string)
{
	if (string >= f->graph->trace->string_count)
		return 0;
	if (!f->text[string])
		f->text[string] = hash_text(trace_text(f->graph->trace, string));
	return f->text[string];
}

/* ---- allocation sites ----------------------------------------------------- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static uint64_t script_site(const struct trace *trace, const struct trace_frame *frame)
{
	const uint64_t parts[] = {
		hash_text(trace_text(trace, frame->function)),
		hash_text(base_name(trace_text(trace, frame->file))),
	};

	return hash_numbers(parts, 2);
}

/* Without a function name the module's name is all that a rebuild keeps. */
static uint64_t module_site(const struct trace *trace, const struct trace_frame *frame)
{
	uint32_t module = frame->tag - CASTAWAY_FRAME_MODULE0;

	if (frame->tag < CASTAWAY_FRAME_MODULE0 || module == 0 || module > trace->module_count)
		return hash_text("");
	return hash_text(base_name(trace->modules[module - 1].path));
}

/* All functions that were inlined into the innermost frame, and its own. */
static uint64_t symbol_site(struct fingerprint *f, uint32_t stack, const struct trace_frame *frame)
{
	const struct symbols_frame *names = NULL;
	size_t count = f->symbols ? symbols_node(f->symbols, stack, &names) : 0;
	uint64_t hash = 0;

	for (size_t i = 0; i < count; i++) {
		const uint64_t parts[] = {
			hash,
			names[i].function ? hash_text(names[i].function)
					  : module_site(f->graph->trace, frame),
		};

		hash = hash_numbers(parts, 2);
	}
	return count ? hash : module_site(f->graph->trace, frame);
}

static uint64_t site_hash(struct fingerprint *f, uint32_t stack)
{
	const struct trace *trace = f->graph->trace;
	const struct trace_frame *frame;

	if (stack == 0 || stack >= trace->frame_count)
		return 0;
	if (f->site[stack])
		return f->site[stack];
	frame = &trace->frames[stack];
	f->site[stack] = frame->tag == CASTAWAY_FRAME_SCRIPT ? script_site(trace, frame)
							     : symbol_site(f, stack, frame);
	return f->site[stack];
}

uint64_t fingerprint_site(struct fingerprint *f, uint8_t runtime, uint32_t type, uint32_t stack)
{
	const uint64_t parts[] = {runtime, text_hash(f, type), site_hash(f, stack)};

	return hash_numbers(parts, 3);
}

/* ---- refinement ------------------------------------------------------------ */

static bool reserve(struct fingerprint *f, uint32_t count)
{
	uint64_t *colour, *sum;

	if (count <= f->capacity)
		return true;
	colour = realloc(f->colour, count * sizeof(*colour));
	if (colour)
		f->colour = colour;
	sum = realloc(f->sum, count * sizeof(*sum));
	if (sum)
		f->sum = sum;
	if (!colour || !sum)
		return false;
	f->capacity = count;
	return true;
}

static void refine(struct fingerprint *f, const uint32_t *member, uint32_t count)
{
	const struct graph *graph = f->graph;

	memset(f->sum, 0, count * sizeof(*f->sum));
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t e = graph->first[member[i]]; e < graph->first[member[i] + 1]; e++) {
			const struct graph_edge *edge = &graph->edge[e];
			uint32_t to = f->local[edge->to];
			uint64_t parts[3];

			if (to == GRAPH_NONE)
				continue;
			parts[0] = text_hash(f, graph_field(edge)) + (uint64_t)graph_strength(edge);
			parts[1] = f->colour[to];
			parts[2] = OUT;
			f->sum[i] += hash_numbers(parts, 3);
			parts[1] = f->colour[i];
			parts[2] = IN;
			f->sum[to] += hash_numbers(parts, 3);
		}
	}
	for (uint32_t i = 0; i < count; i++) {
		const uint64_t parts[] = {f->colour[i], f->sum[i]};

		f->colour[i] = hash_numbers(parts, 2);
	}
}

static int compare_colours(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint32_t count_colours(struct fingerprint *f, uint32_t count)
{
	uint32_t colours = 1;

	memcpy(f->sum, f->colour, count * sizeof(*f->sum));
	qsort(f->sum, count, sizeof(*f->sum), compare_colours);
	for (uint32_t i = 1; i < count; i++)
		colours += f->sum[i] != f->sum[i - 1];
	return colours;
}

static void refine_until_stable(struct fingerprint *f, const uint32_t *member, uint32_t count)
{
	uint32_t colours, grown;

	if (count > COUNTED_SIZE) {
		for (unsigned round = 0; round < LARGE_ROUNDS; round++)
			refine(f, member, count);
		return;
	}
	grown = count_colours(f, count);
	for (unsigned round = 0; round < COUNTED_ROUNDS; round++) {
		colours = grown;
		refine(f, member, count);
		grown = count_colours(f, count);
		if (grown == colours)
			break;
	}
}

enum error_code fingerprint_of(struct fingerprint *f, const uint32_t *member, uint32_t count, uint64_t *ret,
			       struct error *error)
{
	uint64_t total = 0;

	if (!reserve(f, count))
		return error_set(error, ERROR_MEMORY, "out of memory for the fingerprint of %u objects",
				 count);
	for (uint32_t i = 0; i < count; i++) {
		const struct graph_node *node = &f->graph->node[member[i]];

		f->local[member[i]] = i;
		f->colour[i] = fingerprint_site(f, node->runtime, node->type, node->stack);
	}
	refine_until_stable(f, member, count);
	for (uint32_t i = 0; i < count; i++) {
		const uint64_t parts[] = {f->colour[i], count};

		total += hash_numbers(parts, 2);
		f->local[member[i]] = GRAPH_NONE;
	}
	*ret = hash_numbers((const uint64_t[]){total, count}, 2);
	return ERROR_NONE;
}
