/* SPDX-License-Identifier: Apache-2.0
 *
 * Ways to the trunk that were walked before.  Runs in the target's threads at
 * nearly every event, under the guard; reads the thread's own stack only, above
 * the stack pointer.
 */
#include "unwind_replay_internal.h"

/* One that was looked at so often in vain is no longer. */
enum { FAILURES_MAX = 4 };

enum { HOLD_EARNS = 2, FAILURE_COSTS = 2, KEEP_COSTS = 1 };

static inline struct memo *memo_of(struct unwind_replay *replay, const struct stack_start *start)
{
	const uint64_t hash = (start->pc ^ start->sp << 20) * UINT64_C(0x9e3779b97f4a7c15);
	struct memo *memo = &replay->memos[hash >> (64 - MEMO_BITS)];

	/* Else the compiler computes it for every access, to have a register more. */
	__asm__("" : "+r"(memo));
	return memo;
}

static inline bool words_hold(const struct unwind_replay *replay, const struct memo *memo)
{
	const uintptr_t from = replay->low + memo->slot;
	replay_two differs = {0, 0};

	for (uint32_t i = 0; i < memo->words; i += 2)
		differs |= (replay_two){replay_word(from + 8 * (uintptr_t)memo->places[i]),
					replay_word(from + 8 * (uintptr_t)memo->places[i + 1])} ^
			   replay_both(&memo->values[i]);
	return (differs[0] | differs[1]) == 0;
}

/* Whether the trunk has the memo's base where that was. */
static __attribute__((noinline)) bool base_is_there(const struct unwind_replay *replay, struct memo *memo)
{
	const uint32_t base = memo->base;

	if (base > replay->count || replay->trunk[base].node != memo->base_node ||
	    replay->slots[base] != memo->slot + 8 * (uint32_t)memo->places[memo->frames - 1])
		return false;
	memo->shape = replay->shape;
	memo->base_checks = replay->trunk[base].check != 0;
	return true;
}

static inline bool base_holds(const struct unwind_replay *replay, const struct memo *memo)
{
	const uint32_t base = memo->base;

	if (__builtin_expect(!memo->base_checks, 1))
		return unwind_replay_same_base(replay, base);
	return (!replay_needs_bp(replay, base) || replay->bps[base].value == memo->base_bp) &&
	       unwind_replay_unchanged(replay, base) == base;
}

static inline bool holds(const struct unwind_replay *replay, struct memo *memo,
			 const struct stack_start *start)
{
	if (memo->shape != replay->shape && !base_is_there(replay, memo))
		return false;
	return words_hold(replay, memo) && (!memo->needs_bp || memo->bp == start->bp) &&
	       base_holds(replay, memo);
}

static void spend(struct unwind_replay *replay, uint32_t credit)
{
	replay->credit -= credit < replay->credit ? credit : replay->credit;
}

const struct memo *unwind_memo_follow(struct unwind_replay *replay, const struct stack_start *start)
{
	struct memo *memo = memo_of(replay, start);

	if (memo->pc != start->pc || memo->slot != replay_start(replay, start) || memo->era != replay->era)
		return NULL;
	if (__builtin_expect(holds(replay, memo, start), 1)) {
		replay->memo = memo;
		replay->wait = 1;
		memo->failures = 0;
		if (replay->credit < MEMO_CREDIT)
			replay->credit += HOLD_EARNS;
		return memo;
	}
	if (++memo->failures >= FAILURES_MAX)
		memo->era = 0;
	spend(replay, FAILURE_COSTS);
	return NULL;
}

/* One more word.  False: there is no room, or it is far away. */
static inline bool add(struct memo *memo, uint32_t slot, uintptr_t value)
{
	const uint32_t distance = slot - memo->slot;

	if (memo->words == MEMO_WORDS || distance / 8 > UINT16_MAX || distance % 8 != 0)
		return false;
	memo->places[memo->words] = (uint16_t)(distance / 8);
	memo->values[memo->words] = value;
	memo->words++;
	return true;
}

/* The memo for a way from there, with its frames, which are the trunk's by now; it is
 * none until finish().  NULL: none is kept. */
static inline struct memo *begin(struct unwind_replay *replay, const struct stack_start *start, uint32_t base,
				 uint32_t count)
{
	struct memo *memo = memo_of(replay, start);

	if (base == 0 || count == 0 || count > MEMO_WORDS)
		return NULL;
	spend(replay, KEEP_COSTS);
	memo->era = 0;
	memo->slot = (uint32_t)replay_start(replay, start);
	memo->words = 0;
	for (uint32_t i = base + count - 1; i >= base; i--)
		if (!add(memo, replay->slots[i], replay->pcs[i]))
			return NULL;
	return memo;
}

static inline void finish(const struct unwind_replay *replay, struct memo *memo,
			  const struct stack_start *start, uint32_t base, uint32_t count, uint32_t node)
{
	if (memo->words % 2 != 0) {
		memo->places[memo->words] = memo->places[memo->words - 1];
		memo->values[memo->words] = memo->values[memo->words - 1];
		memo->words++;
	}
	memo->pc = start->pc;
	memo->bp = start->bp;
	memo->era = replay->era;
	memo->base = (uint16_t)base;
	memo->base_node = replay->trunk[base].node;
	memo->shape = 0; /* not looked at yet */
	memo->node = node;
	memo->frames = (uint8_t)count;
	memo->failures = 0;
}

void unwind_memo_keep_plain(struct unwind_replay *replay, const struct stack_start *start, uint32_t base,
			    uint32_t count, uint32_t node)
{
	struct memo *memo = begin(replay, start, base, count);

	if (memo == NULL)
		return;
	memo->needs_bp = false;
	memo->base_bp = 0; /* no walk from the base on asks for it */
	finish(replay, memo, start, base, count, node);
}

void unwind_memo_keep(struct unwind_replay *replay, const struct stack_start *start, uint32_t base,
		      uint32_t count, uint32_t node)
{
	const struct fresh *fresh = replay->fresh;
	struct memo *memo = begin(replay, start, base, count);
	bool needs_bp = replay_needs_bp(replay, base);

	if (memo == NULL)
		return;
	/* From where the trunk begins up: what bp was read from, if the rest of the walk depends on it. */
	for (uint32_t i = count;; i--) {
		if (i < count)
			needs_bp = (fresh[i].flags & FRESH_NEEDS_BP) ||
				   (!(fresh[i].flags & FRESH_RESTORES_BP) && needs_bp);
		if (i == 0)
			break;
		if (!needs_bp || fresh[i].bp.slot == 0)
			continue;
		if (!add(memo, (uint32_t)(fresh[i].bp.slot - replay->low), fresh[i].bp.value))
			return;
	}
	memo->base_bp = fresh[count].bp.value;
	memo->needs_bp = needs_bp;
	finish(replay, memo, start, base, count, node);
}
