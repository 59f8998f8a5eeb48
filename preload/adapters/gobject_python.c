/* SPDX-License-Identifier: Apache-2.0
 *
 * PyGObject: where GObject and CPython refer to each other.  Runs in the snapshot
 * child.  Its layouts are those of 3.x; each use is checked against a pointer
 * back.
 *
 * A wrapper owns one reference to its object.  While it has attributes, that is a
 * toggle reference, and the object owns one to the wrapper whenever others refer
 * to the object.  A closure owns its Python function and arguments.
 */
#include <string.h>

#include "../maps.h"
#include "../stack.h"
#include "gobject.h"

/* PyGObject: a PyObject, then */
#define WRAPPER_OBJECT  16u
#define WRAPPER_FLAGS   40u
#define WRAPPER_SIZE    48u
#define WRAPPER_TOGGLES 1u

/* PyGObjectData */
#define DATA_CLOSURES 8u
#define DATA_SIZE     16u

/* PyGClosure: a GClosure, then callback, arguments, replaced argument */
#define PYCLOSURE_FIRST 32u
#define PYCLOSURE_END   56u
#define PYCLOSURE_SIZE  64u

/* PyGIInvokeArgState: so much of each argument; memory for up to so many is kept
 * after a call, in an array by their number. */
#define CALL_ARGUMENT 40u
#define CALL_KEPT     10u

void gobject_wrapper_rules(struct gobject_heap *heap, const uint8_t *object, const uint8_t *element)
{
	const uint64_t at = gobject_word(element);
	const uint8_t *wrapper = (const uint8_t *)(uintptr_t)at;
	bool toggles;

	/* In memory of the interpreter's, which is no block where only the collector
	 * knows it. */
	if (at == 0 || at % 8 != 0 || !maps_readable(heap->maps, at, at + WRAPPER_SIZE) ||
	    gobject_word(wrapper + WRAPPER_OBJECT) != (uintptr_t)object)
		return;
	toggles = (gobject_half(wrapper + WRAPPER_FLAGS) & WRAPPER_TOGGLES) != 0;
	gobject_pointer(heap, wrapper + WRAPPER_OBJECT, CASTAWAY_STRONG);
	gobject_pointer(heap, element,
			toggles && gobject_half(object + GOBJECT_REFCOUNT) > 1 ? CASTAWAY_STRONG
									       : CASTAWAY_WEAK);
}

/* The list forgets a closure that ends. */
void gobject_pyclosure_rules(struct gobject_heap *heap, const uint8_t *element)
{
	const uint8_t *data = gobject_block_at(heap, gobject_word(element), DATA_SIZE, NULL);
	uint64_t node = data != NULL ? gobject_word(data + DATA_CLOSURES) : 0;

	for (uint32_t i = 0; node != 0 && i < heap->index->count; i++) {
		const uint8_t *link = gobject_block_at(heap, node, 16, NULL);
		const uint8_t *closure = link != NULL ? (const uint8_t *)(uintptr_t)gobject_word(link) : NULL;
		uint32_t block = link != NULL ? gobject_closure_at(heap, (uintptr_t)closure) : SCAN_NONE;

		if (block == SCAN_NONE ||
		    heap->index->blocks[block].address + heap->index->blocks[block].size <
			    (uintptr_t)closure + PYCLOSURE_SIZE)
			return;
		gobject_pointer(heap, link, CASTAWAY_WEAK);
		for (uint32_t at = PYCLOSURE_FIRST; at < PYCLOSURE_END; at += 8)
			gobject_pointer(heap, closure + at, CASTAWAY_STRONG);
		node = gobject_word(link + 8);
	}
}

/* The block that is kept for calls of `count` arguments, when there is one; false
 * when something else is there. */
static bool call_block(struct gobject_heap *heap, const uint8_t *slot, uint32_t count, uint32_t *ret)
{
	const uint64_t at = gobject_word(slot);

	*ret = at != 0 ? scan_find(heap->index, at) : SCAN_NONE;
	return at == 0 || (*ret != SCAN_NONE && count > 0 && heap->index->blocks[*ret].address == at &&
			   heap->index->blocks[*ret].size == (uint64_t)count * CALL_ARGUMENT);
}

/* True when the array is at this place, and something is in it. */
static bool call_rules(struct gobject_heap *heap, const uint8_t *array)
{
	uint32_t block[CALL_KEPT];
	bool any = false;

	for (uint32_t i = 0; i < CALL_KEPT; i++) {
		if (!call_block(heap, array + 8 * (size_t)i, i, &block[i]))
			return false;
		any |= block[i] != SCAN_NONE;
	}
	for (uint32_t i = 0; i < CALL_KEPT; i++) {
		const uint64_t size = block[i] != SCAN_NONE ? heap->index->blocks[block[i]].size : 0;
		const uint8_t *bytes = gobject_block(heap, block[i], size);

		for (uint64_t at = 0; bytes != NULL && at < size; at += 8)
			gobject_pointer(heap, bytes + at, CASTAWAY_BORROWED);
	}
	return any;
}

static bool is_gi(const struct module_record *module)
{
	return module->op == CASTAWAY_MODULE_LOAD && strstr(module->path, "/gi/_gi.") != NULL;
}

void gobject_pycall_rules(struct gobject_heap *heap)
{
	const uint32_t records = modules_record_count();
	const struct module_record *module = NULL;

	for (uint32_t i = 0; i < records; i++) {
		if (is_gi(modules_record(i)))
			module = modules_record(i);
	}
	for (size_t i = 0; module != NULL && i < heap->maps->count; i++) {
		const struct maps_entry *entry = &heap->maps->entries[i];
		/* The kernel makes one mapping of the module's last pages and of
		 * anonymous memory that happens to lie behind them. */
		const uint64_t start = entry->start > module->start ? entry->start : module->start;
		const uint64_t end = entry->end < module->end ? entry->end : module->end;

		if (!entry->writable || !entry->readable)
			continue;
		for (uint64_t at = start; at + 8 * CALL_KEPT <= end; at += 8) {
			if (call_rules(heap, (const uint8_t *)(uintptr_t)at))
				return;
		}
	}
}
