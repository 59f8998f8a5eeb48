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
	struct unwind_replay *replay = unwind_rules_init() ? arena_map(sizeof(*replay)) : NULL;

	if (replay == NULL)
		return NULL;
	replay->depth = depth < UNWIND_REPLAY_DEPTH_MAX ? depth : UNWIND_REPLAY_DEPTH_MAX;
	replay->slots[0] = UINT32_MAX;
	unwind_memo_settle(replay);
	return replay;
}

/* Of larger ones only that much, from the top, is known. */
#define STACK_SIZE_MAX (((uintptr_t)1 << 32) - 8)

/* The stack of a thread ends at its descriptor (glibc puts it there) or with
 * its mapping; the first thread's grows down as far as its limit lets it. */
static __attribute__((noinline, cold)) void find_stack(struct unwind_replay *replay, uintptr_t sp)
{
	struct maps_entry entry;
	struct rlimit limit;
	uintptr_t descriptor = arch_thread_pointer(), low, high;

	replay->low = replay->size = 0;
	if (!maps_read_one(sp, &entry))
		return;
	low = entry.start;
	if (entry.kind == MAPS_STACK) {
		high = entry.end;
		if (RAW_CALL(SYS_prlimit64, 0, RLIMIT_STACK, NULL, &limit) == 0 && limit.rlim_cur < high &&
		    low > high - limit.rlim_cur)
			low = high - limit.rlim_cur;
	} else if (descriptor > sp && descriptor < entry.end && entry.kind == MAPS_ANONYMOUS) {
		high = descriptor;
	} else {
		return;
	}
	high &= ~(uintptr_t)7;
	if (high - low > STACK_SIZE_MAX)
		low = high - STACK_SIZE_MAX;
	replay->low = (low + 7) & ~(uintptr_t)7;
	replay->size = high - replay->low;
}

static void forget(struct unwind_replay *replay)
{
	replay->count = 0;
	replay->era++;
}

static inline bool own_stack(struct unwind_replay *replay, const struct stack_start *start)
{
	const uintptr_t descriptor = arch_thread_pointer();

	/* The state of a thread that has ended goes to another one, and what was
	 * its stack may be gone. */
	if (__builtin_expect(replay->descriptor != descriptor, 0)) {
		replay->descriptor = descriptor;
		forget(replay);
		find_stack(replay, start->sp);
	}
	return replay_start(replay, start) < replay->size && !(start->sp & 7);
}

/* Of frames [1, last] of the trunk: how many, from the bottom, have what they
 * were arrived at by. */
static uint32_t same(const struct unwind_replay *replay, uint32_t last)
{
	uint32_t i = 1;

	while (i <= last && replay_difference(replay, i) == 0)
		i++;
	return i - 1;
}

static inline __attribute__((always_inline)) replay_two differences_two(const struct unwind_replay *replay,
									size_t frame, bool aligned)
{
	const uintptr_t *pcs = &replay->pcs[frame];
	uint64_t slots;

	_Static_assert(sizeof(slots) == 2 * sizeof(replay->slots[0]) &&
			       __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
		       "both in one word, the first one lower");
	memcpy(&slots, &replay->slots[frame], sizeof(slots));
	return (replay_two){replay_word(replay->low + (uint32_t)slots),
			    replay_word(replay->low + (slots >> 32))} ^
	       (aligned ? *(const replay_two *)(const void *)pcs : replay_both(pcs));
}

/* Of four frames.  `aligned`: the first is one from which an even number leads to the
 * bottom one. */
static inline __attribute__((always_inline)) replay_two differences(const struct unwind_replay *replay,
								    size_t frame, bool aligned)
{
	return differences_two(replay, frame, aligned) | differences_two(replay, frame + 2, aligned);
}

/* Whether that is all of them.  The last group overlaps: its size is in steps of eight, of
 * four if who asks is `steady`, so that the processor will foresee the branch; which for
 * others changes from event to event. */
static inline __attribute__((always_inline)) bool all_same(const struct unwind_replay *replay, size_t last,
							   bool steady)
{
	replay_two differs = {0, 0};
	size_t i = 1;

	if (last < 8) {
		for (; i <= last; i++)
			differs[0] |= replay_difference(replay, (uint32_t)i);
		return differs[0] == 0;
	}
	for (; i + 7 <= last; i += 8)
		differs |= differences(replay, i, true) | differences(replay, i + 4, true);
	if (i <= last && (!steady || i + 3 < last))
		differs |= differences(replay, last - 7, false);
	if (i <= last)
		differs |= differences(replay, last - 3, false);
	return (differs[0] | differs[1]) == 0;
}

/* A function, lest its needs of registers burden the walks around it. */
static __attribute__((noinline)) bool all_same_now(const struct unwind_replay *replay, size_t last)
{
	return all_same(replay, last, false);
}

bool unwind_replay_same_base(const struct unwind_replay *replay, size_t base)
{
	return all_same(replay, base, true);
}

