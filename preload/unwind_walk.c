/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks anew what has changed of a thread's stack, whatever the rules need.  Runs in
 * the target's threads, under the guard; reads the thread's own stack only, above
 * the stack pointer.
 */
#include "unwind_replay_internal.h"

#include "unwind_rules.h"

enum step { STEP_ON, STEP_END, STEP_BEYOND };

/* From a frame to its caller; `slot` and what follows are the frame's, and
 * become its caller's. */
struct cursor {
	uintptr_t slot, pc;
	struct bp bp;
};

static inline enum step step(uintptr_t high, struct cfi_rule rule, struct cursor *at)
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
static bool walk(struct unwind_replay *replay, const struct stack_start *start, struct walked *ret)
{
	struct cursor at = {start->sp - 8, start->pc, {start->bp, 0}};
	struct fresh *fresh = replay->fresh, *const end = fresh + replay->depth;
	const uintptr_t low = replay->low, high = low + replay->size;
	enum step result = STEP_ON;
	uint32_t known = replay->count;
	bool checked = false;

	ret->uses_bp = false;
	for (; result == STEP_ON; fresh++) {
		struct cfi_rule rule;

		while (replay->slots[known] < at.slot - low) /* [0] ends it */
			known--;
		if (replay->slots[known] == at.slot - low && replay->pcs[known] == at.pc &&
		    (!replay_needs_bp(replay, known) || replay->bps[known].value == at.bp.value)) {
			const uint32_t stays = checked ? known : unwind_replay_unchanged(replay, known);

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
		result = step(high, rule, &at);
	}
	/* Where they meet, as arrived at from above. */
	put(fresh, &at);
	ret->meets = result == STEP_ON ? known : 0;
	ret->count = (uint32_t)(fresh - replay->fresh);
	return result != STEP_BEYOND && ret->meets + ret->count <= replay->depth;
}

/* A frame depends on bp if its own step does, or if it hands bp on unchanged to
 * one that does. */
static void adopt_bps(struct unwind_replay *replay, const struct walked *walked)
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
static uint32_t adopt(struct unwind_replay *replay, const struct walked *walked)
{
	uint32_t known = walked->meets, count = walked->count;
	uint32_t node = replay->trunk[known].node;
	const uint32_t check = replay->trunk[known].check;
	const bool bps = walked->uses_bp || check & TRUNK_NEEDS_BP;

	while (count > 0) {
		const struct fresh *fresh = &replay->fresh[--count];

		known++;
		replay->slots[known] = (uint32_t)(fresh->slot - replay->low);
		replay->pcs[known] = fresh->pc;
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

uint32_t unwind_walk(struct unwind_replay *replay, const struct stack_start *start, bool keep)
{
	struct walked walked;
	uint32_t node;

	if (!walk(replay, start, &walked)) {
		replay->count = 0;
		return 0;
	}
	node = adopt(replay, &walked);
	if (keep && node != 0)
		unwind_memo_keep(replay, start, walked.meets, walked.count, node);
	return node;
}
