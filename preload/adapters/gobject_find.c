/* SPDX-License-Identifier: Apache-2.0
 *
 * Instances, told without a call: a block whose word at a multiple of 16 is a
 * known class, with just the room for an instance of it behind that word (what
 * lies before is its private data).  Runs in the snapshot child.
 */
#include <string.h>

#include "../arena.h"
#include "../maps.h"
#include "castaway/codec.h"
#include "gobject.h"

#define CLASS_SLOTS    (2 * GOBJECT_TYPES) /* a power of 2 */
#define OBJECT_BYTES   (12 * CODEC_VARINT_MAX)
#define REFCOUNT_SANE  (1u << 24)
#define INSTANCE_ALIGN 16u
/* An instance cannot begin further in: GLib keeps private data below 64 KiB. */
#define PRIVATE_MAX (64u << 10)

const uint8_t *gobject_block(struct gobject_heap *heap, uint32_t number, uint64_t size)
{
	const struct scan_block *block;
	uint64_t end;

	if (number == SCAN_NONE)
		return NULL;
	block = &heap->index->blocks[number];
	if (block->size < size)
		return NULL;
	end = block->address + block->size;
	if (heap->entry == NULL || !heap->entry->readable || block->address < heap->entry->start ||
	    end > heap->entry->end) {
		heap->entry = maps_find(heap->maps, block->address);
		if (!maps_readable(heap->maps, block->address, end))
			return NULL;
	}
	return (const uint8_t *)(uintptr_t)block->address;
}

uint32_t gobject_instance(const struct gobject_heap *heap, uint64_t address)
{
	uint32_t block = scan_find(heap->index, address);

	if (block == SCAN_NONE || heap->type[block] == 0 ||
	    heap->index->blocks[block].address + heap->offset[block] != address)
		return SCAN_NONE;
	return block;
}

static size_t class_slot(uintptr_t class)
{
	return (size_t)((class >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 40) % CLASS_SLOTS;
}

static void index_classes(struct gobject_heap *heap)
{
	for (uint32_t i = 0; i < heap->types->count; i++) {
		size_t slot = class_slot(heap->types->type[i].class);

		while (heap->by_class[slot] != 0)
			slot = (slot + 1) % CLASS_SLOTS;
		heap->by_class[slot] = i + 1;
	}
}

const struct gobject_type *gobject_class(const struct gobject_heap *heap, uint64_t address)
{
	uint32_t type;

	for (size_t slot = class_slot(address); (type = heap->by_class[slot]) != 0;
	     slot = (slot + 1) % CLASS_SLOTS) {
		if (heap->types->type[type - 1].class == address)
			return &heap->types->type[type - 1];
	}
	return NULL;
}

static void look_at(struct gobject_heap *heap, uint32_t number)
{
	const uint64_t size = heap->index->blocks[number].size;
	const uint8_t *bytes = gobject_block(heap, number, GOBJECT_SIZE);
	uint64_t last = bytes == NULL ? 0 : size - GOBJECT_SIZE;

	if (bytes == NULL)
		return;
	last = last < PRIVATE_MAX ? last : PRIVATE_MAX;
	for (uint64_t offset = 0; offset <= last; offset += INSTANCE_ALIGN) {
		uint64_t word = gobject_word(bytes + offset);
		const struct gobject_type *type = word < PRIVATE_MAX ? NULL : gobject_class(heap, word);
		uint32_t count;

		if (type == NULL || offset + type->size != size)
			continue;
		count = gobject_half(bytes + offset + GOBJECT_REFCOUNT);
		if (count == 0 || count >= REFCOUNT_SANE)
			continue;
		heap->type[number] = 1 + (uint32_t)(type - heap->types->type);
		heap->offset[number] = (uint32_t)offset;
		gobject_put(heap, number, offset, type->name, count);
		return;
	}
}

void gobject_put(struct gobject_heap *heap, uint32_t number, uint64_t offset, uint32_t name,
		 uint32_t refcount)
{
	const struct scan_block *block = &heap->index->blocks[number];
	struct payload *payload = &heap->objects;
	uint8_t *out;

	if (!payload_room(payload, OBJECT_BYTES))
		return;
	out = codec_put_svarint(payload->at, (int64_t)(block->address + offset - payload->last_address));
	payload->last_address = block->address + offset;
	out = codec_put_varint(out, CASTAWAY_RUNTIME_GOBJECT);
	out = codec_put_varint(out, block->size - offset);
	out = codec_put_varint(out, offset);
	out = codec_put_varint(out, name);
	out = codec_put_svarint(out, refcount);
	/* Generation, flags, birth, stack, edges: the block and the scan tell. */
	for (int i = 0; i < 5; i++)
		out = codec_put_varint(out, 0);
	payload->at = out;
	heap->count++;
}

bool gobject_find(struct gobject_heap *heap)
{
	const size_t blocks = (size_t)heap->index->count + 1;

	heap->type = arena_map(blocks * sizeof(*heap->type));
	heap->offset = arena_map(blocks * sizeof(*heap->offset));
	heap->by_class = arena_map(CLASS_SLOTS * sizeof(*heap->by_class));
	if (heap->type == NULL || heap->offset == NULL || heap->by_class == NULL)
		return false;
	index_classes(heap);
	for (uint32_t i = 0; i < heap->index->count; i++)
		look_at(heap, i);
	return true;
}
