/* SPDX-License-Identifier: Apache-2.0
 *
 * The scan of a snapshot.  Runs in the snapshot child, on a copy of the
 * target's memory that nobody changes.
 *
 * A word that lies outside of all blocks is passed over at once.  The others are
 * classified in batches, step by step (which bitmap word; which block could it
 * be; is it inside), because each step is a cache miss on a large heap and a
 * batch lets the misses overlap.  What goes from step to step is in arrays of
 * single words: structures, written in parts and copied as a whole, would have
 * the processor wait for its own stores.
 */
#include "scan.h"

#include <string.h>

#include "arch.h"
#include "arena.h"

#define REGION_BITS  30
#define REGION_COUNT (1u << (47 - REGION_BITS))
#define WORD_BITS    9 /* address bits that one bitmap word covers: 64 starts, 8 bytes apart */
#define REGION_WORDS (1u << (REGION_BITS - WORD_BITS))
#define BATCH        128 /* when so many wait they are looked up */
#define RUN          64  /* words that are read without counting how many wait */
#define PART         (UINT64_C(1) << 31)

/* Each loop is compiled for four callers, with what they know. */
#define INLINE static inline __attribute__((always_inline))

struct scan_word {
	uint64_t starts;
	uint32_t before; /* blocks that start before this word; 0 where no block reaches */
	uint32_t unused;
};
_Static_assert(sizeof(struct scan_word) == 16, "four bitmap words share a cache line");

bool scan_index_begin(struct scan_index *index, uint32_t expected)
{
	memset(index, 0, sizeof *index);
	index->capacity = expected;
	index->step = 8;
	index->mask = ~UINT64_C(0);
	index->counts_bits = arch_counts_bits();
	index->blocks = arena_map((size_t)expected * sizeof *index->blocks + 1);
	/* One more, always NULL, for what is no address of user space. */
	index->regions = arena_map((REGION_COUNT + 1) * sizeof *index->regions);
	index->failed = !index->blocks || !index->regions;
	return !index->failed;
}

static struct scan_word *word_of(struct scan_index *index, uint64_t address)
{
	struct scan_word **region = &index->regions[address >> REGION_BITS];

	if (!*region)
		*region = arena_map(REGION_WORDS * sizeof **region);
	return *region ? &(*region)[address >> WORD_BITS & (REGION_WORDS - 1)] : NULL;
}

/* Every word that the block reaches learns how many blocks start before it, so
 * that a pointer into the middle of a large block finds its rank there. */
static bool mark(struct scan_index *index, uint64_t address, uint64_t size)
{
	uint64_t last = address + (size ? size - 1 : 0);
	struct scan_word *word = word_of(index, address);

	if (!word)
		return false;
	if (!word->starts)
		word->before = index->count;
	word->starts |= UINT64_C(1) << (address >> 3 & 63);
	for (uint64_t at = (address >> WORD_BITS) + 1; at <= last >> WORD_BITS; at++) {
		word = word_of(index, at << WORD_BITS);
		if (!word)
			return false;
		word->before = index->count + 1;
	}
	return true;
}

bool scan_index_add(struct scan_index *index, uint64_t address, uint64_t size, uint8_t runtime)
{
	const struct scan_block *former = index->count ? &index->blocks[index->count - 1] : NULL;

	if (index->failed || index->count == index->capacity)
		return false;
	if (address & 7 || address >> 47 || size > (UINT64_C(1) << 47) - address)
		return false;
	if (former && address < former->address + (former->size ? former->size : 1))
		return false;
	if (!mark(index, address, size)) {
		index->failed = true;
		return false;
	}
	if (index->count == 0)
		index->low = address;
	index->high = address + (size ? size : 1);
	index->blocks[index->count++] =
		(struct scan_block){.address = address, .size = size & SCAN_SIZE_MASK, .runtime = runtime};
	return true;
}

void scan_index_options(struct scan_index *index, uint64_t alignment, uint64_t tag_bits)
{
	index->step = 8;
	while (index->step > 1 && index->step > alignment)
		index->step /= 2;
	index->mask = ~UINT64_C(0) << (tag_bits < SCAN_TAG_BITS_MAX ? tag_bits : SCAN_TAG_BITS_MAX);
}

