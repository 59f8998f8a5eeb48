/* SPDX-License-Identifier: Apache-2.0
 *
 * GStreamer: GstMiniObjects (buffers, caps, events, messages, memory...), which
 * are boxed types with a count of their own, and pointers that own nothing.
 * Runs in the snapshot child.
 *
 * Structures are those of the stable interface 1.x; what the headers keep
 * private is used only where the memory fits.
 */
#include "../stack.h"
#include "gobject.h"

/* struct _GstMiniObject */
#define MINI_SIZE     64u
#define MINI_REFCOUNT 8u
#define MINI_FREE     40u
#define MINI_STATE    48u /* of the pointer behind it: */
#define MINI_POINTER  56u
#define ONE_PARENT    2u
#define PARENTS       3u

/* gstminiobject.c's PrivData: a lock, parents, then data by quark. */
#define PARENTS_COUNT 4u
#define PARENTS_ARRAY 16u
#define DATA_COUNT    24u
#define DATA_ARRAY    32u
#define PRIVATE_SIZE  40u
#define DATA_SIZE     32u /* quark, notify, data, destroy */
#define DATA_NOTIFY   8u
#define DATA_DATA     16u
#define DATA_DESTROY  24u

/* GstStructureImpl: the count of the caps or the message that it is part of. */
#define STRUCTURE_SIZE  24u
#define STRUCTURE_COUNT 16u

/* SyncHandler of gstbus.c: function, data, destroy, count */
#define SYNC_SIZE    32u
#define SYNC_DATA    8u
#define SYNC_DESTROY 16u
#define SYNC_COUNT   24u

#define OBJECT_PARENT 40u  /* GstObject.parent */
#define PAD_PEER      264u /* GstPad.peer */

/* A GstStructure begins with its type, too, but has no function there. */
bool gobject_is_mini(const uint8_t *bytes, uint64_t size, uint32_t *refcount)
{
	uintptr_t bias;

	if (size < MINI_SIZE)
		return false;
	*refcount = gobject_half(bytes + MINI_REFCOUNT);
	return *refcount != 0 && *refcount < REFCOUNT_SANE &&
	       modules_find(gobject_word(bytes + MINI_FREE), &bias) != 0;
}

/* Who holds it, so that a holder can tell whether it may be changed. */
static void parents_rules(struct gobject_heap *heap, const uint8_t *private)
{
	const uint32_t count = gobject_half(private + PARENTS_COUNT);
	const uint8_t *parents =
		gobject_block_at(heap, gobject_word(private + PARENTS_ARRAY), (uint64_t)count * 8, NULL);

	for (uint32_t i = 0; parents != NULL && i < count; i++)
		gobject_pointer(heap, parents + 8 * (size_t)i, CASTAWAY_BORROWED);
}

/* Weak references: there is someone to be told, and nothing to be freed. */
static void weak_rules(struct gobject_heap *heap, const uint8_t *private)
{
	const uint32_t count = gobject_half(private + DATA_COUNT);
	const uint8_t *data =
		gobject_block_at(heap, gobject_word(private + DATA_ARRAY), (uint64_t)count * DATA_SIZE, NULL);

	for (uint32_t i = 0; data != NULL && i < count; i++) {
		const uint8_t *entry = data + DATA_SIZE * (size_t)i;

		if (gobject_word(entry + DATA_NOTIFY) != 0 && gobject_word(entry + DATA_DESTROY) == 0)
			gobject_pointer(heap, entry + DATA_DATA, CASTAWAY_WEAK);
	}
}

void gobject_mini_rules(struct gobject_heap *heap, uint32_t number)
{
	const uint8_t *bytes = gobject_block(heap, number, MINI_SIZE);
	const uint8_t *private;

	if (bytes == NULL)
		return;
	switch (gobject_half(bytes + MINI_STATE)) {
	case ONE_PARENT:
		gobject_pointer(heap, bytes + MINI_POINTER, CASTAWAY_BORROWED);
		break;
	case PARENTS:
		private
		= gobject_block_at(heap, gobject_word(bytes + MINI_POINTER), PRIVATE_SIZE, NULL);
		if (private == NULL)
			break;
		parents_rules(heap, private);
		weak_rules(heap, private);
		break;
	default:
		break;
	}
}

void gobject_structure_rules(struct gobject_heap *heap, uint32_t number)
{
	const uint8_t *bytes =
		heap->types->gst_version[0] != '\0' ? gobject_block(heap, number, STRUCTURE_SIZE) : NULL;
	const struct gobject_type *type = bytes != NULL ? gobject_class(heap, gobject_word(bytes)) : NULL;
	uint32_t owner;

	if (type == NULL || type->kind != GOBJECT_MINI)
		return;
	owner = gobject_instance(heap, gobject_word(bytes + STRUCTURE_COUNT) - MINI_REFCOUNT);
	if (owner != SCAN_NONE && gobject_type_of(heap, owner)->kind == GOBJECT_MINI)
		gobject_pointer(heap, bytes + STRUCTURE_COUNT, CASTAWAY_BORROWED);
}

/* A bus tells somebody of its messages whom it does not own, unless it has a
 * function to let go of him.  A bin does so with the bus for its children. */
static void bus_rules(struct gobject_heap *heap, uint32_t number)
{
	const uint8_t *bytes = gobject_block(heap, number, heap->offset[number]);

	for (uint32_t at = 0; bytes != NULL && at + 8 <= heap->offset[number]; at += 8) {
		uint64_t size = 0;
		uintptr_t bias;
		const uint8_t *handler = gobject_block_at(heap, gobject_word(bytes + at), SYNC_SIZE, &size);

		if (handler != NULL && size == SYNC_SIZE && gobject_word(handler + SYNC_DESTROY) == 0 &&
		    gobject_half(handler + SYNC_COUNT) - 1 < REFCOUNT_SANE &&
		    modules_find(gobject_word(handler), &bias) != 0)
			gobject_pointer(heap, handler + SYNC_DATA, CASTAWAY_BORROWED);
	}
}

/* Of the object at this address, when it is of such a type and large enough. */
static const uint8_t *field(struct gobject_heap *heap, uint64_t object, uint32_t type, uint64_t offset)
{
	const uint32_t block = gobject_instance(heap, object);
	const uint8_t *bytes = NULL;

	if (block != SCAN_NONE && gobject_type_of(heap, block)->size >= offset + 8 &&
	    gobject_is_a(heap, gobject_type_of(heap, block), type))
		bytes = gobject_block(heap, block, heap->offset[block] + offset + 8);
	return bytes != NULL ? bytes + heap->offset[block] + offset : NULL;
}

/* A parent holds its children, which know it.  Pads that are linked know each
 * other, and each belongs to its element. */
void gobject_gst_rules(struct gobject_heap *heap, uint32_t number)
{
	const uint64_t object = heap->index->blocks[number].address + heap->offset[number];
	const uint8_t *parent, *peer, *back;

	if (heap->types->gst_version[0] == '\0')
		return;
	parent = field(heap, object, heap->types->gst_object, OBJECT_PARENT);
	if (parent == NULL)
		return;
	gobject_pointer(heap, parent, CASTAWAY_BORROWED);
	if (gobject_type_of(heap, number)->name == heap->types->gst_bus)
		bus_rules(heap, number);
	peer = field(heap, object, heap->types->gst_pad, PAD_PEER);
	back = peer != NULL ? field(heap, gobject_word(peer), heap->types->gst_pad, PAD_PEER) : NULL;
	if (back != NULL && gobject_word(back) == object)
		gobject_pointer(heap, peer, CASTAWAY_BORROWED);
}
