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
/* Above, there are few rounds, and one above a million: a structure of that
 * size is told apart by its types and fields, if at all. */
#define LARGE_ROUNDS 2u
#define HUGE_SIZE    (1u << 20)

/* Callers that tell one leak from another. */
#define STACK_FRAMES 16u

#define LOCAL_AHEAD 32
#define CELL_AHEAD  16

enum direction { OUT = 1, IN = 2 };

/* Of one member: what it is, and what its neighbours add up to. */
struct cell {
	uint64_t colour, sum;
};

struct fingerprint {
	const struct graph *graph;
	struct symbols *symbols;
	uint64_t *text;  /* hash by string id; 0 = not made yet */
	uint64_t *site;  /* hash by stack node; 0 = not made yet */
	uint32_t *local; /* number of a node in the component at hand, else GRAPH_NONE */
	struct cell *cell;
	size_t capacity;
	uint64_t *sorted; /* COUNTED_SIZE colours */
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
		f->sorted = malloc(COUNTED_SIZE * sizeof(*f->sorted));
	}
	if (!f || !f->text || !f->site || !f->local || !f->sorted) {
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
	free(f->cell);
	free(f->sorted);
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

/* The innermost function, whatever it was inlined into: that differs from one
 * build to the next.  Those of the annotation header are not the program's. */
static uint64_t symbol_site(struct fingerprint *f, uint32_t stack, const struct trace_frame *frame)
{
	const struct symbols_frame *names = NULL;
	size_t count = f->symbols ? symbols_node(f->symbols, stack, &names) : 0;
	size_t at = 0;

	while (at + 1 < count && names[at].function && strncmp(names[at].function, "castaway_", 9) == 0)
		at++;
	if (at >= count || !names[at].function)
		return module_site(f->graph->trace, frame);
	return hash_text(names[at].function);
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

uint64_t fingerprint_stack(struct fingerprint *f, uint8_t runtime, uint32_t type, uint32_t stack)
{
	const struct trace *trace = f->graph->trace;
	uint64_t hash = fingerprint_site(f, runtime, type, stack);

	for (unsigned i = 0; i < STACK_FRAMES && stack && stack < trace->frame_count; i++) {
		stack = trace->frames[stack].parent;
		hash = hash_numbers((const uint64_t[]){hash, site_hash(f, stack)}, 2);
	}
	return hash;
}

/* ---- refinement ------------------------------------------------------------ */

static bool reserve(struct fingerprint *f, uint32_t count)
{
	struct cell *cell;

	if (count <= f->capacity)
		return true;
	cell = realloc(f->cell, count * sizeof(*cell));
	if (!cell)
		return false;
	f->cell = cell;
	f->capacity = count;
	return true;
}

/* The rows of a large component follow each other: what the coming edges lead
 * to can be on its way before it is needed. */
static void prefetch(const struct fingerprint *f, uint32_t e)
{
	const struct graph *graph = f->graph;
	uint32_t local;

	if (e + LOCAL_AHEAD >= graph->edge_count)
		return;
	__builtin_prefetch(&f->local[graph->edge[e + LOCAL_AHEAD].to]);
	local = f->local[graph->edge[e + CELL_AHEAD].to];
	if (local != GRAPH_NONE)
		__builtin_prefetch(&f->cell[local], 1);
}

static uint64_t neighbour(uint64_t label, uint64_t colour, enum direction direction)
{
	const uint64_t parts[] = {label, colour, direction};

	return hash_numbers(parts, 3);
}

static void refine(struct fingerprint *f, const uint32_t *member, uint32_t count)
{
	const struct graph *graph = f->graph;

	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t e = graph->first[member[i]]; e < graph->first[member[i] + 1]; e++) {
			const struct graph_edge *edge = &graph->edge[e];
			uint32_t to = f->local[edge->to];
			uint64_t label;

			prefetch(f, e);
			if (to == GRAPH_NONE)
				continue;
			label = text_hash(f, graph_field(edge)) + (uint64_t)graph_strength(edge);
			if (edge->field_flags & CASTAWAY_EDGE_SCANNED)
				label += (uint64_t)edge->detail << 8;
			f->cell[i].sum += neighbour(label, f->cell[to].colour, OUT);
			f->cell[to].sum += neighbour(label, f->cell[i].colour, IN);
		}
	}
	for (uint32_t i = 0; i < count; i++) {
		const uint64_t parts[] = {f->cell[i].colour, f->cell[i].sum};

		f->cell[i] = (struct cell){.colour = hash_numbers(parts, 2)};
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

	for (uint32_t i = 0; i < count; i++)
		f->sorted[i] = f->cell[i].colour;
	qsort(f->sorted, count, sizeof(*f->sorted), compare_colours);
	for (uint32_t i = 1; i < count; i++)
		colours += f->sorted[i] != f->sorted[i - 1];
	return colours;
}

static void refine_until_stable(struct fingerprint *f, const uint32_t *member, uint32_t count)
{
	uint32_t colours, grown;

	if (count > COUNTED_SIZE) {
		for (unsigned round = 0; round < (count > HUGE_SIZE ? 1 : LARGE_ROUNDS); round++)
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

/* What comes from a free list has the site of whoever had it first, which no
 * two runs agree on. */
static uint32_t lasting_site(const struct graph_node *node)
{
	return node->flags & GRAPH_NODE_RECYCLED ? 0 : node->stack;
}

static void shape_of(struct fingerprint *f, const uint32_t *member, uint32_t count, uint64_t *ret)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct graph_node *node = &f->graph->node[member[i]];

		f->local[member[i]] = i;
		f->cell[i].colour = fingerprint_site(f, node->runtime, node->type, lasting_site(node));
		f->cell[i].sum = 0;
	}
	refine_until_stable(f, member, count);
	for (uint32_t i = 0; i < count; i++) {
		const uint64_t parts[] = {f->cell[i].colour, count};

		total += hash_numbers(parts, 2);
		f->local[member[i]] = GRAPH_NONE;
	}
	*ret = hash_numbers((const uint64_t[]){total, count}, 2);
}

/* The sites of plain blocks, each once. */
static uint64_t sites_of(struct fingerprint *f, const uint32_t *block, uint32_t count, uint64_t *sites)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct graph_node *node = &f->graph->node[block[i]];

		sites[i] = fingerprint_site(f, node->runtime, node->type, node->stack);
	}
	qsort(sites, count, sizeof(*sites), compare_colours);
	for (uint32_t i = 0; i < count; i++)
		total += i == 0 || sites[i] != sites[i - 1] ? hash_numbers(&sites[i], 1) : 0;
	return total;
}

