/* SPDX-License-Identifier: Apache-2.0
 *
 * A thread's part of the fast unwinder, for its three files: unwind_replay.c (what
 * has not changed, and walks that need no bp), unwind_walk.c (all walks) and
 * unwind_memo.c (ways that were walked before).  What is read at every event is kept
 * together, and no structure is copied whole, since a wide load of what was just
 * stored in parts must wait.
 */
#ifndef UNWIND_REPLAY_INTERNAL_H
#define UNWIND_REPLAY_INTERNAL_H

#include <stddef.h>

#include "stack_tree_inline.h"
#include "unwind_replay.h"

/* What a walk that needs no bp read to get to a frame: where it continues, at slot. */
struct plain {
	uintptr_t pc;
	uint32_t slot; /* from the stack's lowest address on */
};

/* Of a frame of the trunk.  Most code needs no frame pointer to be walked. */
#define TRUNK_NEEDS_BP (UINT32_C(1) << 31)
struct trunk {
	uint32_t node;
	/* The innermost frame up to this one that depends on a bp_slot, 0 = none; and
	 * TRUNK_NEEDS_BP when the walk from here on depends on bp, which is in `bps`. */
	uint32_t check;
};

struct bp {
	uintptr_t value, slot; /* slot 0: it is as it was in the frame above */
};

/* A frame that was walked anew, in any walk. */
#define FRESH_NEEDS_BP    1u /* its own step does */
#define FRESH_RESTORES_BP 2u /* the step reads it from the stack */
struct fresh {
	uintptr_t slot, pc;
	struct bp bp;
	uintptr_t flags;
};

/* Programs come back to the same few ways from a frame of the trunk to a hook:
 * each is kept with the words that a walk along it reads. */
enum { MEMO_BITS = 8, MEMO_WORDS = 12 };

/* In as few cache lines as may be: of those that a program uses it uses many. */
struct memo {
	_Alignas(64) uintptr_t pc; /* where it starts, and the slot of that */
	uint32_t slot;
	uint32_t era; /* of the replay; 0: empty */
	uint32_t base_node, node;
	uint64_t shape; /* of the trunk, when it last had that base there */
	uint16_t base;  /* of the trunk's frames, where it meets that */
	uint8_t frames; /* above the base */
	uint8_t words;  /* an even number: a last one may be there twice */
	bool needs_bp;
	bool base_checks; /* more than what the frames up to the base were arrived at by */
	uint8_t failures; /* since a walk last went along it */
	/* Where the words are, counted from `slot` on, and what they hold: the frames but the
	 * first, the base, then values of bp. */
	uint16_t places[MEMO_WORDS];
	uintptr_t values[MEMO_WORDS];
	uintptr_t bp;      /* with needs_bp: what bp must be at the start */
	uintptr_t base_bp; /* bp where it meets the trunk */
};
_Static_assert(offsetof(struct memo, values) <= 64, "the head and the places are one cache line");
_Static_assert(UNWIND_REPLAY_DEPTH_MAX <= UINT16_MAX, "base");

#define REPLAY_ROOM (UNWIND_REPLAY_DEPTH_MAX + 1)

/* Of an array, in front of it: what begins with index 1 is aligned. */
#define REPLAY_ALIGN _Alignas(2 * sizeof(uintptr_t))

struct unwind_replay {
	uintptr_t low, size;  /* the thread's own stack; multiples of 8, size 0: none */
	uintptr_t descriptor; /* of the thread whose stack that is */
	uint32_t epoch, depth;
	uint32_t era;            /* a new one where what was seen no longer says anything */
	uint32_t count;          /* frames of the trunk, the last walk that was not along a memo */
	const struct memo *memo; /* that a walk last went along */
	uint32_t credit, wait;   /* of the memos; stacks until one is tried, that one included */
	uint64_t shape;          /* of the trunk: another number after it has changed */
	/* The trunk, outermost first, from index 1 on; [0] is above every stack.  How a walk
	 * arrived at a frame is in two arrays, since it is compared for two at a time. */
	REPLAY_ALIGN uint32_t unaligned_slots;
	uint32_t slots[REPLAY_ROOM]; /* from `low` on */
	REPLAY_ALIGN uintptr_t unaligned_pcs;
	uintptr_t pcs[REPLAY_ROOM];
	struct trunk trunk[REPLAY_ROOM];
	/* Scratch, innermost frame first: of a walk that needs no bp; of another, and what it meets. */
	struct plain above[REPLAY_ROOM];
	struct fresh fresh[REPLAY_ROOM];
	struct bp bps[REPLAY_ROOM]; /* of the trunk's frames with TRUNK_NEEDS_BP */
	struct memo memos[1u << MEMO_BITS];
};

