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

/* Programs come back to the same few ways from a frame of the trunk to a hook:
 * each is kept with the words that a walk along it reads. */
enum { MEMO_BITS = 8, MEMO_WORDS = 12 };

/* Where the ways are always new, keeping them would only cost: a walk along a
 * memo earns the right to keep two, and without it one in so many is kept.  One
 * that was looked at so often in vain is no longer. */
enum { MEMO_CREDIT = 64, MEMO_SAMPLE = 32, MEMO_FAILURES = 4 };

struct memo {
	uintptr_t slot, pc; /* where it starts */
	uintptr_t bp;       /* with needs_bp: what bp must be there */
	uintptr_t base_bp;  /* bp where it meets the trunk */
	uint32_t era;       /* of the replay; 0: empty */
	uint32_t base;      /* of the trunk's frames, where it meets that */
	uint32_t base_node, node;
	uint32_t frames; /* above the base */
	uint16_t words;
	bool needs_bp;
	uint8_t failures;             /* since a walk last went along it */
	struct seen seen[MEMO_WORDS]; /* the frames but the first, the base, then values of bp */
};

struct unwind_replay {
	uintptr_t low, high;  /* the thread's own stack */
	uintptr_t descriptor; /* of the thread whose stack that is */
	uint32_t epoch, depth;
	uint32_t era;            /* a new one where what was seen no longer says anything */
	uint32_t count;          /* frames of the trunk, the last walk that was not along a memo */
	const struct memo *memo; /* of the last walk, NULL: the trunk is it */
	uint32_t credit, misses; /* of the memos */
	struct fresh *fresh;     /* scratch, innermost first, and what they meet */
	struct rest *rest;
	struct memo *memos;
	uint32_t tags[1u << MEMO_BITS]; /* of the memos: most that are not wanted are not looked at */
	struct seen seen[]; /* the trunk, outermost first, from index 1 on; [0] is above every stack */
};

struct unwind_replay *unwind_replay_new(uint32_t depth)
{
	const size_t count = (size_t)depth + 1;
	struct unwind_replay *replay;

