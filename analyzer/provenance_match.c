/* SPDX-License-Identifier: Apache-2.0
 *
 * How near two call stacks are: the calls that they have in common, by function
 * and not by address, because a function takes a reference in one line and gives
 * it back in another.  Never prints.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provenance_internal.h"
#include "trace_internal.h"

/* Functions of one stack node, in the pool: the outermost first, then those that
 * were inlined into it. */
struct functions {
	uint32_t start, count; /* count 0: not looked at */
};

struct provenance_match {
	struct symbols *symbols;
	const struct trace *trace;
	struct functions *functions; /* per stack node */
	uint32_t *pool;              /* hashes of functions */
	size_t pool_count, pool_capacity;
	uint32_t *path[2]; /* functions of a stack, the outermost first */
};

#define MAX_PATH   (2 * CASTAWAY_MAX_STACK_DEPTH)
#define LOOK_BACK  256u /* references that an unref is compared with */
#define MATCH_NAME 64u
#define AFFINITY   4u /* letters that two functions of one type have in common at least */
#define METHOD_BIT 32

enum error_code provenance_match_new(struct symbols *symbols, struct provenance_match **ret,
				     struct error *error)
{
	struct provenance_match *match = calloc(1, sizeof(*match));
	size_t frames = (size_t)symbols_trace(symbols)->frame_count + 1;

	*ret = match;
	if (match) {
		match->symbols = symbols;
		match->trace = symbols_trace(symbols);
		match->functions = calloc(frames, sizeof(*match->functions));
		match->path[0] = malloc(MAX_PATH * sizeof(uint32_t));
		match->path[1] = malloc(MAX_PATH * sizeof(uint32_t));
		if (match->functions && match->path[0] && match->path[1])
			return ERROR_NONE;
	}
	provenance_match_free(match);
	*ret = NULL;
	return error_set(error, ERROR_MEMORY, "out of memory to match references");
}

void provenance_match_free(struct provenance_match *match)
{
	if (!match)
		return;
	free(match->functions);
	free(match->pool);
	free(match->path[0]);
	free(match->path[1]);
	free(match);
}

/* ---- stacks ------------------------------------------------------------------------ */

/* NULL when it is not known. */
static const char *frame_name(const struct symbols_frame *frame)
{
	return frame->raw_function ? frame->raw_function : frame->function;
}

/* A caller has a smaller number than what it calls; anything else is damage. */
static uint32_t caller_of(const struct provenance_match *match, uint32_t node)
{
	uint32_t parent = match->trace->frames[node].parent;

	return parent < node ? parent : 0;
}

/* Of the innermost function. */
static const char *name_of(struct provenance_match *match, uint32_t node)
{
	const struct symbols_frame *frames;
	size_t count = symbols_node(match->symbols, node, &frames);
	const char *name = count ? frame_name(&frames[0]) : NULL;

	return name ? name : "";
}

static uint32_t hash_frame(const struct trace_frame *frame, const char *name)
{
	uint32_t hash = 0x811c9dc5u ^ frame->tag;

	if (!name || !*name)
		return (hash ^ (uint32_t)frame->address ^ (uint32_t)(frame->address >> 32)) * 0x9e3779b1u;
	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x01000193u;
	return hash;
}

/* Without memory a frame has no function, and differs from nothing. */
static const struct functions *functions_of(struct provenance_match *match, uint32_t node)
{
	struct functions *functions = &match->functions[node];
	const struct symbols_frame *frames;
	uint32_t *pool;
	size_t count;

	if (functions->count)
		return functions;
	count = symbols_node(match->symbols, node, &frames);
	pool = array_reserve(match->pool, &match->pool_capacity, match->pool_count + count, sizeof(*pool));
	if (!pool)
		return functions;
	match->pool = pool;
	*functions = (struct functions){(uint32_t)match->pool_count, (uint32_t)count};
	while (count-- > 0)
		pool[match->pool_count++] =
			hash_frame(&match->trace->frames[node], frame_name(&frames[count]));
	return functions;
}

