/* SPDX-License-Identifier: Apache-2.0
 *
 * Replays the last walk of a thread.  Runs in the target's threads at nearly
 * every event, under the guard; reads the thread's own stack only, between the
 * stack pointer and the stack's end.  This is where most of the tracer's time
 * goes: what is read at every event is kept together, and no structure is
 * copied whole, since a wide load of what was just stored in parts must wait.
 */
#include "unwind_replay_internal.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "arch.h"
#include "arena.h"
#include "maps.h"
#include "modules.h"
#include "rawio.h"
#include "unwind_rules.h"

struct unwind_replay *unwind_replay_new(uint32_t depth)
{
	const size_t count = (size_t)depth + 1;
	struct unwind_replay *replay;

	if (!unwind_rules_init())
		return NULL;
	replay = arena_map(sizeof(*replay) +
			   count * (sizeof(struct seen) + sizeof(struct fresh) + sizeof(struct bp) +
				    sizeof(struct trunk)) +
			   (sizeof(struct memo) << MEMO_BITS));
	if (replay == NULL)
		return NULL;
	replay->depth = depth;
	replay->fresh = (struct fresh *)(replay->seen + count);
	replay->bps = (struct bp *)(replay->fresh + count);
	replay->memos = (struct memo *)(replay->bps + count);
	replay->trunk = (struct trunk *)(replay->memos + ((size_t)1 << MEMO_BITS));
	replay->seen[0].slot = UINTPTR_MAX;
	return replay;
}

/* The stack of a thread ends at its descriptor (glibc puts it there) or with
 * its mapping; the first thread's grows down as far as its limit lets it. */
static __attribute__((noinline, cold)) void find_stack(struct unwind_replay *replay, uintptr_t sp)
{
	struct maps_entry entry;
	struct rlimit limit;
	uintptr_t descriptor = arch_thread_pointer();

	replay->low = 0;
	replay->high = 1; /* no stack at all, but known */
	if (!maps_read_one(sp, &entry))
		return;
	if (entry.kind == MAPS_STACK) {
		replay->high = entry.end;
		if (RAW_CALL(SYS_prlimit64, 0, RLIMIT_STACK, NULL, &limit) == 0 && limit.rlim_cur < entry.end)
			replay->low = entry.end - limit.rlim_cur;
		if (replay->low == 0 || replay->low > entry.start)
			replay->low = entry.start;
	} else if (descriptor > sp && descriptor < entry.end && entry.kind == MAPS_ANONYMOUS) {
		replay->low = entry.start;
		replay->high = descriptor;
	}
}

static void forget(struct unwind_replay *replay)
{
	replay->count = 0;
	replay->era++;
}

static inline bool own_stack(struct unwind_replay *replay, uintptr_t sp)
{
	const uintptr_t descriptor = arch_thread_pointer();

	/* The state of a thread that has ended goes to another one, and what was
	 * its stack may be gone. */
	if (__builtin_expect(replay->descriptor != descriptor, 0)) {
		replay->descriptor = descriptor;
		forget(replay);
		find_stack(replay, sp);
	}
	return sp >= replay->low && sp < replay->high && !(sp & 7);
}

/* Of frames [1, last] of the trunk: how many, from the bottom, have what they
 * were arrived at by. */
static uint32_t same(const struct seen *seen, uint32_t last)
{
	uint32_t i = 1;

	while (i <= last && replay_difference(&seen[i]) == 0)
		i++;
	return i - 1;
}

static inline uintptr_t differences(const struct seen *seen)
{
	return (replay_difference(&seen[0]) | replay_difference(&seen[1]) | replay_difference(&seen[2]) |
		replay_difference(&seen[3])) |
	       (replay_difference(&seen[4]) | replay_difference(&seen[5]) | replay_difference(&seen[6]) |
		replay_difference(&seen[7]));
}

/* True when that is all of them.  No branch for each: mostly it is, and how
 * many there are changes from event to event; a last group overlaps. */
static inline bool all_same(const struct seen *seen, uint32_t last)
{
	uintptr_t differs = 0;
	uint32_t i = 1;

	if (last < 8) {
		for (; i <= last; i++)
			differs |= replay_difference(&seen[i]);
		return differs == 0;
	}
	for (; i + 7 <= last; i += 8)
		differs |= differences(&seen[i]);
	if (i <= last)
		differs |= differences(&seen[last - 7]);
	return differs == 0;
}

