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

bool gobject_is_a(const struct gobject_heap *heap, const struct gobject_type *type, uint32_t name)
{
	while (type->name != name && type->ancestor != 0)
		type = &heap->types->type[type->ancestor - 1];
	return type->name == name;
}

/* Fills in the runtime and the count. */
static bool is_instance(const struct gobject_type *type, const uint8_t *bytes, uint64_t offset, uint64_t size,
			struct gobject_found *ret)
{
	switch ((enum gobject_kind)type->kind) {
	case GOBJECT_INSTANCE:
		ret->runtime = CASTAWAY_RUNTIME_GOBJECT;
		ret->refcount = gobject_half(bytes + offset + GOBJECT_REFCOUNT);
		return offset + type->size == size && ret->refcount != 0 && ret->refcount < REFCOUNT_SANE;
	case GOBJECT_MINI:
		ret->runtime = CASTAWAY_RUNTIME_GST;
		return offset == 0 && gobject_is_mini(bytes, size, &ret->refcount);
	case GOBJECT_PARAM:
		break;
	}
	return false;
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
		struct gobject_found found = {.block = number, .offset = offset};

		if (type == NULL || !is_instance(type, bytes, offset, size, &found))
			continue;
		heap->type[number] = 1 + (uint32_t)(type - heap->types->type);
		heap->offset[number] = (uint32_t)offset;
		heap->minis += type->kind == GOBJECT_MINI;
		found.name = type->name;
		gobject_put(heap, &found);
		return;
	}
}

void gobject_put(struct gobject_heap *heap, const struct gobject_found *found)
{
	const struct scan_block *block = &heap->index->blocks[found->block];
	const uint64_t offset = found->offset;
	struct payload *payload = &heap->objects;
	uint8_t *out;

	if (!payload_room(payload, OBJECT_BYTES))
		return;
	out = codec_put_svarint(payload->at, (int64_t)(block->address + offset - payload->last_address));
	payload->last_address = block->address + offset;
	out = codec_put_varint(out, found->runtime);
	out = codec_put_varint(out, block->size - offset);
	out = codec_put_varint(out, offset);
	out = codec_put_varint(out, found->name);
	out = codec_put_svarint(out, found->refcount);
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
