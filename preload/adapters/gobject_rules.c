/* SPDX-License-Identifier: Apache-2.0
 *
 * Pointers that own nothing, in GObject's own records: of signal handlers, of
 * closures, of weak references.  Without them a cycle through a signal would
 * look as if the table of all signal handlers held it.  Runs in the snapshot
 * child.
 *
 * Only what the records prove is said: everything else is left to the scan,
 * where any pointer holds its target.
 */
#include <string.h>

#include "../arena.h"
#include "../stack.h"
#include "castaway/codec.h"
#include "gobject.h"

#define RULE_BYTES (2 + 2 * CODEC_VARINT_MAX)

/* struct _Handler of gsignal.c */
#define HANDLER_SIZE     56u
#define HANDLER_REFCOUNT 32u
#define HANDLER_CLOSURE  40u
#define HANDLER_INSTANCE 48u

/* GClosure, in whose block its marshaller comes first. */
#define CLOSURE_SIZE      32u
#define CLOSURE_DATA      16u
#define CLOSURE_NOTIFIERS 24u
#define CLOSURE_REFCOUNT  0x7fffu
#define CLOSURE_GUARDS    16u /* bits of the first word: from here 1, */
#define CLOSURE_FINALIZE  17u /* 2, */
#define CLOSURE_INVALID   19u /* and 8 */
#define NOTIFIER_SIZE     16u /* data, function */

/* struct _InstanceData of gtype.c */
#define TYPE_SIZE  80u
#define TYPE_DATA  48u
#define TYPE_CLASS 56u

#define LIST_LOOK 64u /* a list of handlers shows one in its first bytes */

void gobject_rule(struct gobject_heap *heap, enum castaway_edge_rule rule, uint64_t address, uint64_t more)
{
	struct payload *payload = &heap->rules;
	uint8_t *out;

	if (!payload_room(payload, RULE_BYTES))
		return;
	out = payload->at;
	*out++ = (uint8_t)rule;
	out = codec_put_svarint(out, (int64_t)(address - payload->last_address));
	payload->last_address = address;
	if (rule == CASTAWAY_RULE_POINTER)
		*out++ = (uint8_t)more;
	else
		out = codec_put_svarint(out, (int64_t)(more - address));
	payload->at = out;
}

void gobject_pointer(struct gobject_heap *heap, const uint8_t *where, enum castaway_strength strength)
{
	gobject_rule(heap, CASTAWAY_RULE_POINTER, (uintptr_t)where, strength);
}

const uint8_t *gobject_block_at(struct gobject_heap *heap, uint64_t address, uint64_t size, uint64_t *ret)
{
	uint32_t number = scan_find(heap->index, address);

	if (number == SCAN_NONE || heap->index->blocks[number].address != address)
		return NULL;
	if (ret != NULL)
		*ret = heap->index->blocks[number].size;
	return gobject_block(heap, number, size);
}

/* ---- closures ------------------------------------------------------------------- */

uint32_t gobject_closure_at(struct gobject_heap *heap, uint64_t address)
{
	uint32_t number = scan_find(heap->index, address);
	const uint8_t *bytes;
	uint64_t before;

	if (number == SCAN_NONE)
		return SCAN_NONE;
	before = address - heap->index->blocks[number].address;
	/* Rounded up to a multiple of 16 or not. */
	if (before != 24 && before != 32)
		return SCAN_NONE;
	bytes = gobject_block(heap, number, before + CLOSURE_SIZE);
	return bytes != NULL && (gobject_half(bytes + before) & CLOSURE_REFCOUNT) != 0 ? number : SCAN_NONE;
}

/* GObject's own notifiers let go of nothing: they only forget. */
static bool is_gobjects(const struct gobject_heap *heap, uint64_t function)
{
	uintptr_t bias;

	return heap->types->module != 0 && modules_find(function, &bias) == heap->types->module;
}

/* What owns its data says so with a notifier that lets go of it; that one's own
 * pointer to the data is the same reference once more. */
static void notifier_rules(struct gobject_heap *heap, const uint8_t *closure)
{
	const uint32_t bits = gobject_half(closure);
	const uint32_t guards = 2 * (bits >> CLOSURE_GUARDS & 1), finalize = bits >> CLOSURE_FINALIZE & 3;
	const uint32_t all = guards + finalize + (bits >> CLOSURE_INVALID & 0xff);
	const uint8_t *notifiers = NULL;
	bool owns = finalize != 0;

	if (all != 0) {
		notifiers = gobject_block_at(heap, gobject_word(closure + CLOSURE_NOTIFIERS),
					     (uint64_t)all * NOTIFIER_SIZE, NULL);
		if (notifiers == NULL)
			return;
	}
	for (uint32_t i = 0; i < all; i++) {
		const uint8_t *notifier = notifiers + (size_t)i * NOTIFIER_SIZE;

		if (i >= guards && i < guards + finalize) {
			if (gobject_word(notifier) == gobject_word(closure + CLOSURE_DATA))
				gobject_pointer(heap, notifier, CASTAWAY_BORROWED);
			continue;
		}
		if (i < guards || is_gobjects(heap, gobject_word(notifier + 8)))
			gobject_pointer(heap, notifier, CASTAWAY_BORROWED);
		else
			owns = true;
	}
	if (!owns)
		gobject_pointer(heap, closure + CLOSURE_DATA, CASTAWAY_BORROWED);
}

