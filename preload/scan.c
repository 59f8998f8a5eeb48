/* SPDX-License-Identifier: Apache-2.0
 *
 * The scan of a snapshot.  Runs in the snapshot child, on a copy of the
 * target's memory that nobody changes.
 *
 * Blocks that lie side by side are read as one run of words, whatever is between
 * them: a loop per block would end where no branch predictor expects it.  Words
 * that point outside of all blocks are passed over at once.  The others are
 * classified in groups, step by step (which word of the index; which block could
 * it be; is it inside), because each step is a cache miss on a large heap and a
 * group lets the misses overlap, with each other and with the next group.  What
 * goes from step to step is in arrays of single words: structures, written in
 * parts and copied as a whole, would have the processor wait for its own stores.
 */
#include "scan.h"

#include <string.h>

#include "arch.h"
#include "scan_internal.h"

#define BATCH 192 /* when so many are known they are handed over */
#define GROUP 32  /* when so many wait for the memory it has given what they need */
#define RUN   128 /* words that are read without counting how many wait */
/* Less than a page: what is between two blocks that can be read can be read. */
#define GAP 256u

struct batch {
	const struct scan_index *index;
	scan_sink sink;
	void *arg;
	/* Of a range the start and what it is; of blocks nothing: they are found. */
	uint64_t start;
	uint32_t from;
	unsigned count;         /* of what looks like a pointer */
	unsigned found;         /* so many have their block */
	unsigned other, others; /* of those that point to no start: the next to look at, all */
	uint32_t places[RUN + ARCH_FILTER_SPARE]; /* of the words that look like pointers */
	/* What looks like a pointer, where it stands, in which block if in any; the
	 * index's word for it, the block that it points to and how far into it. */
	uint64_t values[BATCH + RUN], at[BATCH + RUN];
	uint32_t holders[BATCH + RUN];
	const struct scan_word *words[BATCH + RUN];
	uint32_t blocks[BATCH + RUN];
	uint64_t interior[BATCH + RUN];
	uint16_t not_starts[BATCH + RUN];
	struct scan_hit hits[BATCH + RUN];
};

static const struct scan_word s_nothing; /* what no block reaches */

/* Whether a word looks like a pointer is a coin toss that no branch predictor
 * wins: write the candidate down anyway and only then decide to keep it. */
SCAN_INLINE uint32_t filter(uint64_t at, uint32_t count, uint64_t low, uint64_t span, uint32_t *places,
			    uint64_t step)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < count; i++, at += step) {
		uint64_t value;

		memcpy(&value, (const void *)(uintptr_t)at, sizeof(value));
		places[found] = i;
		found += value - low < span;
	}
	return found;
}

/* `own`: the index's word for what is at `at` and behind. */
SCAN_INLINE void find_words(struct batch *batch, uint64_t at, uint32_t found, const struct scan_word own,
			    uint64_t step)
{
	const struct scan_index *index = batch->index;

	for (uint32_t i = 0; i < found; i++) {
		const unsigned n = batch->count + i;
		const uint64_t place = at + batch->places[i] * step;
		const struct scan_word *region, *word;
		uint64_t value;

		memcpy(&value, (const void *)(uintptr_t)place, sizeof(value));
		value &= index->mask;
		region = index->regions[value >> SCAN_REGION_BITS];
		word = region + scan_word_of(index, value);
		word = region != NULL ? word : &s_nothing;
		__builtin_prefetch(word);
		batch->words[n] = word;
		batch->values[n] = value;
		batch->at[n] = place;
		batch->holders[n] = scan_rank(&own, place >> index->granule_bits) - 1;
	}
	batch->count += found;
}

/* A pointer to a block's start needs no look at the block: its bit says it all.
 * For others the nearest bit tells how far into the block they would be, if it is
 * in the same word, and its size whether it is.  Otherwise the block is looked at. */