/* Anywhere in the stack, whatever a sanitizer thinks of the place. */
static inline __attribute__((no_sanitize("address"))) uintptr_t replay_word(uintptr_t address)
{
	return *(const uintptr_t *)address;
}

/* Where the return address lies at a hook's entry, from the stack's lowest address on; past
 * its size when that is not in this stack. */
static inline uintptr_t replay_start(const struct unwind_replay *replay, const struct stack_start *start)
{
	return start->sp - sizeof(uintptr_t) - replay->low;
}

/* Of a frame of the trunk. */
static inline uintptr_t replay_slot(const struct unwind_replay *replay, uint32_t frame)
{
	return replay->low + replay->slots[frame];
}

/* Two words, which the processor compares at once: it is reading them that takes the
 * time, and there are 20 to 30 at every event. */
typedef uintptr_t replay_two __attribute__((vector_size(2 * sizeof(uintptr_t)), may_alias));

/* Any two that lie side by side. */
static inline replay_two replay_both(const uintptr_t *words)
{
	struct unaligned {
		replay_two both;
	} __attribute__((packed, aligned(sizeof(uintptr_t)), may_alias));

	return ((const struct unaligned *)(const void *)words)->both;
}

/* 0 when the walk would arrive at the frame as it did. */
static inline uintptr_t replay_difference(const struct unwind_replay *replay, uint32_t frame)
{
	return replay_word(replay_slot(replay, frame)) ^ replay->pcs[frame];
}

static inline bool replay_needs_bp(const struct unwind_replay *replay, uint32_t frame)
{
	return replay->trunk[frame].check & TRUNK_NEEDS_BP;
}

/* Of frames [1, base] of the trunk: whether all have what they were arrived at by.  For
 * who asks for the same base again and again. */
bool unwind_replay_same_base(const struct unwind_replay *replay, size_t base);

/* A walk has arrived at frame `base` of the trunk: it goes on along the trunk
 * from there if this gives `base`; else from no frame above what this gives. */
uint32_t unwind_replay_unchanged(const struct unwind_replay *replay, uint32_t base);

/* Walks anew from the start to the trunk or the end of the stack, and makes that the
 * trunk; with `keep` it is a memo, too.  The node; 0: not this stack. */
uint32_t unwind_walk(struct unwind_replay *replay, const struct stack_start *start, bool keep);

/* Where the ways are always new, memos only cost: each walk along one earns, each
 * that is kept or looked at in vain costs, and without credit one event in so many
 * is tried. */
enum { MEMO_CREDIT = 64, MEMO_SAMPLE = 32 };

/* True when looking for a memo promises more than it costs. */
static inline bool unwind_memo_wanted(struct unwind_replay *replay)
{
	return --replay->wait == 0;
}

/* After it was looked for in vain, and the trunk has become another one.  Walks until the
 * next look change it as well, and do not say so. */
static inline void unwind_memo_settle(struct unwind_replay *replay)
{
	replay->wait = replay->credit > 0 ? 1 : MEMO_SAMPLE;
	replay->shape++;
}

/* The one that a walk would go along now, and then on along the trunk; the next stack
 * will look for one, too.  NULL: none. */
const struct memo *unwind_memo_follow(struct unwind_replay *replay, const struct stack_start *start);

/* Keeps the `count` frames above trunk frame `base`, which are new in the trunk, and
 * whose node is `node`; the second is for a walk that needs no bp. */
void unwind_memo_keep(struct unwind_replay *replay, const struct stack_start *start, uint32_t base,
		      uint32_t count, uint32_t node);
void unwind_memo_keep_plain(struct unwind_replay *replay, const struct stack_start *start, uint32_t base,
			    uint32_t count, uint32_t node);

#endif