static inline uint32_t unchanged(const struct unwind_replay *replay, uint32_t base)
{
	const struct trunk *trunk = replay->trunk;
	uint32_t last = base, check;

	if (__builtin_expect(!all_same_now(replay, base), 0))
		last = same(replay, base);
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

/* ---- the way of nearly all ---------------------------------------------------------- */

/* Where a walk met the trunk: at frame `base` and under `count` fresh ones. */
struct met {
	uint32_t base, count;
};

/* A walk where no step needs bp, from that slot and pc on, after `fresh`: of each frame
 * only what the trunk keeps is noted.  It meets the trunk at frame `known` or below, where
 * no walk on from there needs bp.  False: not so. */
static inline __attribute__((always_inline)) bool to_trunk(struct unwind_replay *replay, uintptr_t slot,
							   uintptr_t pc, uint32_t known, struct plain *fresh,
							   struct met *ret)
{
	const struct plain *const end = replay->above + replay->depth;
	const uint64_t epoch = replay->epoch;
	const uintptr_t low = replay->low, size = replay->size;

	for (;; fresh++) {
		uint64_t rule;

		while (replay->slots[known] < slot) /* [0] ends it */
			known--;
		if (replay->slots[known] == slot && replay->pcs[known] == pc)
			break;
		rule = unwind_rules_value(pc, epoch);
		if (!(rule & UNWIND_RULES_PLAIN) || fresh == end)
			return false;
		fresh->slot = (uint32_t)slot;
		fresh->pc = pc;
		slot += (uint32_t)rule;
		if (slot >= size)
			return false;
		pc = replay_word(low + slot);
	}
	ret->base = known;
	ret->count = (uint32_t)(fresh - replay->above);
	return !replay_needs_bp(replay, known);
}

/* The trunk has changed below where it was met: the walk goes on from there.  What is
 * met now is unchanged. */
static __attribute__((noinline)) bool walk_on(struct unwind_replay *replay, uint32_t stays, struct met *met)
{
	return to_trunk(replay, replay->slots[met->base], replay->pcs[met->base], stays,
			replay->above + met->count, met);
}

static inline __attribute__((always_inline)) bool walk_plain(struct unwind_replay *replay,
							     const struct stack_start *start, struct met *ret)
{
	uint32_t stays;

	if (!to_trunk(replay, replay_start(replay, start), start->pc, replay->count, replay->above, ret))
		return false;
	stays = unchanged(replay, ret->base);
	if (__builtin_expect(stays != ret->base, 0)) {
		struct met met = *ret; /* whose address goes to a function, unlike that of most */

		if (!walk_on(replay, stays, &met))
			return false;
		*ret = met;
	}
	return ret->base + ret->count <= replay->depth;
}

/* The fresh frames become the trunk above the one that they met.  The node; 0 without
 * memory. */
static inline __attribute__((always_inline)) uint32_t adopt_plain(struct unwind_replay *replay,
								  struct met met)
{
	const uint32_t epoch = replay->epoch, check = replay->trunk[met.base].check;
	uint32_t node = replay->trunk[met.base].node;
	const struct stack_tree_entry *entry = stack_tree_at(node);
	size_t known = met.base;

	for (const struct plain *fresh = replay->above + met.count; fresh-- != replay->above;) {
		known++;
		replay->slots[known] = fresh->slot;
		replay->pcs[known] = fresh->pc;
		node = stack_tree_child(node, stack_tree_frame(epoch, fresh->pc), &entry);
		replay->trunk[known].node = node;
		replay->trunk[known].check = check;
		if (__builtin_expect(!node, 0)) {
			known = 0;
			break;
		}
	}
	replay->count = (uint32_t)known;
	return node;
}

/* Without a memo: what is walked becomes one. */
static __attribute__((noinline)) struct unwind_replay_stack capture_and_keep(struct unwind_replay *replay,
									     const struct stack_start *start)
{
	struct met met;
	uint32_t node;

	if (walk_plain(replay, start, &met) && (node = adopt_plain(replay, met)) != 0)
		unwind_memo_keep_plain(replay, start, met.base, met.count, node);
	else
		node = unwind_walk(replay, start, true);
	unwind_memo_settle(replay);
	return (struct unwind_replay_stack){node, replay->count};
}

/* The same as below where memos promise something. */
static __attribute__((noinline)) struct unwind_replay_stack capture_by_memo(struct unwind_replay *replay,
									    const struct stack_start *start)
{
	const struct memo *memo = unwind_memo_follow(replay, start);

	if (__builtin_expect(memo == NULL, 0))
		return capture_and_keep(replay, start);
	return (struct unwind_replay_stack){memo->node, (uint32_t)memo->base + memo->frames};
}

struct unwind_replay_stack unwind_replay_capture(struct unwind_replay *replay,
						 const struct stack_start *start)
{
	const uint32_t epoch = modules_epoch();
	uint32_t node;
	struct met met;

	if (__builtin_expect(!own_stack(replay, start), 0))
		return (struct unwind_replay_stack){0, 0};
	if (__builtin_expect(replay->epoch != epoch, 0)) {
		replay->epoch = epoch;
		forget(replay);
	}
	if (unwind_memo_wanted(replay))
		return capture_by_memo(replay, start);
	if (!walk_plain(replay, start, &met) || (node = adopt_plain(replay, met)) == 0)
		node = unwind_walk(replay, start, false);
	return (struct unwind_replay_stack){node, replay->count};
}

size_t unwind_replay_last(const struct unwind_replay *replay, uint32_t node, uintptr_t *pcs, size_t max)
{
	/* If it is both, both are the same. */
	const struct memo *memo = replay->trunk[replay->count].node != node ? replay->memo : NULL;
	const size_t above = memo != NULL ? memo->frames : 0;
	const size_t base = memo != NULL ? memo->base : replay->count;
	size_t count = 0;

	for (; count < above && count < max; count++)
		pcs[count] = count == 0 ? memo->pc : memo->values[count - 1];
	for (; count < above + base && count < max; count++)
		pcs[count] = replay->pcs[base - (count - above)];
	return count;
}