	if (!unwind_rules_init())
		return NULL;
	replay = arena_map(sizeof(*replay) +
			   count * (sizeof(struct seen) + sizeof(struct rest) + sizeof(struct fresh)) +
			   (sizeof(struct memo) << MEMO_BITS));
	if (replay == NULL)
		return NULL;
	replay->depth = depth;
	replay->rest = (struct rest *)(replay->seen + count);
	replay->fresh = (struct fresh *)(replay->rest + count);
	replay->memos = (struct memo *)(replay->fresh + count);
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

/* Of frames [1, last] of the trunk: how many, from the bottom, have what they
 * were arrived at by. */
static uint32_t same(const struct seen *seen, uint32_t last)
{
	uint32_t i = 1;

	while (i <= last && difference(&seen[i]) == 0)
		i++;
	return i - 1;
}

static inline uintptr_t differences(const struct seen *seen)
{
	return (difference(&seen[0]) | difference(&seen[1]) | difference(&seen[2]) | difference(&seen[3])) |
	       (difference(&seen[4]) | difference(&seen[5]) | difference(&seen[6]) | difference(&seen[7]));
}

/* True when that is all of them.  No branch for each: mostly it is, and how
 * many there are changes from event to event; a last group overlaps. */
static inline bool all_same(const struct seen *seen, uint32_t last)
{
	uintptr_t differs = 0;
	uint32_t i = 1;

	if (last < 8) {
		for (; i <= last; i++)
			differs |= difference(&seen[i]);
		return differs == 0;
	}
	for (; i + 7 <= last; i += 8)
		differs |= differences(&seen[i]);
	if (i <= last)
		differs |= differences(&seen[last - 7]);
	return differs == 0;
}

/* A walk has arrived at frame `base` of the trunk: it goes on along the trunk
 * from there if this gives `base`; else from no frame above what this gives. */
static inline uint32_t unchanged(const struct unwind_replay *replay, uint32_t base)
{
	const struct rest *rest = replay->rest;
	uint32_t last = base, check;

	if (__builtin_expect(!all_same(replay->seen, base), 0))
		last = same(replay->seen, base);
	/* What bp is at the last one itself is compared on arrival. */
	check = rest[last].check == last && last > 0 ? rest[last - 1].check : rest[last].check;
	for (; __builtin_expect(check > 0, 0); check = rest[check - 1].check)
		if (word(rest[check].bp_slot) != rest[check].bp)
			last = check - 1;
	return last;
}

/* ---- ways to the trunk ----------------------------------------------------------- */

static inline uint64_t memo_hash(const struct stack_start *start)
{
	return (start->pc ^ start->sp << 20) * UINT64_C(0x9e3779b97f4a7c15);
}

static inline size_t memo_place(uint64_t hash)
{
	return hash >> (64 - MEMO_BITS);
}

/* True when a walk would go along it now, and then on along the trunk. */
static inline bool memo_holds(const struct unwind_replay *replay, const struct memo *memo,
			      const struct stack_start *start)
{
	const uint32_t base = memo->base;
	const struct rest *rest = &replay->rest[base];
	uintptr_t differs = 0;

	if (memo->pc != start->pc || memo->slot != start->sp - 8 || memo->era != replay->era ||
	    base > replay->count || rest->node != memo->base_node ||
	    (memo->needs_bp && memo->bp != start->bp))
		return false;
	for (uint32_t i = 0; i < memo->words; i++)
		differs |= difference(&memo->seen[i]);
	differs |= replay->seen[base].slot ^ memo->seen[memo->frames - 1].slot;
	return differs == 0 && (!rest->needs_bp || rest->bp == memo->base_bp) &&
	       unchanged(replay, base) == base;
}

/* Keeps the `count` fresh frames above trunk frame `base`, whose node is `node`. */
static __attribute__((noinline)) void memo_keep(struct unwind_replay *replay, const struct stack_start *start,
						uint32_t base, uint32_t count, uint32_t node)
{
	const struct fresh *fresh = replay->fresh;
	const uint64_t hash = memo_hash(start);
	struct memo *memo = &replay->memos[memo_place(hash)];
	bool needs_bp = replay->rest[base].needs_bp;
	uint16_t words = 0;

	replay->credit -= replay->credit > 0;
	memo->era = 0;
	replay->tags[memo_place(hash)] = (uint32_t)hash;
	for (uint32_t i = 1; i <= count; i++)
		memo->seen[words++] = (struct seen){fresh[i].slot, fresh[i].pc};
	/* From where the trunk begins up: what bp was read from, if the rest of the walk depends on it. */
	for (uint32_t i = count;; i--) {
		if (i < count)
			needs_bp = fresh[i].needs_bp || (!fresh[i].restores_bp && needs_bp);
		if (i == 0)
			break;
		if (!needs_bp || fresh[i].bp_slot == 0)
			continue;
		if (words == MEMO_WORDS)
			return;
		memo->seen[words++] = (struct seen){fresh[i].bp_slot, fresh[i].bp};
	}
	memo->slot = start->sp - 8;
	memo->pc = start->pc;
	memo->bp = start->bp;
	memo->base_bp = fresh[count].bp;
	memo->era = replay->era;
	memo->base = base;
	memo->base_node = replay->rest[base].node;
	memo->node = node;
	memo->frames = count;
	memo->words = words;
	memo->needs_bp = needs_bp;
	memo->failures = 0;
}

/* ---- walking ---------------------------------------------------------------------- */

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

/* Walks from the innermost frame until it meets the trunk (*meets: how many of
 * its frames stay) or the end of the stack.  What of the trunk lies under the
 * stack pointer is no longer the stack's, and is not even read. */
static inline __attribute__((always_inline)) bool
walk(struct unwind_replay *replay, const struct stack_start *start, uint32_t *meets, uint32_t *count)
{
	struct cursor at = {start->sp - 8, start->pc, start->bp, 0};
	struct fresh *fresh = replay->fresh, *const end = fresh + replay->depth;
	enum step result = STEP_ON;
	uint32_t known = replay->count;
	bool checked = false;

	for (; result == STEP_ON; fresh++) {
		struct cfi_rule rule;

		while (replay->seen[known].slot < at.slot) /* [0] ends it */
			known--;
		if (replay->seen[known].slot == at.slot && replay->seen[known].pc == at.pc &&
		    (!replay->rest[known].needs_bp || replay->rest[known].bp == at.bp)) {
			const uint32_t stays = checked ? known : unchanged(replay, known);

			if (stays == known)
				break;
			known = stays;
			checked = true;
		}
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
	/* Where they meet, as arrived at from above. */
	fresh->slot = at.slot;
	fresh->pc = at.pc;
	fresh->bp = at.bp;
	fresh->bp_slot = at.bp_slot;
	*meets = result == STEP_ON ? known : 0;
	*count = (uint32_t)(fresh - replay->fresh);
	return result != STEP_BEYOND && *meets + *count <= replay->depth;
}

/* The fresh frames become the trunk above the frame that they met.  A frame
 * depends on bp if its own step does, or if it hands bp on unchanged to one that
 * does. */
static inline uint32_t adopt(struct unwind_replay *replay, uint32_t known, uint32_t count)
{
	bool needs_bp = replay->rest[known].needs_bp;
	uint32_t node = replay->rest[known].node, check;

	/* It was arrived at from another frame. */
	if (__builtin_expect(needs_bp, 0)) {
		replay->rest[known].bp_slot = replay->fresh[count].bp_slot;
		replay->rest[known].check =
			replay->rest[known].bp_slot ? known : replay->rest[known - 1].check;
	}
	check = replay->rest[known].check;
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

/* True where the way that was walked may be one that is worth keeping. */
static inline bool memo_worth(struct unwind_replay *replay, uint32_t base, uint32_t count)
{
	if (replay->credit == 0 && ++replay->misses % MEMO_SAMPLE != 0)
		return false;
	return base != 0 && count != 0 && count <= MEMO_WORDS;
}

bool unwind_replay_capture(struct unwind_replay *replay, const struct stack_start *start, uint32_t *ret)
{
	const uint32_t epoch = modules_epoch();
	const uint64_t hash = memo_hash(start);
	uint32_t meets, fresh;

	if (!own_stack(replay, start->sp))
		return false;
	if (__builtin_expect(replay->epoch != epoch, 0)) {
		replay->epoch = epoch;
		forget(replay);
	}
	if (replay->tags[memo_place(hash)] == (uint32_t)hash) {
		struct memo *memo = &replay->memos[memo_place(hash)];

		if (memo_holds(replay, memo, start)) {
			replay->memo = memo;
			memo->failures = 0;
			if (replay->credit < MEMO_CREDIT)
				replay->credit += 2;
			*ret = memo->node;
			return true;
		}
		if (++memo->failures >= MEMO_FAILURES)
			replay->tags[memo_place(hash)] = 0;
	}
	replay->memo = NULL;
	if (!walk(replay, start, &meets, &fresh)) {
		replay->count = 0;
		return false;
	}
	*ret = adopt(replay, meets, fresh);
	if (*ret != 0 && memo_worth(replay, meets, fresh))
		memo_keep(replay, start, meets, fresh, *ret);
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
