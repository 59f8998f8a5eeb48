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

/* GHashTable */
#define TABLE_SIZE   96u
#define TABLE_KEYS   32u
#define TABLE_HASHES 40u
#define TABLE_VALUES 48u
#define LIST_LOOK    64u /* a list of handlers shows one in its first bytes */

/* GData: a head of 8 bytes, then elements of key, data, function */
#define DATA_HEAD    8u
#define DATA_ELEMENT 24u
#define DATA_TAG     7u

static void put_rule(struct gobject_heap *heap, enum castaway_edge_rule rule, uint64_t address, uint64_t more)
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

static void put_pointer(struct gobject_heap *heap, const uint8_t *where, enum castaway_strength strength)
{
	put_rule(heap, CASTAWAY_RULE_POINTER, (uintptr_t)where, strength);
}

/* The bytes of the block that begins at exactly this address. */
static const uint8_t *block_at(struct gobject_heap *heap, uint64_t address, uint64_t size, uint64_t *ret)
{
	uint32_t number = scan_find(heap->index, address);

	if (number == SCAN_NONE || heap->index->blocks[number].address != address)
		return NULL;
	if (ret != NULL)
		*ret = heap->index->blocks[number].size;
	return gobject_block(heap, number, size);
}

/* ---- closures ------------------------------------------------------------------- */

/* Its block, or SCAN_NONE. */
static uint32_t closure_at(struct gobject_heap *heap, uint64_t address)
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
		notifiers = block_at(heap, gobject_word(closure + CLOSURE_NOTIFIERS),
				     (uint64_t)all * NOTIFIER_SIZE, NULL);
		if (notifiers == NULL)
			return;
	}
	for (uint32_t i = 0; i < all; i++) {
		const uint8_t *notifier = notifiers + (size_t)i * NOTIFIER_SIZE;

		if (i >= guards && i < guards + finalize) {
			if (gobject_word(notifier) == gobject_word(closure + CLOSURE_DATA))
				put_pointer(heap, notifier, CASTAWAY_BORROWED);
			continue;
		}
		if (i < guards || is_gobjects(heap, gobject_word(notifier + 8)))
			put_pointer(heap, notifier, CASTAWAY_BORROWED);
		else
			owns = true;
	}
	if (!owns)
		put_pointer(heap, closure + CLOSURE_DATA, CASTAWAY_BORROWED);
}

static void closure_rules(struct gobject_heap *heap, uint32_t number, uint64_t address)
{
	const uint8_t *closure = (const uint8_t *)(uintptr_t)address;

	/* Several handlers may share it. */
	if (heap->role[number] != GOBJECT_OTHER)
		return;
	heap->role[number] = GOBJECT_CLOSURE;
	gobject_put(heap, number, address - heap->index->blocks[number].address, heap->types->closure_name,
		    gobject_half(closure) & CLOSURE_REFCOUNT);
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
	closure = closure_at(heap, gobject_word(bytes + HANDLER_CLOSURE));
	if (closure == SCAN_NONE)
		return;
	heap->role[number] = GOBJECT_HANDLER;
	gobject_put(heap, number, 0, heap->types->handler_name, gobject_half(bytes + HANDLER_REFCOUNT));
	put_rule(heap, CASTAWAY_RULE_KEPT_BY, block->address, heap->index->blocks[instance].address);
	put_pointer(heap, bytes + HANDLER_INSTANCE, CASTAWAY_WEAK);
	closure_rules(heap, closure, gobject_word(bytes + HANDLER_CLOSURE));
}

static bool is_handler_list(struct gobject_heap *heap, uint64_t address)
{
	uint64_t size = 0;
	const uint8_t *bytes = block_at(heap, address, 8, &size);

	for (uint64_t offset = 0; bytes != NULL && offset + 8 <= size && offset < LIST_LOOK; offset += 8) {
		uint64_t word = gobject_word(bytes + offset);
		uint32_t to = scan_find(heap->index, word);

		if (to != SCAN_NONE && heap->role[to] == GOBJECT_HANDLER &&
		    heap->index->blocks[to].address == word)
			return true;
	}
	return false;
}