/* Between counted objects lie the blocks of their containers, in an order that may
 * be random (GSequence's trees are).  Only which there are goes in. */
static enum error_code contracted(struct fingerprint *f, const uint32_t *member, uint32_t count,
				  uint32_t objects, uint64_t *ret, struct error *error)
{
	uint32_t *split = malloc((size_t)count * sizeof(*split));
	uint64_t *sites = malloc((size_t)count * sizeof(*sites));
	uint32_t object = 0, block = objects;
	uint64_t shape = 0;

	for (uint32_t i = 0; split && sites && i < count; i++) {
		bool plain = f->graph->node[member[i]].flags & GRAPH_NODE_BLOCK;

		split[plain ? block++ : object++] = member[i];
	}
	if (split && sites) {
		shape_of(f, split, objects, &shape);
		*ret = hash_numbers(
			(const uint64_t[]){shape, sites_of(f, split + objects, count - objects, sites)}, 2);
	}
	free(split);
	free(sites);
	return object ? ERROR_NONE : error_set(error, ERROR_MEMORY, "out of memory for a fingerprint");
}

enum error_code fingerprint_of(struct fingerprint *f, const uint32_t *member, uint32_t count, uint64_t *ret,
			       struct error *error)
{
	uint32_t objects = 0;

	if (!reserve(f, count))
		return error_set(error, ERROR_MEMORY, "out of memory for the fingerprint of %u objects",
				 count);
	for (uint32_t i = 0; i < count; i++)
		objects += !(f->graph->node[member[i]].flags & GRAPH_NODE_BLOCK);
	if (objects && objects < count)
		return contracted(f, member, count, objects, ret, error);
	shape_of(f, member, count, ret);
	return ERROR_NONE;
}
