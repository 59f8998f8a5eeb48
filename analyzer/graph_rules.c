/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the rules of a snapshot and finds one by bisection.  Bounds-checked;
 * never prints.
 */
#include "graph_rules.h"

#include <stdlib.h>

#include "tables.h"

struct loading {
	struct graph_rules *rules;
	size_t pointer_capacity, kept_capacity, held_capacity;
	struct codec_cursor cursor;
};

/* False when there is no memory. */
static bool append(struct graph_rule **rules, size_t *count, size_t *capacity, const struct graph_rule *rule)
{
	struct graph_rule *grown = array_reserve(*rules, capacity, *count + 1, sizeof(*grown));

	if (!grown)
		return false;
	*rules = grown;
	grown[(*count)++] = *rule;
	return true;
}

static bool read_rule(struct loading *l, uint8_t kind, uint64_t address)
{
	struct graph_rule rule = {.address = address};

	if (kind == CASTAWAY_RULE_POINTER) {
		rule.strength = codec_get_u8(&l->cursor);
		l->cursor.failed |= rule.strength > CASTAWAY_UNKNOWN;
		return l->cursor.failed ||
		       append(&l->rules->pointer, &l->rules->pointer_count, &l->pointer_capacity, &rule);
	}
	rule.owner = address + (uint64_t)codec_get_svarint(&l->cursor);
	if (l->cursor.failed)
		return true;
	if (kind == CASTAWAY_RULE_KEPT_BY)
		return append(&l->rules->kept, &l->rules->kept_count, &l->kept_capacity, &rule);
	/* Kept alike: the address is of what is held. */
	rule = (struct graph_rule){.address = rule.owner, .owner = address};
	return append(&l->rules->held, &l->rules->held_count, &l->held_capacity, &rule);
}

static bool read_payload(struct loading *l)
{
	uint64_t address = 0;

	while (!l->cursor.failed && codec_left(&l->cursor) > 0) {
		uint8_t kind = codec_get_u8(&l->cursor);

		/* Of a later writer: where the next one begins is not known. */
		if (kind < CASTAWAY_RULE_POINTER || kind > CASTAWAY_RULE_HOLDS)
			break;
		address += (uint64_t)codec_get_svarint(&l->cursor);
		if (!l->cursor.failed && !read_rule(l, kind, address))
			return false;
	}
	return true;
}

static enum error_code read_chunk(struct loading *l, struct trace *trace, struct trace_chunk *chunk,
				  uint32_t snapshot, struct error *error)
{
	uint8_t *buffer = NULL;
	size_t capacity = 0, size;
	enum error_code code = trace_read_chunk(trace, chunk, &buffer, &capacity, &size, error);

	if (code == ERROR_DAMAGED) {
		code = trace_mark_damaged(trace, chunk);
	} else if (code == ERROR_NONE) {
		l->cursor = (struct codec_cursor){buffer, buffer + size, false};
		if (codec_get_varint(&l->cursor) == snapshot && !read_payload(l))
			code = ERROR_MEMORY;
		else if (l->cursor.failed)
			code = trace_mark_damaged(trace, chunk);
	}
	free(buffer);
	return code == ERROR_MEMORY ? no_memory(error) : code;
}

static int by_address(const void *a, const void *b)
{
	const struct graph_rule *left = a, *right = b;

	return (left->address > right->address) - (left->address < right->address);
}

static bool find_block(const uint64_t *block, uint32_t count, uint64_t address, uint32_t *ret)
{
	uint32_t low = 0, high = count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (block[middle] < address)
			low = middle + 1;
		else
			high = middle;
	}
	*ret = low;
	return low < count && block[low] == address;
}

/* Returns how many are left. */
static size_t resolve(struct graph_rule *rules, size_t rule_count, const uint64_t *address, uint32_t count)
{
	size_t known = 0;

	for (size_t i = 0; i < rule_count; i++) {
		struct graph_rule *rule = &rules[i];

		if (find_block(address, count, rule->address, &rule->block) &&
		    find_block(address, count, rule->owner, &rule->owner_block))
			rules[known++] = *rule;
	}
	return known;
}

enum error_code graph_rules_read(struct trace *trace, const struct trace_snapshot *snapshot,
				 const uint64_t *address, uint32_t count, struct graph_rules *ret,
				 struct error *error)
{
	struct graph_rules rules = {0};
	struct loading loading = {.rules = &rules};
	enum error_code code = ERROR_NONE;

	*ret = rules;
	for (size_t i = 0; !code && i < trace->chunk_count; i++) {
		if (trace->chunks[i].type == CASTAWAY_CHUNK_EDGE_RULES)
			code = read_chunk(&loading, trace, &trace->chunks[i], snapshot->index, error);
	}
	if (code) {
		graph_rules_done(&rules);
		return code;
	}
	if (rules.pointer_count)
		qsort(rules.pointer, rules.pointer_count, sizeof(*rules.pointer), by_address);
	if (rules.kept_count)
		qsort(rules.kept, rules.kept_count, sizeof(*rules.kept), by_address);
	rules.kept_count = resolve(rules.kept, rules.kept_count, address, count);
	rules.held_count = resolve(rules.held, rules.held_count, address, count);
	*ret = rules;
	return ERROR_NONE;
}

void graph_rules_done(struct graph_rules *rules)
{
	free(rules->pointer);
	free(rules->kept);
	free(rules->held);
	*rules = (struct graph_rules){0};
}

static const struct graph_rule *find(const struct graph_rule *rules, size_t count, uint64_t address)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (rules[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && rules[low].address == address ? &rules[low] : NULL;
}

bool graph_rules_is_kept(const struct graph_rules *rules, uint64_t address)
{
	return find(rules->kept, rules->kept_count, address) != NULL;
}

enum castaway_strength graph_rules_strength(const struct graph_rules *rules, uint64_t pointer,
					    uint64_t target)
{
	const struct graph_rule *rule = find(rules->pointer, rules->pointer_count, pointer);

	if (graph_rules_is_kept(rules, target))
		return CASTAWAY_BORROWED;
	return rule ? (enum castaway_strength)rule->strength : CASTAWAY_UNKNOWN;
}

bool graph_rules_holds(const struct graph_rules *rules, uint64_t pointer)
{
	const struct graph_rule *rule = find(rules->pointer, rules->pointer_count, pointer);

	return !rule || (rule->strength != CASTAWAY_WEAK && rule->strength != CASTAWAY_BORROWED);
}
