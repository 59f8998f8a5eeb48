/* SPDX-License-Identifier: Apache-2.0
 *
 * What GObject keeps beside an object: who refers to it weakly, the closures
 * that end with it, toggle references; and bindings, which nothing refers to.
 * Runs in the snapshot child.
 */
#include "../maps.h"
#include "gobject.h"

/* GData: a head of 8 bytes, then elements of key, data, function */
#define DATA_HEAD    8u
#define DATA_ELEMENT 24u
#define DATA_POINTER 8u
#define DATA_TAG     7u

#define WEAK_DATA_SIZE 16u /* gobject.c's WeakRefData */

/* GBinding begins with its context, which has weak references to both ends. */
#define BINDING_CONTEXT 24u
#define CONTEXT_LOOK    96u

/* {object, n, {function, data}[n]}; returns n. */
static uint32_t back_pointer(struct gobject_heap *heap, const uint8_t *bytes, uint64_t size, uint64_t entry)
{
	uint32_t count = gobject_half(bytes + 8);

	gobject_pointer(heap, bytes, CASTAWAY_WEAK);
	return 16 + count * entry <= size ? count : 0;
}

static void weak_rules(struct gobject_heap *heap, const uint8_t *bytes, uint64_t size)
{
	uint32_t count = back_pointer(heap, bytes, size, 16);

	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *entry = bytes + 16 + (size_t)i * 16;

		if (heap->types->nullify == 0 || gobject_word(entry) != heap->types->nullify)
			continue;
		gobject_pointer(heap, entry + 8, CASTAWAY_WEAK);
		gobject_rule(heap, CASTAWAY_RULE_POINTER, gobject_word(entry + 8), CASTAWAY_WEAK);
	}
}

static void closure_array_rules(struct gobject_heap *heap, const uint8_t *bytes, uint64_t size)
{
	uint32_t count = back_pointer(heap, bytes, size, 8);

	for (uint32_t i = 0; i < count; i++)
		gobject_pointer(heap, bytes + 16 + (size_t)i * 8, CASTAWAY_WEAK);
}

/* While nobody but the one who toggles has a reference, the object does not
 * hold what is on the other side.  Since GLib 2.82 the list begins with its
 * number, and knows its object no more. */
static void toggle_rules(struct gobject_heap *heap, const uint8_t *object, const uint8_t *bytes,
			 uint64_t size)
{
	const bool own = gobject_word(bytes) == (uintptr_t)object;
	const uint32_t count = own ? back_pointer(heap, bytes, size, 16) : gobject_half(bytes);
	const uint32_t data = own ? 24 : 16;

	if (count == 1 && gobject_half(object + GOBJECT_REFCOUNT) == 1 && data + 8 <= size)
		gobject_pointer(heap, bytes + data, CASTAWAY_WEAK);
}

/* A GWeakRef, which `entry` points to, when it refers to the object. */
static bool weak_ref_rules(struct gobject_heap *heap, const uint8_t *object, const uint8_t *entry)
{
	const uint64_t where = gobject_word(entry);

	if (where % 8 != 0 || where + 8 < where || !maps_readable(heap->maps, where, where + 8) ||
	    (gobject_word((const uint8_t *)(uintptr_t)where) & ~(uint64_t)DATA_TAG) != (uintptr_t)object)
		return false;
	gobject_pointer(heap, entry, CASTAWAY_WEAK);
	gobject_rule(heap, CASTAWAY_RULE_POINTER, where, CASTAWAY_WEAK);
	return true;
}

/* The GWeakRefs that refer to the object: a list, whose first word is in `bytes`;
 * since GLib 2.80 their number, and the only one or an array. */
static void location_rules(struct gobject_heap *heap, const uint8_t *object, const uint8_t *bytes,
			   uint64_t size)
{
	uint64_t node = gobject_word(bytes);
	const uint32_t count = gobject_half(bytes + 4) & 0xffff;
	const uint8_t *many;

	if (size == WEAK_DATA_SIZE && count == 1) {
		(void)weak_ref_rules(heap, object, bytes + 8);
		return;
	}
	if (size == WEAK_DATA_SIZE && count > 1) {
		many = gobject_block_at(heap, gobject_word(bytes + 8), (uint64_t)count * 8, NULL);
		for (uint32_t i = 0; many != NULL && i < count; i++)
			(void)weak_ref_rules(heap, object, many + 8 * (size_t)i);
		return;
	}
	/* A list of frozen memory ends, unless it is none. */
	for (uint32_t i = 0; node != 0 && i < heap->index->count; i++) {
		const uint8_t *link = gobject_block_at(heap, node, 16, NULL);

		if (link == NULL)
			return;
		(void)weak_ref_rules(heap, object, link);
		node = gobject_word(link + 8);
	}
}