/* Returns the table's keys, and how many slots there are for them. */
static const uint8_t *handler_table(struct gobject_heap *heap, const uint8_t *table, uint64_t *slots)
{
	const uint8_t *keys, *values, *hashes;
	uint64_t lists = 0, others = 0;

	*slots = gobject_word(table);
	if (*slots == 0 || *slots > UINT32_MAX)
		return NULL;
	keys = block_at(heap, gobject_word(table + TABLE_KEYS), *slots * 8, NULL);
	values = block_at(heap, gobject_word(table + TABLE_VALUES), *slots * 8, NULL);
	hashes = block_at(heap, gobject_word(table + TABLE_HASHES), *slots * 4, NULL);
	if (keys == NULL || values == NULL || hashes == NULL || keys == values)
		return NULL;
	for (uint64_t i = 0; i < *slots; i++) {
		if (gobject_half(hashes + 4 * i) < 2) /* unused, or a tombstone */
			continue;
		if (gobject_instance(heap, gobject_word(keys + 8 * i)) == SCAN_NONE)
			others++;
		else
			lists += is_handler_list(heap, gobject_word(values + 8 * i));
	}
	return lists > others ? keys : NULL;
}

/* From an instance to its handlers: it forgets the instance when that ends. */
static void table_rules(struct gobject_heap *heap, uint32_t number)
{
	const uint8_t *table = heap->index->blocks[number].size == TABLE_SIZE
				       ? gobject_block(heap, number, TABLE_SIZE)
				       : NULL;
	const uint8_t *keys;
	uint64_t slots = 0;

	keys = table != NULL ? handler_table(heap, table, &slots) : NULL;
	if (keys == NULL)
		return;
	for (uint64_t i = 0; i < slots; i++)
		put_pointer(heap, keys + 8 * i, CASTAWAY_WEAK);
}

/* What a type of GParamSpecs was registered with is freed when its class is
 * initialized, and still pointed to. */
static void type_rules(struct gobject_heap *heap, uint32_t number)
{
	const uint8_t *bytes =
		heap->index->blocks[number].size == TYPE_SIZE ? gobject_block(heap, number, TYPE_SIZE) : NULL;
	const struct gobject_type *type =
		bytes != NULL ? gobject_class(heap, gobject_word(bytes + TYPE_CLASS)) : NULL;

	if (type != NULL && type->size == 0)
		put_pointer(heap, bytes + TYPE_DATA, CASTAWAY_BORROWED);
}

/* ---- data about an object --------------------------------------------------------- */

/* {object, n, {function, data}[n]}; returns n. */
static uint32_t back_pointer(struct gobject_heap *heap, const uint8_t *bytes, uint64_t size, uint64_t entry)
{
	uint32_t count = gobject_half(bytes + 8);

	put_pointer(heap, bytes, CASTAWAY_WEAK);
	return 16 + count * entry <= size ? count : 0;
}

static void weak_rules(struct gobject_heap *heap, const uint8_t *bytes, uint64_t size)
{
	uint32_t count = back_pointer(heap, bytes, size, 16);

	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *entry = bytes + 16 + (size_t)i * 16;

		if (heap->types->nullify == 0 || gobject_word(entry) != heap->types->nullify)
			continue;
		put_pointer(heap, entry + 8, CASTAWAY_WEAK);
		put_rule(heap, CASTAWAY_RULE_POINTER, gobject_word(entry + 8), CASTAWAY_WEAK);
	}
}

static void closure_array_rules(struct gobject_heap *heap, const uint8_t *bytes, uint64_t size)
{
	uint32_t count = back_pointer(heap, bytes, size, 8);

	for (uint32_t i = 0; i < count; i++)
		put_pointer(heap, bytes + 16 + (size_t)i * 8, CASTAWAY_WEAK);
}

/* While nobody but the one who toggles has a reference, the object does not
 * hold what is on the other side. */