SCAN_INLINE void find_blocks(struct batch *batch, unsigned end)
{
	const uint16_t *sizes = batch->index->sizes;
	const uint32_t bits = batch->index->granule_bits;
	const uint64_t low = (UINT64_C(1) << bits) - 1;
	const unsigned first = batch->others;
	unsigned others = first;

	for (unsigned i = batch->found; i < end; i++) {
		const struct scan_word *word = batch->words[i];
		const uint64_t value = batch->values[i];
		/* Its own comes first then. */
		const uint64_t starts = word->starts << (~(value >> bits) & 63);
		const uint64_t granules = starts ? (uint64_t)__builtin_clzll(starts) : 64;
		const uint64_t interior = (granules << bits) + (value & low);

		batch->blocks[i] = word->before + (uint32_t)__builtin_popcountll(starts) - 1;
		batch->interior[i] = interior;
		batch->not_starts[others] = (uint16_t)i;
		others += interior != 0;
	}
	for (unsigned i = first; i < others; i++) {
		const unsigned n = batch->not_starts[i];
		const uint32_t block = batch->blocks[n];
		const void *near = &sizes[block], *far = &batch->index->blocks[block];

		__builtin_prefetch(batch->interior[n] >> (bits + SCAN_WORD_BITS) ? far : near);
	}
	batch->found = end;
	batch->others = others;
}

/* Of one whose block starts in another word, if there is any. */
static void look_at_block(struct batch *batch, unsigned n)
{
	const uint32_t block = batch->blocks[n];
	const struct scan_block *at = &batch->index->blocks[block];

	if (block != SCAN_NONE && scan_inside(at, batch->values[n]))
		batch->interior[n] = batch->values[n] - at->address;
	else
		batch->blocks[n] = SCAN_NONE;
}

SCAN_INLINE void look_inside(struct batch *batch)
{
	const uint16_t *sizes = batch->index->sizes;
	const uint64_t far = UINT64_C(64) << batch->index->granule_bits;

	for (unsigned i = batch->other; i < batch->others; i++) {
		const unsigned n = batch->not_starts[i];
		const uint64_t interior = batch->interior[n];

		if (interior >= far)
			look_at_block(batch, n);
		else if (interior >= sizes[batch->blocks[n]])
			batch->blocks[n] = SCAN_NONE;
	}
	batch->other = batch->others;
}

/* What each step asked the memory for has come by the next time. */
SCAN_INLINE void advance(struct batch *batch, unsigned end)
{
	look_inside(batch);
	find_blocks(batch, end);
}

/* What lies between blocks is nobody's, and neither is a word that a block ends
 * in. */
SCAN_INLINE void finish(struct batch *batch)
{
	const struct scan_block *blocks = batch->index->blocks;
	const bool is_range = batch->from != SCAN_NONE;
	size_t kept = 0;

	advance(batch, batch->count);
	look_inside(batch);
	for (unsigned i = 0; i < batch->count; i++) {
		struct scan_hit *hit = &batch->hits[kept];
		const uint32_t from = batch->holders[i], to = batch->blocks[i];
		const uint64_t offset = batch->at[i] - (is_range ? batch->start : blocks[from].address);

		hit->from = from;
		hit->to = to;
		hit->offset = offset;
		hit->interior = batch->interior[i];
		kept += (is_range || offset + 8 <= blocks[from].size) & (to != SCAN_NONE);
	}
	if (kept > 0)
		batch->sink(batch->arg, batch->hits, kept);
	batch->count = batch->found = batch->other = batch->others = 0;
}

/* How many words begin before the end of this one of the index. */
SCAN_INLINE uint64_t in_word(const struct scan_index *index, uint64_t at, uint64_t step)
{
	const uint64_t bytes = UINT64_C(1) << (index->granule_bits + SCAN_WORD_BITS);

	return (bytes - (at & (bytes - 1)) + step - 1) / step;
}

