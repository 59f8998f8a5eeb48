/* SPDX-License-Identifier: Apache-2.0
 *
 * The scan of a snapshot.  Runs in the snapshot child, on a copy of the
 * target's memory that nobody changes.
 *
 * Words are classified in batches of three steps (is there a bitmap word; which
 * block could it be; is it inside), because each step is a cache miss on a
 * large heap and a batch lets the misses overlap.
 */
#include "scan.h"

#include <string.h>

#include "arena.h"

#define REGION_BITS  30
#define REGION_COUNT (1u << (47 - REGION_BITS))
#define WORD_BITS    9 /* address bits that one bitmap word covers: 64 starts, 8 bytes apart */
#define REGION_WORDS (1u << (REGION_BITS - WORD_BITS))
#define BATCH        64

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
	index->blocks[index->count++] =
		(struct scan_block){.address = address, .size = size & SCAN_SIZE_MASK, .runtime = runtime};
	return true;
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
static uint32_t rank(const struct scan_word *word, uint64_t address)
{
	uint64_t upto = ~UINT64_C(0) >> (63 - (address >> 3 & 63));

	return word->before + (uint32_t)__builtin_popcountll(word->starts & upto);
}

static bool inside(const struct scan_block *block, uint64_t address)
{
	return address - block->address < (block->size ? block->size : 1);
}

uint32_t scan_find(const struct scan_index *index, uintptr_t address)
{
	const struct scan_word *word = lookup(index, address);
	uint32_t blocks = word ? rank(word, address) : 0;

	return blocks && inside(&index->blocks[blocks - 1], address) ? blocks - 1 : SCAN_NONE;
}

struct candidate {
	uint64_t value, offset;
	const struct scan_word *word;
	uint32_t from, block;
	bool start;
};

struct batch {
	const struct scan_index *index;
	scan_sink sink;
	void *arg;
	unsigned count;
	struct candidate candidates[BATCH];
};

/* A pointer to a block's start needs no look at the block: its bit says it all. */
static bool at_start(const struct candidate *c)
{
	return !(c->value & 7) && c->word->starts >> (c->value >> 3 & 63) & 1;
}

static void finish(struct batch *batch)
{
	const struct scan_block *blocks = batch->index->blocks;

	for (unsigned i = 0; i < batch->count; i++) {
		struct candidate *c = &batch->candidates[i];

		c->word += c->value >> WORD_BITS & (REGION_WORDS - 1);
		__builtin_prefetch(c->word);
	}
	for (unsigned i = 0; i < batch->count; i++) {
		struct candidate *c = &batch->candidates[i];

		c->block = rank(c->word, c->value);
		c->start = at_start(c);
		if (c->block && !c->start)
			__builtin_prefetch(&blocks[c->block - 1]);
	}
	for (unsigned i = 0; i < batch->count; i++) {
		const struct candidate *c = &batch->candidates[i];
		struct scan_hit hit = {c->from, c->block - 1, c->offset, 0};

		if (!c->block)
			continue;
		if (!c->start) {
			if (!inside(&blocks[c->block - 1], c->value))
				continue;
			hit.interior = c->value - blocks[c->block - 1].address;
		}
		batch->sink(batch->arg, &hit);
	}
	batch->count = 0;
}

static void words(struct batch *batch, uint32_t from, uint64_t start, uint64_t end)
{
	uint64_t first = (start + 7) & ~UINT64_C(7);

	/* Whether a word looks like a pointer is a coin toss that no branch predictor
	 * wins: write the candidate down anyway and only then decide to keep it. */
	for (uint64_t at = first; at + 8 <= end; at += 8) {
		uint64_t value = *(const uint64_t *)(uintptr_t)at;
		uint64_t region = value >> REGION_BITS;
		struct candidate *c = &batch->candidates[batch->count];

		region = region < REGION_COUNT ? region : REGION_COUNT;
		c->value = value;
		c->offset = at - start;
		c->from = from;
		c->word = batch->index->regions[region];
		batch->count += c->word != NULL;
		if (batch->count == BATCH)
			finish(batch);
	}
}

void scan_range(const struct scan_index *index, uint32_t from, const void *start, const void *end,
		scan_sink sink, void *arg)
{
	struct batch batch = {.index = index, .sink = sink, .arg = arg};

	words(&batch, from, (uintptr_t)start, (uintptr_t)end);
	finish(&batch);
}

void scan_blocks(const struct scan_index *index, uint32_t first, uint32_t last, scan_sink sink, void *arg)
{
	struct batch batch = {.index = index, .sink = sink, .arg = arg};

	for (uint32_t i = first; i < last; i++)
		words(&batch, i, index->blocks[i].address, index->blocks[i].address + index->blocks[i].size);
	finish(&batch);
}