static const struct scan_word *lookup(const struct scan_index *index, uint64_t address)
{
	const struct scan_word *region;

	if (address >> 47)
		return NULL;
	region = index->regions[address >> REGION_BITS];
	return region ? &region[address >> WORD_BITS & (REGION_WORDS - 1)] : NULL;
}

/* Blocks that start at or before the address, as far as its word knows. */
INLINE uint32_t rank(const struct scan_word *word, uint64_t address)
{
	uint64_t upto = ~UINT64_C(0) >> (63 - (address >> 3 & 63));

	return word->before + (uint32_t)__builtin_popcountll(word->starts & upto);
}

INLINE bool inside(const struct scan_block *block, uint64_t address)
{
	return address - block->address < (block->size ? block->size : 1);
}

uint32_t scan_find(const struct scan_index *index, uintptr_t address)
{
	const struct scan_word *word = lookup(index, address);
	uint32_t blocks = word ? rank(word, address) : 0;

	return blocks && inside(&index->blocks[blocks - 1], address) ? blocks - 1 : SCAN_NONE;
}

struct batch {
	const struct scan_index *index;
	scan_sink sink;
	void *arg;
	uint64_t base; /* offset of the part that is being read */
	unsigned count;
	/* Words that may be pointers, and where they stand: the number of their block
	 * in the upper half, steps from `base` in the lower. */
	uint64_t values[BATCH + RUN], places[BATCH + RUN];
	const struct scan_word *words[BATCH + RUN];
	uint32_t blocks[BATCH + RUN];
	uint64_t interior[BATCH + RUN];
	uint8_t others[BATCH + RUN]; /* which are no starts of blocks */
	struct scan_hit hits[BATCH + RUN];
};
_Static_assert(BATCH + RUN <= UINT8_MAX + 1, "numbers in a batch are bytes");

static const struct scan_word s_nothing; /* what no block reaches */

INLINE void find_words(struct batch *batch)
{
	const struct scan_index *index = batch->index;

	for (unsigned i = 0; i < batch->count; i++) {
		uint64_t value = batch->values[i] & index->mask;
		const struct scan_word *region = index->regions[value >> REGION_BITS];
		const struct scan_word *word = region + (value >> WORD_BITS & (REGION_WORDS - 1));

		batch->values[i] = value;
		batch->words[i] = region != NULL ? word : &s_nothing;
		__builtin_prefetch(batch->words[i]);
	}
}

/* A pointer to a block's start needs no look at the block: its bit says it all.
 * Returns how many there are of the others. */
INLINE unsigned find_blocks(struct batch *batch)
{
	const struct scan_block *blocks = batch->index->blocks;
	unsigned others = 0;

	for (unsigned i = 0; i < batch->count; i++) {
		const uint64_t value = batch->values[i];
		const struct scan_word *word = batch->words[i];

		batch->blocks[i] = rank(word, value) - 1;
		batch->interior[i] = 0;
		batch->others[others] = (uint8_t)i;
		others += !(word->starts >> (value >> 3 & 63) & !(value & 7));
	}
	for (unsigned i = 0; i < others; i++)
		__builtin_prefetch(&blocks[batch->blocks[batch->others[i]]]);
	return others;
}

INLINE void look_inside(struct batch *batch, unsigned others)
{
	const struct scan_block *blocks = batch->index->blocks;

	for (unsigned i = 0; i < others; i++) {
		const unsigned n = batch->others[i];
		const uint64_t value = batch->values[n];
		const uint32_t block = batch->blocks[n];

		if (block != SCAN_NONE && inside(&blocks[block], value))
			batch->interior[n] = value - blocks[block].address;
		else
			batch->blocks[n] = SCAN_NONE;
	}
}