static inline uint32_t unchanged(const struct unwind_replay *replay, uint32_t base)
{
	const struct trunk *trunk = replay->trunk;
	uint32_t last = base, check;

	if (__builtin_expect(!all_same(replay->seen, base), 0))
		last = same(replay->seen, base);
	/* What bp is at the last one itself is compared on arrival. */
	check = trunk[last].check & ~TRUNK_NEEDS_BP;
	if (__builtin_expect(check == 0, 1))
		return last;
	if (check == last)
		check = trunk[last - 1].check & ~TRUNK_NEEDS_BP;
	for (; check > 0; check = trunk[check - 1].check & ~TRUNK_NEEDS_BP)
		if (replay_word(replay->bps[check].slot) != replay->bps[check].value)
			last = check - 1;
	return last;
}

uint32_t unwind_replay_unchanged(const struct unwind_replay *replay, uint32_t base)
{
	return unchanged(replay, base);
}

/* ---- walking ---------------------------------------------------------------------- */

enum step { STEP_ON, STEP_END, STEP_BEYOND };

/* From a frame to its caller; `slot` and what follows are the frame's, and
 * become its caller's. */
struct cursor {
	uintptr_t slot, pc;
	struct bp bp;
};

static inline __attribute__((always_inline)) enum step step(uintptr_t high, struct cfi_rule rule,
							    struct cursor *at)
{
	const uintptr_t sp = at->slot + 8;
	const uintptr_t cfa = (rule.base_is_bp ? at->bp.value : sp) + (uintptr_t)(intptr_t)rule.cfa_offset;

	if (__builtin_expect(rule.kind != CFI_STEP, 0))
		return rule.kind == CFI_END ? STEP_END : STEP_BEYOND;
	if (cfa <= sp || cfa > high || cfa & 7)
		return STEP_BEYOND;
	at->bp.slot = 0;
	if (rule.bp_offset) {
		at->bp.slot = cfa + (uintptr_t)(intptr_t)rule.bp_offset;
		/* Outside of this frame it would not be its caller's. */
		if (at->bp.slot < at->slot || at->bp.slot >= cfa)
			return STEP_BEYOND;
		at->bp.value = replay_word(at->bp.slot);
	}
	at->slot = cfa - 8;
	at->pc = replay_word(at->slot);
	return at->pc ? STEP_ON : STEP_END;
}

static inline void put(struct fresh *fresh, const struct cursor *at)
{
	fresh->slot = at->slot;
	fresh->pc = at->pc;
	fresh->bp.value = at->bp.value;
	fresh->bp.slot = at->bp.slot;
}

struct walked {
	uint32_t meets, count; /* frames of the trunk that stay, and fresh ones above */
	bool uses_bp;          /* one of the fresh ones does */
};

/* Walks from the innermost frame until it meets the trunk or the end of the
 * stack.  What of the trunk lies under the stack pointer is no longer the
 * stack's, and is not even read. */
static inline __attribute__((always_inline)) bool walk(struct unwind_replay *replay,
						       const struct stack_start *start, struct walked *ret)
{
	struct cursor at = {start->sp - 8, start->pc, {start->bp, 0}};
	struct fresh *fresh = replay->fresh, *const end = fresh + replay->depth;
	const struct seen *seen = replay->seen;
	enum step result = STEP_ON;
	uint32_t known = replay->count;
	bool checked = false;

	ret->uses_bp = false;
	for (; result == STEP_ON; fresh++) {
		struct cfi_rule rule;

		while (seen[known].slot < at.slot) /* [0] ends it */
			known--;
		if (seen[known].slot == at.slot && seen[known].pc == at.pc &&
		    (!replay_needs_bp(replay, known) || replay->bps[known].value == at.bp.value)) {
			const uint32_t stays = checked ? known : unchanged(replay, known);

			if (stays == known)
				break;
			known = stays;
			checked = true;
		}
		if (fresh == end)
			return false;
		rule = unwind_rules_find(at.pc, replay->epoch);
		put(fresh, &at);
		fresh->flags = (rule.base_is_bp ? FRESH_NEEDS_BP : 0) |
			       (rule.bp_offset != 0 ? FRESH_RESTORES_BP : 0);
		ret->uses_bp |= rule.base_is_bp;
		result = step(replay->high, rule, &at);
	}
	/* Where they meet, as arrived at from above. */
	put(fresh, &at);
	ret->meets = result == STEP_ON ? known : 0;
	ret->count = (uint32_t)(fresh - replay->fresh);
	return result != STEP_BEYOND && ret->meets + ret->count <= replay->depth;
}