/* Words that begin at multiples of step and end before `end`. */
SCAN_INLINE void words(struct batch *batch, uint64_t at, uint64_t end, uint64_t step)
{
	const struct scan_index *index = batch->index;
	const uint64_t span = index->high - index->low + ~index->mask; /* a tag leads further */
	struct scan_word own = {.before = batch->from + 1};
	uint64_t left;

	at = (at + step - 1) & ~(step - 1);
	left = at < end && end - at >= 8 ? (end - at - 8) / step + 1 : 0;
	while (left > 0) {
		uint32_t count = left < RUN ? (uint32_t)left : RUN, found;

		if (batch->from == SCAN_NONE) {
			const uint64_t most = in_word(index, at, step);

			own = index->regions[at >> SCAN_REGION_BITS][scan_word_of(index, at)];
			count = count < most ? count : (uint32_t)most;
		}
		if (step == 8 && index->filter != NULL)
			found = index->filter((const void *)(uintptr_t)at, count, index->low, span,
					      batch->places);
		else
			found = filter(at, count, index->low, span, batch->places, step);
		if (batch->count - batch->found >= GROUP)
			advance(batch, batch->count);
		find_words(batch, at, found, own, step);
		if (batch->count >= BATCH)
			finish(batch);
		left -= count;
		at += count * step;
	}
}

/* The first block after `first` that does not lie beside the one before it. */
SCAN_INLINE uint32_t beside(const struct scan_index *index, uint32_t first, uint32_t last)
{
	const struct scan_block *blocks = index->blocks;

	if (blocks[first].size == 0)
		return first + 1;
	do
		first++;
	while (first < last && blocks[first].size > 0 &&
	       blocks[first].address - blocks[first - 1].address - blocks[first - 1].size < GAP);
	return first;
}

SCAN_INLINE void range(struct batch *batch, uint64_t start, uint64_t end)
{
	const uint64_t step = batch->index->step;

	if (step == 8) /* compiled for it */
		words(batch, start, end, 8);
	else
		words(batch, start, end, step);
}

SCAN_INLINE void blocks(struct batch *batch, uint32_t first, uint32_t last)
{
	const struct scan_block *block = batch->index->blocks;

	for (uint32_t next; first < last; first = next) {
		next = beside(batch->index, first, last);
		range(batch, block[first].address, block[next - 1].address + block[next - 1].size);
	}
}

/* X(name, attribute) */
#define VARIANTS(X)        \
	X(fast, ARCH_FAST) \
	X(plain, )

#define X(name, attribute)                                                                      \
	attribute static void range_##name(struct batch *batch, uint64_t start, uint64_t end)   \
	{                                                                                       \
		range(batch, start, end);                                                       \
		finish(batch);                                                                  \
	}                                                                                       \
	attribute static void blocks_##name(struct batch *batch, uint32_t first, uint32_t last) \
	{                                                                                       \
		blocks(batch, first, last);                                                     \
		finish(batch);                                                                  \
	}
VARIANTS(X)
#undef X

/* Not all of it set to zero, which would cost more than a short range. */
static void begin(struct batch *batch, const struct scan_index *index, scan_sink sink, void *arg)
{
	batch->index = index;
	batch->sink = sink;
	batch->arg = arg;
	batch->start = 0;
	batch->from = SCAN_NONE;
	batch->count = batch->found = batch->other = batch->others = 0;
}

void scan_range(const struct scan_index *index, uint32_t from, const void *start, const void *end,
		scan_sink sink, void *arg)
{
	struct batch batch;

	begin(&batch, index, sink, arg);
	batch.start = (uintptr_t)start;
	batch.from = from;
	(index->filter ? range_fast : range_plain)(&batch, (uintptr_t)start, (uintptr_t)end);
}

void scan_blocks(const struct scan_index *index, uint32_t first, uint32_t last, scan_sink sink, void *arg)
{
	struct batch batch;

	begin(&batch, index, sink, arg);
	(index->filter ? blocks_fast : blocks_plain)(&batch, first, last);
}