static void closure_rules(struct gobject_heap *heap, uint32_t number, uint64_t address)
{
	const uint8_t *closure = (const uint8_t *)(uintptr_t)address;

	/* Several handlers may share it. */
	if (heap->role[number] != GOBJECT_OTHER)
		return;
	heap->role[number] = GOBJECT_CLOSURE;
	gobject_put(heap, &(struct gobject_found){
				  .block = number,
				  .offset = address - heap->index->blocks[number].address,
				  .name = heap->types->closure_name,
				  .refcount = gobject_half(closure) & CLOSURE_REFCOUNT,
				  .runtime = CASTAWAY_RUNTIME_GOBJECT,
			  });
	notifier_rules(heap, closure);
}

/* ---- signal handlers ------------------------------------------------------------- */

static void handler_rules(struct gobject_heap *heap, uint32_t number)
{
	const struct scan_block *block = &heap->index->blocks[number];
	const uint8_t *bytes = block->size == HANDLER_SIZE ? gobject_block(heap, number, HANDLER_SIZE) : NULL;
	uint32_t instance, closure;

	if (bytes == NULL)
		return;
	instance = gobject_instance(heap, gobject_word(bytes + HANDLER_INSTANCE));
	if (instance == SCAN_NONE)
		return;
	closure = gobject_closure_at(heap, gobject_word(bytes + HANDLER_CLOSURE));
	if (closure == SCAN_NONE)
		return;
	heap->role[number] = GOBJECT_HANDLER;
	gobject_put(heap, &(struct gobject_found){
				  .block = number,
				  .name = heap->types->handler_name,
				  .refcount = gobject_half(bytes + HANDLER_REFCOUNT),
				  .runtime = CASTAWAY_RUNTIME_GOBJECT,
			  });
	gobject_rule(heap, CASTAWAY_RULE_KEPT_BY, block->address, heap->index->blocks[instance].address);
	gobject_pointer(heap, bytes + HANDLER_INSTANCE, CASTAWAY_WEAK);
	closure_rules(heap, closure, gobject_word(bytes + HANDLER_CLOSURE));
}

static bool is_handler_list(struct gobject_heap *heap, uint64_t address)
{
	uint64_t size = 0;
	const uint8_t *bytes = gobject_block_at(heap, address, 8, &size);

	for (uint64_t offset = 0; bytes != NULL && offset + 8 <= size && offset < LIST_LOOK; offset += 8) {
		uint64_t word = gobject_word(bytes + offset);
		uint32_t to = scan_find(heap->index, word);

		if (to != SCAN_NONE && heap->role[to] == GOBJECT_HANDLER &&
		    heap->index->blocks[to].address == word)
			return true;
	}
	return false;
}

/* From an instance to its handlers: it forgets the instance when that ends. */
static bool is_handler_table(struct gobject_heap *heap, const struct gobject_table *table)
{
	uint64_t lists = 0, others = 0;

	for (uint64_t i = 0; table->keys != table->values && i < table->slots; i++) {
		if (!gobject_table_used(table, i))
			continue;
		if (gobject_instance(heap, gobject_table_key(table, i)) == SCAN_NONE)
			others++;
		else
			lists += is_handler_list(heap, gobject_table_value(table, i));
	}
	return lists > others;
}

static void table_rules(struct gobject_heap *heap, uint32_t number)
{
	struct gobject_table table;
	bool handlers;

	if (!gobject_table(heap, number, &table))
		return;
	handlers = is_handler_table(heap, &table);
	for (uint64_t i = 0; handlers && table.key_size == 8 && i < table.slots; i++)
		gobject_pointer(heap, table.keys + 8 * i, CASTAWAY_WEAK);
	gobject_table_rules(heap, number, &table, !handlers);
}

/* What a type of GParamSpecs was registered with is freed when its class is
 * initialized, and still pointed to. */
static void type_rules(struct gobject_heap *heap, uint32_t number)
{
	const uint8_t *bytes =
		heap->index->blocks[number].size == TYPE_SIZE ? gobject_block(heap, number, TYPE_SIZE) : NULL;
	const struct gobject_type *type =
		bytes != NULL ? gobject_class(heap, gobject_word(bytes + TYPE_CLASS)) : NULL;

	if (type != NULL && type->kind == GOBJECT_PARAM)
		gobject_pointer(heap, bytes + TYPE_DATA, CASTAWAY_BORROWED);
}

bool gobject_rules(struct gobject_heap *heap)
{
	const uint32_t blocks = heap->index->count;

	heap->role = arena_map(((size_t)blocks + 1) * sizeof(*heap->role));
	if (heap->role == NULL)
		return false;
	for (uint32_t i = 0; i < blocks; i++)
		handler_rules(heap, i);
	if (heap->types->quark[GOBJECT_QUARK_PY_WRAPPER] != 0)
		gobject_pycall_rules(heap);
	for (uint32_t i = 0; i < blocks; i++) {
		if (heap->type[i] == 0) {
			table_rules(heap, i);
			type_rules(heap, i);
			gobject_structure_rules(heap, i);
		} else if (gobject_type_of(heap, i)->kind == GOBJECT_MINI) {
			gobject_mini_rules(heap, i);
		} else {
			gobject_data_rules(heap, i);
			gobject_gst_rules(heap, i);
		}
	}
	return true;
}