/* A frame depends on bp if its own step does, or if it hands bp on unchanged to
 * one that does. */
static __attribute__((noinline)) void adopt_bps(struct unwind_replay *replay, const struct walked *walked)
{
	uint32_t known = walked->meets, count = walked->count;
	uint32_t needs_bp = replay->trunk[known].check & TRUNK_NEEDS_BP, check;

	/* It was arrived at from another frame. */
	if (needs_bp) {
		replay->bps[known].slot = replay->fresh[count].bp.slot;
		check = replay->bps[known].slot ? known : replay->trunk[known - 1].check;
		replay->trunk[known].check = (check & ~TRUNK_NEEDS_BP) | TRUNK_NEEDS_BP;
	}
	check = replay->trunk[known].check & ~TRUNK_NEEDS_BP;
	while (count > 0) {
		const struct fresh *fresh = &replay->fresh[--count];

		known++;
		if (fresh->flags & FRESH_NEEDS_BP)
			needs_bp = TRUNK_NEEDS_BP;
		else if (fresh->flags & FRESH_RESTORES_BP)
			needs_bp = 0;
		if (needs_bp && fresh->bp.slot)
			check = known;
		replay->bps[known].value = fresh->bp.value;
		replay->bps[known].slot = fresh->bp.slot;
		replay->trunk[known].check = check | needs_bp;
	}
}

/* The fresh frames become the trunk above the frame that they met. */
static inline uint32_t adopt(struct unwind_replay *replay, const struct walked *walked)
{
	uint32_t known = walked->meets, count = walked->count;
	uint32_t node = replay->trunk[known].node;
	const uint32_t check = replay->trunk[known].check;
	const bool bps = walked->uses_bp || check & TRUNK_NEEDS_BP;

	while (count > 0) {
		const struct fresh *fresh = &replay->fresh[--count];
		struct seen *seen = &replay->seen[++known];

		seen->slot = fresh->slot;
		seen->pc = fresh->pc;
		node = stack_tree_native(node, fresh->pc);
		replay->trunk[known].node = node;
		replay->trunk[known].check = check;
		if (__builtin_expect(!node, 0)) {
			replay->count = 0;
			return 0;
		}
	}
	if (__builtin_expect(bps, 0))
		adopt_bps(replay, walked);
	replay->count = known;
	return node;
}

bool unwind_replay_capture(struct unwind_replay *replay, const struct stack_start *start, uint32_t *ret)
{
	const uint32_t epoch = modules_epoch();
	struct walked walked;
	bool memo;

	if (!own_stack(replay, start->sp))
		return false;
	if (__builtin_expect(replay->epoch != epoch, 0)) {
		replay->epoch = epoch;
		forget(replay);
	}
	memo = unwind_memo_wanted(replay);
	if (memo && unwind_memo_follow(replay, start, ret))
		return true;
	replay->memo = NULL;
	if (!walk(replay, start, &walked)) {
		replay->count = 0;
		return false;
	}
	*ret = adopt(replay, &walked);
	if (memo && *ret != 0)
		unwind_memo_keep(replay, start, walked.meets, walked.count, *ret);
	return true;
}

size_t unwind_replay_depth(const struct unwind_replay *replay)
{
	const struct memo *memo = replay->memo;

	return memo != NULL ? memo->base + memo->frames : replay->count;
}

size_t unwind_replay_last(const struct unwind_replay *replay, uintptr_t *pcs, size_t max)
{
	const struct memo *memo = replay->memo;
	const size_t above = memo != NULL ? memo->frames : 0;
	const size_t base = memo != NULL ? memo->base : replay->count;
	size_t count = 0;

	for (; count < above && count < max; count++)
		pcs[count] = count == 0 ? memo->pc : memo->seen[count - 1].pc;
	for (; count < above + base && count < max; count++)
		pcs[count] = replay->seen[base - (count - above)].pc;
	return count;
}
