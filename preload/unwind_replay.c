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

/* Where a frame continues: the walk arrived here by reading pc at sp - 8.  The
 * stack pointer is a multiple of 8; below it are flags. */
struct seen {
	uintptr_t sp_flags, pc;
};
#define NEEDS_BP UINT64_C(1) /* the walk from here on depends on bp ... */
#define CHECK_BP UINT64_C(2) /* ... which was read on the way here, at bp_slot */
#define FLAGS    UINT64_C(7)

struct rest {
	uintptr_t bp, bp_slot; /* bp_slot 0: as it was in the frame above */
	uint32_t node;
};

/* A frame that was walked anew. */
struct fresh {
	uintptr_t sp, pc, bp, bp_slot;
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
	replay->seen[0].sp_flags = ~FLAGS;
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

static uintptr_t word(uintptr_t address)
{
	return *(const uintptr_t *)address;
}

static uintptr_t sp_of(const struct seen *seen)
{
	return seen->sp_flags & ~FLAGS;
}

/* 0 when the walk would arrive at the frame as it did. */
static uintptr_t difference(const struct seen *seen)
{
	return word(sp_of(seen) - 8) ^ seen->pc;
}

static bool is_unchanged(const struct seen *seen, const struct rest *rest)
{
	return difference(seen) == 0 && (!(seen->sp_flags & CHECK_BP) || word(rest->bp_slot) == rest->bp);
}

/* Four at a time: most stacks differ in their innermost frames only. */
static bool are_unchanged(const struct seen *four)
{
	const uintptr_t flags = four[0].sp_flags | four[1].sp_flags | four[2].sp_flags | four[3].sp_flags;

	return (difference(&four[0]) | difference(&four[1]) | difference(&four[2]) | difference(&four[3]) |
		(flags & CHECK_BP)) == 0;
}

/* The last of the frames, from the bottom, that a walk would still arrive at
 * and leave in the same way, if it came to it.  What lies under `sp` is no
 * longer the stack's, and is not even read. */
static uint32_t unchanged(const struct unwind_replay *replay, uintptr_t sp)
{
	const struct seen *seen = replay->seen;
	uint32_t last = replay->count, i = 1;

	while (last > 0 && seen[last].sp_flags < sp)
		last--;
	while (i + 3 <= last) {
		uint32_t end = i + 4;

		if (are_unchanged(&seen[i])) {
			i = end;
			continue;
		}
		for (; i < end; i++)
			if (!is_unchanged(&seen[i], &replay->rest[i]))
				return i - 1;
	}
	while (i <= last && is_unchanged(&seen[i], &replay->rest[i]))
		i++;
	return i - 1;
}

/* Walks from the innermost frame until it meets one of the `known` frames at
 * the bottom (*meets: how many of them stay) or the end of the stack. */
static bool walk(struct unwind_replay *replay, const struct stack_start *start, uint32_t known,
		 uint32_t *meets, uint32_t *fresh)
{
	struct fresh *out = replay->fresh, *const end = out + replay->depth;
	uintptr_t sp = start->sp, pc = start->pc, bp = start->bp, bp_slot = 0;

	for (;; out++) {
		const struct seen *seen = &replay->seen[known];
		struct cfi_rule rule;
		uintptr_t cfa;

		/* Ends at [0], which is above all. */
		for (; seen->sp_flags < sp; seen--)
			;
		known = (uint32_t)(seen - replay->seen);
		if (sp_of(seen) == sp && seen->pc == pc &&
		    (!(seen->sp_flags & NEEDS_BP) || replay->rest[known].bp == bp))
			break;
		if (out == end)
			return false;
		out->sp = sp;
		out->pc = pc;
		out->bp = bp;
		out->bp_slot = bp_slot;
		rule = unwind_rules_find(pc, replay->epoch);
		out->needs_bp = rule.base_is_bp;
		out->restores_bp = rule.bp_offset != 0;
		cfa = (rule.base_is_bp ? bp : sp) + (uintptr_t)(intptr_t)rule.cfa_offset;
		if (__builtin_expect(rule.kind != CFI_STEP, 0)) {
			if (rule.kind != CFI_END)
				return false;
			known = 0;
			out++;
			break;
		}
		if (cfa <= sp || cfa > replay->high || cfa & 7)
			return false;
		bp_slot = 0;
		if (rule.bp_offset) {
			bp_slot = cfa + (uintptr_t)(intptr_t)rule.bp_offset;
			/* Outside of this frame it would not be its caller's. */
			if (bp_slot < sp - 8 || bp_slot >= cfa)
				return false;
			bp = word(bp_slot);
		}
		pc = word(cfa - 8);
		sp = cfa;
		if (pc == 0) {
			known = 0;
			out++;
			break;
		}
	}
	*meets = known;
	*fresh = (uint32_t)(out - replay->fresh);
	return known + *fresh <= replay->depth;
}

/* Appends the fresh frames to the known ones.  A frame depends on bp if its own
 * step does, or if it hands bp on unchanged to one that does. */
static uint32_t adopt(struct unwind_replay *replay, uint32_t known, uint32_t count)
{
	uint32_t node = known ? replay->rest[known].node : 0;
	bool needs_bp = known ? replay->seen[known].sp_flags & NEEDS_BP : false;

	while (count > 0) {
		const struct fresh *fresh = &replay->fresh[--count];
		struct seen *seen = &replay->seen[++known];
		struct rest *rest = &replay->rest[known];

		needs_bp = fresh->needs_bp || (!fresh->restores_bp && needs_bp);
		seen->sp_flags =
			fresh->sp | (needs_bp ? NEEDS_BP : 0) | (needs_bp && fresh->bp_slot ? CHECK_BP : 0);
		seen->pc = fresh->pc;
		rest->bp = fresh->bp;
		rest->bp_slot = fresh->bp_slot;
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
	if (!walk(replay, start, unchanged(replay, start->sp), &meets, &fresh)) {
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