/* From the innermost, which is turned around. */
static size_t path_of(struct provenance_match *match, uint32_t stack, unsigned which)
{
	uint32_t *path = match->path[which];
	size_t depth = 0;

	if (stack >= match->trace->frame_count)
		return 0;
	for (uint32_t node = stack; node; node = caller_of(match, node)) {
		const struct functions *functions = functions_of(match, node);

		for (uint32_t i = functions->count; i-- > 0 && depth < MAX_PATH;)
			path[depth++] = match->pool[functions->start + i];
	}
	for (size_t i = 0; i < depth / 2; i++) {
		uint32_t swap = path[i];

		path[i] = path[depth - 1 - i];
		path[depth - 1 - i] = swap;
	}
	return depth;
}

static size_t common(const struct provenance_match *match, size_t first, size_t second)
{
	size_t least = first < second ? first : second, same = 0;

	while (same < least && match->path[0][same] == match->path[1][same])
		same++;
	return same;
}

/* ---- unrefs -------------------------------------------------------------------------- */

/* `node_set_other` and `node_dispose` are of one type, perhaps. */
static size_t affinity(struct provenance_match *match, uint32_t one, uint32_t other)
{
	const char *a = one < match->trace->frame_count ? name_of(match, one) : "";
	char name[MATCH_NAME];
	const char *b;
	size_t same = 0;

	snprintf(name, sizeof(name), "%s", a);
	b = other < match->trace->frame_count ? name_of(match, other) : "";
	while (name[same] && name[same] == b[same])
		same++;
	return same >= AFFINITY ? same : 0;
}

/* The best of them: what was taken in the same function, then the birth where a
 * function gives up what it has made, then what has a like name. */
static uint64_t weigh(struct provenance_match *match, const struct provenance_reference *reference,
		      uint32_t stack, size_t depth)
{
	size_t own = path_of(match, reference->stack, 1), same = common(match, depth, own);
	uint64_t score = (uint64_t)same << 32;

	if (same == depth && own == depth)
		score |= UINT64_C(1) << 31;
	if (same == depth && reference->birth)
		score |= UINT64_C(1) << 30;
	score |= (uint64_t)affinity(match, reference->stack, stack) << 8;
	return score | !reference->birth;
}

size_t provenance_match_unref(struct provenance_match *match, const struct provenance_reference *reference,
			      size_t count, uint32_t stack)
{
	size_t depth = path_of(match, stack, 0), best = 0, looked = 0;
	uint64_t best_score = 0;

	for (size_t i = count; i-- > 0 && looked < LOOK_BACK; looked++) {
		uint64_t score = weigh(match, &reference[i], stack, depth);

		if (looked == 0 || score > best_score) {
			best = i;
			best_score = score;
		}
	}
	/* The first one is the birth, as long as nobody gave that back. */
	if (looked < count && weigh(match, &reference[0], stack, depth) > best_score)
		best = 0;
	return best;
}

/* ---- owners ---------------------------------------------------------------------------- */

/* GListStore: g_list_store_ */
static size_t snake(const char *type, char *text, size_t size)
{
	size_t length = 0;

	for (size_t i = 0; type[i] && length + 3 < size; i++) {
		bool upper = isupper((unsigned char)type[i]);
		bool begins =
			upper && i > 0 &&
			(islower((unsigned char)type[i - 1]) || (i == 1 && isupper((unsigned char)type[2])) ||
			 (i > 1 && type[i + 1] && islower((unsigned char)type[i + 1])) ||
			 (i == 1 && islower((unsigned char)type[2])));

		if (begins)
			text[length++] = '_';
		text[length++] = (char)tolower((unsigned char)type[i]);
	}
	if (length)
		text[length++] = '_';
	text[length] = '\0';
	return length;
}

static bool is_method(struct provenance_match *match, uint32_t stack, const char *prefix, size_t length)
{
	if (stack >= match->trace->frame_count)
		return false;
	while (stack) {
		if (strncmp(name_of(match, stack), prefix, length) == 0)
			return true;
		stack = caller_of(match, stack);
	}
	return false;
}

uint64_t provenance_match_owner(struct provenance_match *match, const struct provenance_reference *reference,
				uint32_t allocated, const char *type)
{
	char prefix[MATCH_NAME];
	size_t length = snake(type, prefix, sizeof(prefix));
	size_t taken = path_of(match, reference->stack, 0), made = path_of(match, allocated, 1);
	uint64_t score = common(match, taken, made);

	if (length && is_method(match, reference->stack, prefix, length))
		score |= UINT64_C(1) << METHOD_BIT;
	return score;
}
