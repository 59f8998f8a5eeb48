/* SPDX-License-Identifier: Apache-2.0
 *
 * The live blocks.  Runs in the target's threads, in every allocation hook,
 * under the guard; takes no lock, so a fork child finds everything usable.
 */
#include "shadow.h"

#include "hot.h"
#include "managed.h"
#include "shadow_inline.h"

HOT struct pagemap g_shadow_maps[2];
HOT_WRITTEN struct pool g_shadow_records = POOL_INIT(g_shadow_records, sizeof(struct shadow_record));
static int64_t s_count; /* without the threads' unadded births */

__attribute__((noinline)) void shadow_count_batch(struct thread *thread)
{
	/* Zero first: shadow_count() must not see these twice. */
	int64_t pending = thread->births;

	thread->births = 0;
	if (generation_count(thread, CASTAWAY_DOMAIN_BLOCKS, pending))
		__atomic_add_fetch(&s_count, pending, __ATOMIC_RELAXED);
	else
		thread->births = pending;
}

static void not_inserted(uintptr_t address)
{
	limits_count(address & 7 ? CASTAWAY_LIMIT_UNALIGNED : CASTAWAY_LIMIT_MEMORY, 1, NULL);
}

static uint32_t *slot_of(uintptr_t address)
{
	return pagemap_peek(shadow_map_of(address), address);
}

void shadow_insert(struct thread *thread, uintptr_t address, uint64_t size, uint32_t stack, uint8_t runtime)
{
	uint32_t *slot = address & 7 ? NULL : pagemap_slot(shadow_map_of(address), address);

	if (slot)
		shadow_insert_at(thread, slot, size, stack, runtime);
	else
		not_inserted(address);
}

void shadow_restore(struct thread *thread, const struct shadow_block *former)
{
	uint32_t *slot = pagemap_slot(shadow_map_of(former->address), former->address);

	shadow_count_births(thread, 1);
	if (!slot)
		not_inserted(former->address);
	else
		shadow_store(thread, slot, shadow_pack(former->size, former->runtime), former->birth_pass,
			     former->stack);
}

static void describe(uintptr_t address, const struct shadow_record *block, struct shadow_block *ret)
{
	ret->address = address;
	ret->size = block->size_runtime & SHADOW_SIZE_MAX;
	ret->runtime = (uint8_t)(block->size_runtime >> SHADOW_SIZE_BITS);
	ret->stack = block->stack;
	ret->birth_pass = block->birth;
}

bool shadow_remove(struct thread *thread, uintptr_t address, struct shadow_block *former)
{
	const uint32_t index = address & 7 ? 0 : pagemap_take(slot_of(address));
	const bool described = former != NULL || object_count() != 0;
	struct shadow_block dead;

	if (!index)
		return false;
	if (described)
		describe(address, shadow_record_at(index), &dead);
	pool_give(&g_shadow_records, &thread->block_free, index);
	shadow_count_births(thread, -1);
	if (!described)
		return true;
	if (object_count() != 0)
		object_block_freed(thread, address, dead.size);
	if (former)
		*former = dead;
	return true;
}

void shadow_forget(uintptr_t address)
{
	if (!(address & 7) && pagemap_take(slot_of(address)) != 0)
		__atomic_sub_fetch(&s_count, 1, __ATOMIC_RELAXED);
}

/* The record may be freed and used again while it is read; then the slot no
 * longer holds the index, or holds it for a block of the same address. */
static bool find(uintptr_t address, struct shadow_block *ret)
{
	uint32_t index = pagemap_get(shadow_map_of(address), address);

	while (index) {
		uint32_t again;

		describe(address, shadow_record_at(index), ret);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		again = pagemap_get(shadow_map_of(address), address);
		if (again == index)
			return true;
		index = again;
	}
	return false;
}

static void describe_managed(const struct managed_block *managed, struct shadow_block *ret)
{
	*ret = (struct shadow_block){
		.address = managed->address,
		.size = managed->size,
		.stack = managed->stack,
		.runtime = CASTAWAY_RUNTIME_CPYTHON,
	};
}

bool shadow_find(uintptr_t address, struct shadow_block *ret)
{
	struct managed_block managed;

	if (address & 7)
		return false;
	if (find(address, ret))
		return true;
	if (!managed_find(address, &managed))
		return false;
	describe_managed(&managed, ret);
	return true;
}

struct visitor {
	bool (*visit)(const struct shadow_block *block, void *arg);
	void *arg;
	struct pagemap_walk walk;     /* of g_managed */
	struct managed_block managed; /* the next one */
	bool more_managed;
};

/* Managed blocks before `end`, which must be seen before what is at `end`. */
static bool visit_managed(struct visitor *visitor, uintptr_t end)
{
	while (visitor->more_managed && visitor->managed.address < end) {
		struct shadow_block block;

		describe_managed(&visitor->managed, &block);
		if (!visitor->visit(&block, visitor->arg))
			return false;
		visitor->more_managed = managed_next(
			&visitor->walk, block.address + (1u << PAGEMAP_GRANULE_BITS), &visitor->managed);
	}
	return true;
}

/* In one granule the block without bit 3 comes first. */
static void visit_all(struct visitor *visitor, struct pagemap_walk walks[2])
{
	uintptr_t at[2] = {0, 0};
	uint32_t slot;
	bool more[2];

	visitor->more_managed = managed_next(&visitor->walk, 0, &visitor->managed);
	for (unsigned i = 0; i < 2; i++)
		more[i] = pagemap_walk_next(&walks[i], &at[i], UINTPTR_MAX, &slot);
	while (more[0] || more[1]) {
		unsigned i = !more[0] || (more[1] && at[1] < at[0]);
		struct shadow_block block;

		if (find(at[i] + 8 * i, &block) &&
		    (!visit_managed(visitor, block.address) || !visitor->visit(&block, visitor->arg)))
			return;
		at[i] += 1u << PAGEMAP_GRANULE_BITS;
		more[i] = pagemap_walk_next(&walks[i], &at[i], UINTPTR_MAX, &slot);
	}
	(void)visit_managed(visitor, UINTPTR_MAX);
}

void shadow_for_each(bool (*visit)(const struct shadow_block *block, void *arg), void *arg)
{
	struct visitor visitor = {.visit = visit, .arg = arg};
	struct pagemap_walk walks[2];

	pagemap_walk_begin(&visitor.walk, &g_managed);
	for (unsigned i = 0; i < 2; i++)
		pagemap_walk_begin(&walks[i], &g_shadow_maps[i]);
	visit_all(&visitor, walks);
	for (unsigned i = 0; i < 2; i++)
		pagemap_walk_end(&walks[i]);
	pagemap_walk_end(&visitor.walk);
}

uint64_t shadow_count(void)
{
	int64_t total = __atomic_load_n(&s_count, __ATOMIC_RELAXED);

	for (struct thread *thread = thread_first(); thread; thread = thread->next)
		total += __atomic_load_n(&thread->births, __ATOMIC_RELAXED);
	return (total > 0 ? (uint64_t)total : 0) + managed_count();
}