INLINE void finish(struct batch *batch, uint64_t step)
{
	size_t kept = 0;

	find_words(batch);
	look_inside(batch, find_blocks(batch));
	for (unsigned i = 0; i < batch->count; i++) {
		struct scan_hit *hit = &batch->hits[kept];

		hit->from = (uint32_t)(batch->places[i] >> 32);
		hit->to = batch->blocks[i];
		hit->offset = batch->base + (uint32_t)batch->places[i] * step;
		hit->interior = batch->interior[i];
		kept += hit->to != SCAN_NONE;
	}
	if (kept > 0)
		batch->sink(batch->arg, batch->hits, kept);
	batch->count = 0;
}

/* Whether a word looks like a pointer is a coin toss that no branch predictor
 * wins: write the candidate down anyway and only then decide to keep it. */
INLINE void run(struct batch *batch, uint64_t at, uint64_t place, uint64_t end, uint64_t step)
{
	const uint64_t low = batch->index->low;
	const uint64_t span = batch->index->high - low + ~batch->index->mask; /* a tag leads further */
	uint64_t *values = batch->values, *places = batch->places;
	size_t count = batch->count;

	for (; place != end; place++, at += step) {
		uint64_t value;

		memcpy(&value, (const void *)(uintptr_t)at, sizeof(value));
		values[count] = value;
		places[count] = place;
		count += value - low < span;
	}
	batch->count = (unsigned)count;
}

INLINE void part(struct batch *batch, uint32_t from, uint64_t at, uint64_t end, uint64_t step)
{
	uint32_t count = end - at >= 8 ? (uint32_t)((end - at - 8) / step + 1) : 0;

	for (uint32_t place = 0, next; place < count; place = next) {
		next = count - place < RUN ? count : place + RUN;
		run(batch, at + place * step, (uint64_t)from << 32 | place, (uint64_t)from << 32 | next,
		    step);
		if (batch->count >= BATCH)
			finish(batch, step);
	}
}

INLINE void words(struct batch *batch, uint32_t from, uint64_t start, uint64_t end, uint64_t step)
{
	for (uint64_t at = (start + step - 1) & ~(step - 1); at < end; at += PART) {
		if (batch->base != at - start) {
			finish(batch, step);
			batch->base = at - start;
		}
		/* The words that begin in this part. */
		part(batch, from, at, end - at > PART ? at + PART + 8 - step : end, step);
	}
}

/* X(name, attribute) */
#define VARIANTS(X)                  \
	X(counted, ARCH_COUNTS_BITS) \
	X(plain, )

#define X(name, attribute)                                                                                   \
	attribute static void range_##name(struct batch *batch, uint32_t from, uint64_t start, uint64_t end, \
					   uint64_t step)                                                    \
	{                                                                                                    \
		words(batch, from, start, end, step);                                                        \
		finish(batch, step);                                                                         \
	}                                                                                                    \
	attribute static void blocks_##name(struct batch *batch, uint32_t first, uint32_t last)              \
	{                                                                                                    \
		const struct scan_block *blocks = batch->index->blocks;                                      \
                                                                                                             \
		for (uint32_t i = first; i < last; i++)                                                      \
			words(batch, i, blocks[i].address, blocks[i].address + blocks[i].size, 8);           \
		finish(batch, 8);                                                                            \
	}
VARIANTS(X)
#undef X

void scan_range(const struct scan_index *index, uint32_t from, const void *start, const void *end,
		scan_sink sink, void *arg)
{
	struct batch batch = {.index = index, .sink = sink, .arg = arg};

	(index->counts_bits ? range_counted : range_plain)(&batch, from, (uintptr_t)start, (uintptr_t)end,
							   index->step);
}

void scan_blocks(const struct scan_index *index, uint32_t first, uint32_t last, scan_sink sink, void *arg)
{
	struct batch batch = {.index = index, .sink = sink, .arg = arg};

	if (index->step == 8) {
		(index->counts_bits ? blocks_counted : blocks_plain)(&batch, first, last);
		return;
	}
	for (uint32_t i = first; i < last; i++) {
		const struct scan_block *block = &index->blocks[i];

		scan_range(index, i, (const void *)(uintptr_t)block->address,
			   (const void *)(uintptr_t)(block->address + block->size), sink, arg);
	}
}