static void toggle_rules(struct gobject_heap *heap, const uint8_t *object, const uint8_t *bytes,
			 uint64_t size)
{
	uint32_t count = back_pointer(heap, bytes, size, 16);

	if (count == 1 && gobject_half(object + GOBJECT_REFCOUNT) == 1)
		put_pointer(heap, bytes + 24, CASTAWAY_WEAK);
}

/* A list of the GWeakRefs that hold the object, whose first word is the list. */
static void location_rules(struct gobject_heap *heap, const uint8_t *object, const uint8_t *bytes)
{
	uint64_t node = gobject_word(bytes);

	/* A list of frozen memory ends, unless it is none. */
	for (uint32_t i = 0; node != 0 && i < heap->index->count; i++) {
		const uint8_t *link = block_at(heap, node, 16, NULL);
		uint64_t where;

		if (link == NULL)
			return;
		where = gobject_word(link);
		if (where % 8 == 0 && where + 8 > where && maps_readable(heap->maps, where, where + 8) &&
		    (gobject_word((const uint8_t *)(uintptr_t)where) & ~(uint64_t)DATA_TAG) ==
			    (uintptr_t)object) {
			put_pointer(heap, link, CASTAWAY_WEAK);
			put_rule(heap, CASTAWAY_RULE_POINTER, where, CASTAWAY_WEAK);
		}
		node = gobject_word(link + 8);
	}
}

static void element_rules(struct gobject_heap *heap, const uint8_t *object, uint32_t key, uint64_t data)
{
	const uint32_t *quark = heap->types->quark;
	uint64_t size = 0;
	const uint8_t *bytes;

	if (key == 0)
		return;
	if (key == quark[GOBJECT_QUARK_WEAK_LOCATIONS]) {
		bytes = block_at(heap, data, 8, &size);
		if (bytes != NULL)
			location_rules(heap, object, bytes);
		return;
	}
	bytes = block_at(heap, data, 16, &size);
	if (bytes == NULL || gobject_word(bytes) != (uintptr_t)object)
		return;
	if (key == quark[GOBJECT_QUARK_WEAK_REFERENCES] || key == quark[GOBJECT_QUARK_WEAK_NOTIFIES])
		weak_rules(heap, bytes, size);
	else if (key == quark[GOBJECT_QUARK_CLOSURES])
		closure_array_rules(heap, bytes, size);
	else if (key == quark[GOBJECT_QUARK_TOGGLES])
		toggle_rules(heap, object, bytes, size);
}

static void data_rules(struct gobject_heap *heap, uint32_t number)
{
	const uint8_t *bytes = gobject_block(heap, number, GOBJECT_SIZE), *object, *data;
	uint64_t size = 0;
	uint32_t count;

	if (bytes == NULL)
		return;
	object = bytes + heap->offset[number];
	data = block_at(heap, gobject_word(object + GOBJECT_QDATA) & ~(uint64_t)DATA_TAG, DATA_HEAD, &size);
	if (data == NULL)
		return;
	count = gobject_half(data);
	if (count > (size - DATA_HEAD) / DATA_ELEMENT)
		return;
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *element = data + DATA_HEAD + (size_t)i * DATA_ELEMENT;

		element_rules(heap, object, gobject_half(element), gobject_word(element + 8));
	}
	/* Room for more, with what the memory held before. */
	for (uint64_t at = DATA_HEAD + (uint64_t)count * DATA_ELEMENT; at + 8 <= size; at += 8)
		put_pointer(heap, data + at, CASTAWAY_BORROWED);
}

bool gobject_rules(struct gobject_heap *heap)
{
	const uint32_t blocks = heap->index->count;

	heap->role = arena_map(((size_t)blocks + 1) * sizeof(*heap->role));
	if (heap->role == NULL)
		return false;
	for (uint32_t i = 0; i < blocks; i++)
		handler_rules(heap, i);
	for (uint32_t i = 0; i < blocks; i++) {
		if (heap->type[i] != 0) {
			data_rules(heap, i);
		} else {
			table_rules(heap, i);
			type_rules(heap, i);
		}
	}
	return true;
}
