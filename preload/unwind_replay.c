/* SPDX-License-Identifier: Apache-2.0
 *
 * Replays the last walk of a thread.  Runs in the target's threads at nearly
 * every event, under the guard; reads the thread's own stack only, between the
 * stack pointer and the stack's end.  This is where most of the tracer's time
 * goes: what is read at every event is kept together, and no structure is
 * copied whole, since a wide load of what was just stored in parts must wait.
 */
#include "unwind_replay.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "arch.h"
#include "arena.h"
#include "maps.h"
#include "modules.h"
#include "rawio.h"
#include "unwind_rules.h"

/* ---- a thread's part ------------------------------------------------------------ */

/* What the walk read to get to a frame: where it continues. */
struct seen {
	uintptr_t slot, pc; /* pc was at slot */
};

struct rest {
	uintptr_t bp, bp_slot; /* bp_slot 0: bp is as it was in the frame above */
	uint32_t node;
	uint32_t check; /* the innermost frame up to this one that depends on a bp_slot, 0 = none */
	bool needs_bp;  /* the walk from here on depends on bp */
};

/* A frame that was walked anew. */
struct fresh {
	uintptr_t slot, pc, bp, bp_slot;
	bool needs_bp;    /* its own step does */
	bool restores_bp; /* the step reads it from the stack */
};

struct unwind_replay {
	uintptr_t low, high;  /* the thread's own stack */
	uintptr_t descriptor; /* of the thread whose stack that is */
	uint32_t epoch, depth;
	uint32_t count;      /* frames of the last walk, from index 1 on */
	struct fresh *fresh; /* scratch, innermost first */
	struct rest *rest;
	struct seen seen[]; /* outermost first; [0] is above every stack */
};

struct unwind_replay *unwind_replay_new(uint32_t depth)
{
	const size_t count = (size_t)depth + 1;
	struct unwind_replay *replay;

	if (!unwind_rules_init())
		return NULL;
	replay = arena_map(sizeof(*replay) +
			   count * (sizeof(struct seen) + sizeof(struct rest) + sizeof(struct fresh)));
	if (replay == NULL)
		return NULL;
	replay->depth = depth;
	replay->rest = (struct rest *)(replay->seen + count);
	replay->fresh = (struct fresh *)(replay->rest + count);
	replay->seen[0].slot = UINTPTR_MAX;
	return replay;
}

/* The stack of a thread ends at its descriptor (glibc puts it there) or with
 * its mapping; the first thread's grows down as far as its limit lets it. */
static void find_stack(struct unwind_replay *replay, uintptr_t sp)
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

static bool own_stack(struct unwind_replay *replay, uintptr_t sp)
{
	const uintptr_t descriptor = arch_thread_pointer();

	/* The state of a thread that has ended goes to another one, and what was
	 * its stack may be gone. */
	if (replay->descriptor != descriptor) {
		replay->descriptor = descriptor;
		replay->count = 0;
		find_stack(replay, sp);
	}
	return sp >= replay->low && sp < replay->high && !(sp & 7);
}

/* Anywhere in the stack, whatever a sanitizer thinks of the place. */
static inline __attribute__((no_sanitize("address"))) uintptr_t word(uintptr_t address)
{
	return *(const uintptr_t *)address;
}

/* 0 when the walk would arrive at the frame as it did. */
static uintptr_t difference(const struct seen *seen)
{
	return word(seen->slot) ^ seen->pc;
}

/* How many frames, from the bottom, a walk would still arrive at and leave in
 * the same way, if it came to the last of them.  What lies under `slot` is no
 * longer the stack's, and is not even read. */
static uint32_t unchanged(const struct unwind_replay *replay, uintptr_t slot)
{
	const struct seen *seen = replay->seen;
	uint32_t last = replay->count, i = 1;

	while (last > 0 && seen[last].slot < slot)
		last--;
	/* Four at a time: most stacks differ in their innermost frames only. */
	while (i + 3 <= last && (difference(&seen[i]) | difference(&seen[i + 1]) | difference(&seen[i + 2]) |
				 difference(&seen[i + 3])) == 0)
		i += 4;
	while (i <= last && difference(&seen[i]) == 0)
		i++;
	last = i - 1;
	/* When the frame above the last is gone, the bp that it had saved was
	 * restored, and is compared where the walk arrives. */
	for (i = replay->rest[last].check; i > 0; i = replay->rest[i - 1].check)
		if (replay->rest[i].bp_slot >= slot && word(replay->rest[i].bp_slot) != replay->rest[i].bp)
			last = i - 1;
	return last;
}

enum step { STEP_ON, STEP_END, STEP_BEYOND };

/* From a frame to its caller; `slot` and what follows are the frame's, and
 * become its caller's. */