static void element_rules(struct gobject_heap *heap, const uint8_t *object, const uint8_t *element)
{
	const uint32_t key = gobject_half(element);
	const uint64_t data = gobject_word(element + DATA_POINTER);
	const uint32_t *quark = heap->types->quark;
	uint64_t size = 0;
	const uint8_t *bytes;

	if (key == 0)
		return;
	if (key == quark[GOBJECT_QUARK_PY_WRAPPER])
		gobject_wrapper_rules(heap, object, element + DATA_POINTER);
	if (key == quark[GOBJECT_QUARK_PY_DATA])
		gobject_pyclosure_rules(heap, element + DATA_POINTER);
	if (key == quark[GOBJECT_QUARK_WEAK_LOCATIONS]) {
		bytes = gobject_block_at(heap, data, 8, &size);
		if (bytes != NULL)
			location_rules(heap, object, bytes, size);
		return;
	}
	bytes = gobject_block_at(heap, data, 16, &size);
	if (bytes != NULL && key == quark[GOBJECT_QUARK_TOGGLES])
		toggle_rules(heap, object, bytes, size);
	if (bytes == NULL || gobject_word(bytes) != (uintptr_t)object)
		return;
	if (key == quark[GOBJECT_QUARK_WEAK_REFERENCES] || key == quark[GOBJECT_QUARK_WEAK_NOTIFIES])
		weak_rules(heap, bytes, size);
	else if (key == quark[GOBJECT_QUARK_CLOSURES])
		closure_array_rules(heap, bytes, size);
}

static void list_rules(struct gobject_heap *heap, const uint8_t *object)
{
	uint64_t size = 0;
	const uint8_t *data;
	uint32_t count;

	data = gobject_block_at(heap, gobject_word(object + GOBJECT_QDATA) & ~(uint64_t)DATA_TAG, DATA_HEAD,
				&size);
	if (data == NULL)
		return;
	count = gobject_half(data);
	if (count > (size - DATA_HEAD) / DATA_ELEMENT)
		return;
	for (uint32_t i = 0; i < count; i++)
		element_rules(heap, object, data + DATA_HEAD + (size_t)i * DATA_ELEMENT);
	/* Room for more, with what the memory held before. */
	for (uint64_t at = DATA_HEAD + (uint64_t)count * DATA_ELEMENT; at + 8 <= size; at += 8)
		gobject_pointer(heap, data + at, CASTAWAY_BORROWED);
}

/* A binding has a reference to itself until one of its ends goes.  Before GLib 2.68
 * it points to both itself, and holds neither. */
static void binding_rules(struct gobject_heap *heap, uint32_t number, const uint8_t *binding)
{
	const uint32_t source = gobject_instance(heap, gobject_word(binding + BINDING_CONTEXT));
	const uint32_t context = scan_find(heap->index, gobject_word(binding + BINDING_CONTEXT));
	const uint8_t *bytes = gobject_block(heap, context, 8);

	if (source != SCAN_NONE) {
		gobject_pointer(heap, binding + BINDING_CONTEXT, CASTAWAY_BORROWED);
		gobject_pointer(heap, binding + BINDING_CONTEXT + 8, CASTAWAY_BORROWED);
		gobject_rule(heap, CASTAWAY_RULE_KEPT_BY, heap->index->blocks[number].address,
			     heap->index->blocks[source].address);
		return;
	}
	for (uint64_t at = 0;
	     bytes != NULL && at + 8 <= heap->index->blocks[context].size && at < CONTEXT_LOOK; at += 8) {
		uint32_t end = gobject_instance(heap, gobject_word(bytes + at) & ~(uint64_t)DATA_TAG);

		if (end == SCAN_NONE || end == number)
			continue;
		gobject_rule(heap, CASTAWAY_RULE_KEPT_BY, heap->index->blocks[number].address,
			     heap->index->blocks[end].address);
		return;
	}
}

void gobject_data_rules(struct gobject_heap *heap, uint32_t number)
{
	const uint8_t *bytes = gobject_block(heap, number, GOBJECT_SIZE);
	const struct gobject_type *type = gobject_type_of(heap, number);

	if (bytes == NULL)
		return;
	bytes += heap->offset[number];
	list_rules(heap, bytes);
	if (type->name == heap->types->binding_name && type->size >= BINDING_CONTEXT + 16)
		binding_rules(heap, number, bytes);
}
