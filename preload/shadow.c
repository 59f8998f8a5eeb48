/* SPDX-License-Identifier: Apache-2.0
 *
 * The live blocks.  Runs in the target's threads, in every allocation hook,
 * under the guard; takes no lock, so a fork child finds everything usable.
 */
#include "shadow.h"

#include "emit.h"
#include "generation.h"
#include "managed.h"
#include "object.h"
#include "pagemap.h"
#include "pool.h"

#define SIZE_BITS 48
#define SIZE_MAX_ ((UINT64_C(1) << SIZE_BITS) - 1)

/* Births and deaths reach the shared counter of the generations this many at a
 * time, lest all threads write to one cache line at every allocation. */
#define BIRTHS_BATCH 64

struct block {
	uint64_t size_runtime; /* size, runtime << SIZE_BITS */
	uint32_t birth;
	uint32_t stack;
};
_Static_assert(sizeof(struct block) == 16, "four records share a cache line");

/* A granule can hold two blocks of allocators that align to 8 only: those whose
 * address has bit 3 have a map of their own, which others never touch. */
static struct pagemap s_maps[2];
static struct pool s_blocks = POOL_INIT(struct block);
static int64_t s_count; /* without the threads' unadded births */

static struct pagemap *map_of(uintptr_t address)
{
	return &s_maps[address >> 3 & 1];
}

uint32_t *shadow_slot(uintptr_t address)
{
	uint32_t *slot = pagemap_peek(map_of(address), address);

	if (slot)
		__builtin_prefetch(slot, 1);
	return slot;
}

static __attribute__((noinline)) void count_batch(struct thread *thread)
{
	/* Zero first: shadow_count() must not see these twice. */
	int64_t pending = thread->births;

	thread->births = 0;
	if (generation_count(thread, CASTAWAY_DOMAIN_BLOCKS, pending))
		__atomic_add_fetch(&s_count, pending, __ATOMIC_RELAXED);
	else
		thread->births = pending;
}

static inline void count(struct thread *thread, int64_t births)
{
	thread->births += births;
	if (__builtin_expect(thread->births >= BIRTHS_BATCH || thread->births <= -BIRTHS_BATCH, 0))
		count_batch(thread);
}

static inline struct block *block_at(uint32_t index)
{
	return (struct block *)(void *)pool_segment(&s_blocks, index) + POOL_PLACE(index);
}

static inline uint64_t pack(uint64_t size, uint8_t runtime)
{
	return (size < SIZE_MAX_ ? size : SIZE_MAX_) | (uint64_t)runtime << SIZE_BITS;
}

static inline void store(struct thread *thread, uint32_t *slot, uint64_t size_runtime, uint32_t birth,
			 uint32_t stack)
{
	uint32_t index = slot ? pool_take(&s_blocks, &thread->block_free) : 0;
	struct block *block;
	uint32_t former;

	if (__builtin_expect(!index, 0)) {
		limits_count(CASTAWAY_LIMIT_MEMORY, 1, NULL);
		return;
	}
	block = block_at(index);
	block->size_runtime = size_runtime;
	block->birth = birth;
	block->stack = stack;
	/* No exchange: nobody else has this block, and another thread that frees
	 * it without having it finds one of the two. */
	former = __atomic_load_n(slot, __ATOMIC_RELAXED);
	__atomic_store_n(slot, index, __ATOMIC_RELEASE);
	/* The end of an older block here was missed; it ends now. */
	if (__builtin_expect(former != 0, 0)) {
		pool_give(&s_blocks, &thread->block_free, former);
		count(thread, -1);
	}
}

void shadow_insert_at(struct thread *thread, uint32_t *slot, uintptr_t address, uint64_t size, uint32_t stack,
		      uint8_t runtime)
{
	if (__builtin_expect(address & 7, 0)) {
		limits_count(CASTAWAY_LIMIT_UNALIGNED, 1, NULL);
		return;
	}
	if (__builtin_expect(!slot, 0))
		slot = pagemap_slot(map_of(address), address);
	/* As in CPython, the newborn that starts a pass is not part of it. */
	count(thread, 1);
	store(thread, slot, pack(size, runtime), generation_birth(CASTAWAY_DOMAIN_BLOCKS), stack);
}

void shadow_insert(struct thread *thread, uintptr_t address, uint64_t size, uint32_t stack, uint8_t runtime)
{
	shadow_insert_at(thread, shadow_slot(address), address, size, stack, runtime);
}

void shadow_restore(struct thread *thread, const struct shadow_block *former)
{
	count(thread, 1);
	store(thread, pagemap_slot(map_of(former->address), former->address),
	      pack(former->size, former->runtime), former->birth_pass, former->stack);
}

static void describe(uintptr_t address, const struct block *block, struct shadow_block *ret)
{
	ret->address = address;
	ret->size = block->size_runtime & SIZE_MAX_;
	ret->runtime = (uint8_t)(block->size_runtime >> SIZE_BITS);
	ret->stack = block->stack;
	ret->birth_pass = block->birth;
}

bool shadow_remove_at(struct thread *thread, uint32_t *slot, uintptr_t address, struct shadow_block *former)
{
	const bool objects = object_count() != 0;
	struct shadow_block dead;
	uint32_t index;

	if (__builtin_expect(address & 7, 0))
		return false;
	index = pagemap_take(slot);
	if (!index)
		return false;
	/* Mostly nobody asks what it was, and its record is long out of the cache. */
	if (objects || former)
		describe(address, block_at(index), &dead);
	pool_give(&s_blocks, &thread->block_free, index);
	count(thread, -1);
	if (objects)
		object_block_freed(thread, address, dead.size);
	if (former)
		*former = dead;
	return true;
}

bool shadow_remove(struct thread *thread, uintptr_t address, struct shadow_block *former)
{
	return shadow_remove_at(thread, shadow_slot(address), address, former);
}

void shadow_forget(uintptr_t address)
{
	if (!(address & 7) && pagemap_take(shadow_slot(address)) != 0)
		__atomic_sub_fetch(&s_count, 1, __ATOMIC_RELAXED);
}

/* The record may be freed and used again while it is read; then the slot no
 * longer holds the index, or holds it for a block of the same address. */
static bool find(uintptr_t address, struct shadow_block *ret)
{
	uint32_t index = pagemap_get(map_of(address), address);

	while (index) {
		uint32_t again;

		describe(address, block_at(index), ret);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		again = pagemap_get(map_of(address), address);
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
		pagemap_walk_begin(&walks[i], &s_maps[i]);
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