struct cursor {
	uintptr_t slot, pc, bp, bp_slot;
};

static inline __attribute__((always_inline)) enum step step(uintptr_t high, struct cfi_rule rule,
							    struct cursor *at)
{
	const uintptr_t sp = at->slot + 8;
	const uintptr_t cfa = (rule.base_is_bp ? at->bp : sp) + (uintptr_t)(intptr_t)rule.cfa_offset;

	if (__builtin_expect(rule.kind != CFI_STEP, 0))
		return rule.kind == CFI_END ? STEP_END : STEP_BEYOND;
	if (cfa <= sp || cfa > high || cfa & 7)
		return STEP_BEYOND;
	at->bp_slot = 0;
	if (rule.bp_offset) {
		at->bp_slot = cfa + (uintptr_t)(intptr_t)rule.bp_offset;
		/* Outside of this frame it would not be its caller's. */
		if (at->bp_slot < at->slot || at->bp_slot >= cfa)
			return STEP_BEYOND;
		at->bp = word(at->bp_slot);
	}
	at->slot = cfa - 8;
	at->pc = word(at->slot);
	return at->pc ? STEP_ON : STEP_END;
}

/* Walks from the innermost frame until it meets one of the `known` frames at
 * the bottom (*meets: how many of them stay) or the end of the stack. */
static inline __attribute__((always_inline)) bool walk(struct unwind_replay *replay,
						       const struct stack_start *start, uint32_t known,
						       uint32_t *meets, uint32_t *count)
{
	struct cursor at = {start->sp - 8, start->pc, start->bp, 0};
	struct fresh *fresh = replay->fresh, *const end = fresh + replay->depth;
	enum step result = STEP_ON;

	for (; result == STEP_ON; fresh++) {
		struct cfi_rule rule;

		while (replay->seen[known].slot < at.slot) /* [0] ends it */
			known--;
		if (replay->seen[known].slot == at.slot && replay->seen[known].pc == at.pc &&
		    (!replay->rest[known].needs_bp || replay->rest[known].bp == at.bp))
			break;
		if (fresh == end)
			return false;
		rule = unwind_rules_find(at.pc, replay->epoch);
		fresh->slot = at.slot;
		fresh->pc = at.pc;
		fresh->bp = at.bp;
		fresh->bp_slot = at.bp_slot;
		fresh->needs_bp = rule.base_is_bp;
		fresh->restores_bp = rule.bp_offset != 0;
		result = step(replay->high, rule, &at);
	}
	*meets = result == STEP_ON ? known : 0;
	*count = (uint32_t)(fresh - replay->fresh);
	return result != STEP_BEYOND && *meets + *count <= replay->depth;
}

/* Appends the fresh frames to the known ones.  A frame depends on bp if its own
 * step does, or if it hands bp on unchanged to one that does. */
static uint32_t adopt(struct unwind_replay *replay, uint32_t known, uint32_t count)
{
	uint32_t node = replay->rest[known].node, check = replay->rest[known].check;
	bool needs_bp = replay->rest[known].needs_bp;

	while (count > 0) {
		const struct fresh *fresh = &replay->fresh[--count];
		struct seen *seen = &replay->seen[++known];
		struct rest *rest = &replay->rest[known];

		needs_bp = fresh->needs_bp || (!fresh->restores_bp && needs_bp);
		if (needs_bp && fresh->bp_slot)
			check = known;
		seen->slot = fresh->slot;
		seen->pc = fresh->pc;
		rest->bp = fresh->bp;
		rest->bp_slot = fresh->bp_slot;
		rest->check = check;
		rest->needs_bp = needs_bp;
		node = stack_tree_native(node, fresh->pc);
		rest->node = node;
		if (!node) {
			replay->count = 0;
			return 0;
		}
	}
	replay->count = known;
	return node;
}

bool unwind_replay_capture(struct unwind_replay *replay, const struct stack_start *start, uint32_t *ret)
{
	uint32_t epoch = modules_epoch(), meets, fresh;

	if (!own_stack(replay, start->sp))
		return false;
	if (replay->epoch != epoch) {
		replay->epoch = epoch;
		replay->count = 0;
	}
	if (!walk(replay, start, unchanged(replay, start->sp - 8), &meets, &fresh)) {
		replay->count = 0;
		return false;
	}
	*ret = adopt(replay, meets, fresh);
	return true;
}

size_t unwind_replay_depth(const struct unwind_replay *replay)
{
	return replay->count;
}

size_t unwind_replay_last(const struct unwind_replay *replay, uintptr_t *pcs, size_t max)
{
	size_t count = replay->count < max ? replay->count : max;

	for (size_t i = 0; i < count; i++)
		pcs[i] = replay->seen[replay->count - i].pc;
	return count;
}
