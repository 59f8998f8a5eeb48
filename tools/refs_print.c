/* SPDX-License-Identifier: Apache-2.0
 *
 * Stacks are deep and mostly without branches: a line moves to the right only
 * where the tree branches, and begins with a dash there.
 */
#include "refs_print.h"

#include <inttypes.h>
#include <stdlib.h>

#include "text.h"

/* How a line is set out, per node. */
struct place {
	uint32_t children;
	uint32_t indent;
	bool one_of_several;
};

#define INDENT_MAX 40u

/* places[0] is the bottom of all stacks, places[i + 1] node i. */
static size_t place_of(uint32_t node)
{
	return node == BALANCE_NONE ? 0 : (size_t)node + 1;
}

static struct place *find_places(const struct balance *balance)
{
	struct place *places = calloc(balance->count + 1, sizeof(*places));

	for (size_t i = 0; places && i < balance->count; i++)
		places[place_of(balance->nodes[i].parent)].children++;
	for (size_t i = 0; places && i < balance->count; i++) {
		const struct place *parent = &places[place_of(balance->nodes[i].parent)];
		struct place *place = &places[i + 1];

		place->one_of_several = parent->children > 1;
		place->indent = parent->indent + (place->one_of_several && parent->indent < INDENT_MAX);
	}
	return places;
}

/* Frames of one node that are the program's, callers first. */
static void put_frames(struct textout *out, const struct symbols_frame *frames, size_t count)
{
	const char *separator = "";

	for (size_t i = count; i-- > 0;) {
		if (symbols_is_castaway(&frames[i]))
			continue;
		textout_put(out, "%s", separator);
		text_frame(out, &frames[i]);
		separator = " > ";
	}
}

static bool has_own_frames_only(const struct symbols_frame *frames, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!symbols_is_castaway(&frames[i]))
			return false;
	}
	return count > 0;
}

static void put_node(struct textout *out, const struct balance_node *node, const struct place *place,
		     struct symbols *symbols)
{
	const struct symbols_frame *frames;
	size_t count = symbols_node(symbols, node->stack, &frames);

	/* The line of the caller says the same. */
	if (has_own_frames_only(frames, count))
		return;
	textout_put(out, "%+8" PRId64 " %8" PRIu64 " %8" PRIu64 "  ", (int64_t)(node->refs - node->unrefs),
		    node->refs, node->unrefs);
	if (place->indent)
		textout_put(out, "%*s%s", 2 * ((int)place->indent - 1), "",
			    place->one_of_several ? "- " : "  ");
	put_frames(out, frames, count);
	textout_put(out, count ? "\n" : "(no stack)\n");
}

void refs_print_text(const struct query *query, const struct balance_object *objects, size_t count,
		     const struct balance *balance, struct symbols *symbols)
{
	struct textout out = {.out = stdout};
	const struct place nowhere = {0};
	struct place *places = find_places(balance);
	char number[TEXTOUT_NUMBER];

	if (count == 1)
		textout_put(&out, "0x%" PRIx64 " %s", objects[0].address,
			    trace_text(query->trace, objects[0].type));
	else
		textout_put(&out, "%s", textout_plural(count, "object", "objects", number));
	textout_put(&out, ": count %" PRId64 "; %" PRIu64 " taken, %" PRIu64 " given back\n", balance->counts,
		    balance->refs, balance->unrefs);
	if (balance->before)
		textout_put(&out, "%+" PRId64 " %s\n", balance->before,
			    query->trace->header.features & CASTAWAY_FEATURE_LIVE
				    ? "known by its count only: recorded with events=live"
				    : "from before the trace");
	if (balance->unseen)
		textout_put(&out,
			    "%+" PRId64 " by calls that are not seen: inside the runtime's own library\n",
			    balance->unseen);
	if (balance->count)
		textout_put(&out, "     net    taken    given  where\n");
	for (size_t i = 0; i < balance->count; i++)
		put_node(&out, &balance->nodes[i], places ? &places[i + 1] : &nowhere, symbols);
	free(places);
}

static void objects_json(struct jsontext *json, const struct query *query,
			 const struct balance_object *objects, size_t count)
{
	jsontext_array(json, "objects", JSONTEXT_LINES);
	for (size_t i = 0; i < count; i++) {
		jsontext_object(json, NULL, JSONTEXT_FLAT);
		jsontext_address(json, "address", objects[i].address);
		jsontext_string(json, "type", trace_text(query->trace, objects[i].type));
		jsontext_integer(json, "refcount", objects[i].count);
		jsontext_object_end(json);
	}
	jsontext_array_end(json);
}

static void node_json(struct jsontext *json, const struct balance_node *node, struct symbols *symbols)
{
	const struct symbols_frame *frames;
	size_t count = symbols_node(symbols, node->stack, &frames);

	jsontext_object(json, NULL, JSONTEXT_FLAT);
	if (node->parent == BALANCE_NONE)
		jsontext_null(json, "parent");
	else
		jsontext_count(json, "parent", node->parent);
	jsontext_count(json, "refs", node->refs);
	jsontext_count(json, "unrefs", node->unrefs);
	jsontext_count(json, "own_refs", node->own_refs);
	jsontext_count(json, "own_unrefs", node->own_unrefs);
	jsontext_array(json, "frames", JSONTEXT_FLAT);
	for (size_t i = 0; i < count; i++) {
		if (!symbols_is_castaway(&frames[i]))
			text_frame_json(json, &frames[i]);
	}
	jsontext_array_end(json);
	jsontext_object_end(json);
}

/* The tree as a list, callers first: nested containers would be as deep as the
 * stacks are. */
void refs_print_json(const struct query *query, const struct balance_object *objects, size_t count,
		     const struct balance *balance, struct symbols *symbols)
{
	struct jsontext json;

	jsontext_start(&json, stdout);
	jsontext_object(&json, NULL, JSONTEXT_LINES);
	jsontext_string(&json, "schema", "castaway-refs/1");
	if (query->snapshot)
		jsontext_count(&json, "snapshot", query->snapshot->index);
	else
		jsontext_null(&json, "snapshot");
	objects_json(&json, query, objects, count);
	jsontext_integer(&json, "counts", balance->counts);
	jsontext_count(&json, "refs", balance->refs);
	jsontext_count(&json, "unrefs", balance->unrefs);
	jsontext_integer(&json, "before", balance->before);
	jsontext_integer(&json, "unseen", balance->unseen);
	jsontext_array(&json, "tree", JSONTEXT_LINES);
	for (size_t i = 0; i < balance->count; i++)
		node_json(&json, &balance->nodes[i], symbols);
	jsontext_array_end(&json);
	jsontext_object_end(&json);
}
