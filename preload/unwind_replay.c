/* SPDX-License-Identifier: Apache-2.0
 *
 * Replays the last walk of a thread.  Runs in the target's threads at nearly
 * every event, under the guard; reads the thread's own stack only, between the
 * stack pointer and the stack's end.
 */
#include "unwind_replay.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "arch.h"
#include "arena.h"
#include "cfi.h"
#include "maps.h"
#include "modules.h"
#include "rawio.h"

/* ---- rules by return address -------------------------------------------------- */

/* Two ways of RULE_SETS entries: 2 MiB, of which only what is used is resident. */
#define RULE_BITS 16
#define RULE_SETS (1u << RULE_BITS)

/* An entry is valid when key ^ value gives the address: a mixture of two writes
 * gives none.  The epoch of the modules is part of it. */
struct rule_entry {
	uint64_t key, value;
};

static struct rule_entry *s_rules;

static uint64_t pack(struct cfi_rule rule)
{
	return (uint64_t)(uint32_t)rule.cfa_offset | (uint64_t)(uint16_t)rule.bp_offset << 32 |
	       (uint64_t)rule.base_is_bp << 48 | (uint64_t)rule.kind << 56;
}

static struct cfi_rule unpack(uint64_t value)
{
	return (struct cfi_rule){
		.kind = (uint8_t)(value >> 56),
		.base_is_bp = (uint8_t)(value >> 48),
		.bp_offset = (int16_t)(value >> 32),
		.cfa_offset = (int32_t)value,
	};
}

static struct cfi_rule rule_derive(uintptr_t pc)
{
	struct cfi_section section;

	if (!modules_frame_info(pc - 1, &section) &&
	    !(modules_discover(pc - 1) && modules_frame_info(pc - 1, &section)))
		return (struct cfi_rule){.kind = CFI_BEYOND};
	return cfi_rule_at(&section, pc - 1);
}

static struct cfi_rule rule_find(uintptr_t pc, uint64_t epoch)
{
	uint64_t wanted = pc ^ epoch << 48;
	size_t set = (size_t)(pc * UINT64_C(0x9E3779B97F4A7C15) >> (64 - RULE_BITS));
	struct rule_entry *entry = &s_rules[2 * set];
	struct cfi_rule rule;

	for (unsigned way = 0; way < 2; way++) {
		uint64_t value = __atomic_load_n(&entry[way].value, __ATOMIC_RELAXED);

		if ((__atomic_load_n(&entry[way].key, __ATOMIC_RELAXED) ^ value) == wanted)
			return unpack(value);
	}
	rule = rule_derive(pc);
	/* The newest goes first; what was first becomes second. */
	__atomic_store_n(&entry[1].value, entry[0].value, __ATOMIC_RELAXED);
	__atomic_store_n(&entry[1].key, entry[0].key, __ATOMIC_RELAXED);
	__atomic_store_n(&entry[0].value, pack(rule), __ATOMIC_RELAXED);
	__atomic_store_n(&entry[0].key, wanted ^ pack(rule), __ATOMIC_RELAXED);
	return rule;
}

/* ---- a thread's part ------------------------------------------------------------ */

/* Where a frame continues: the walk arrived here by reading pc at sp - 8 and,
 * unless bp_slot is 0, bp at bp_slot. */
struct frame {
	uintptr_t sp, pc, bp, bp_slot;
	uint32_t node;
	bool needs_bp;    /* the walk from here on depends on bp */
	bool restores_bp; /* the step from here reads it from the stack */
};

struct unwind_replay {
	uintptr_t low, high;  /* the thread's own stack */
	uintptr_t descriptor; /* of the thread whose stack that is */
	uint32_t epoch, depth;
	uint32_t count;        /* frames of the last walk */
	struct frame *fresh;   /* scratch: frames walked anew, innermost first */
	struct frame frames[]; /* outermost first */
};

struct unwind_replay *unwind_replay_new(uint32_t depth)
{
	size_t size = sizeof(struct unwind_replay) + 2 * (size_t)depth * sizeof(struct frame);
	struct rule_entry *expected = NULL, *rules = NULL;
	struct unwind_replay *replay;

	if (__atomic_load_n(&s_rules, __ATOMIC_ACQUIRE) == NULL) {
		rules = arena_map(2 * (size_t)RULE_SETS * sizeof(*rules));
		if (rules == NULL)
			return NULL;
		if (!__atomic_compare_exchange_n(&s_rules, &expected, rules, false, __ATOMIC_ACQ_REL,
						 __ATOMIC_ACQUIRE))
			arena_unmap(rules, 2 * (size_t)RULE_SETS * sizeof(*rules));
	}
	replay = arena_map(size);
	if (replay == NULL)
		return NULL;
	replay->depth = depth;
	replay->fresh = replay->frames + depth;
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

/* Frames of the last walk, from the bottom, that a walk would still arrive at
 * and leave in the same way, if it came to the last of them. */
static uint32_t unchanged(const struct unwind_replay *replay, uintptr_t sp)
{
	uint32_t i = 0;

	for (; i < replay->count; i++) {
		const struct frame *frame = &replay->frames[i];

		if (frame->sp <= sp || word(frame->sp - 8) != frame->pc)
			break;
		if (frame->needs_bp && frame->bp_slot && word(frame->bp_slot) != frame->bp)
			break;
	}
	return i;
}

static bool same_state(const struct frame *known, const struct frame *now)
{
	return known->sp == now->sp && known->pc == now->pc && (!known->needs_bp || known->bp == now->bp);
}

enum step { STEP_ON, STEP_END, STEP_BEYOND };

/* From one frame to its caller. */
static enum step step(const struct unwind_replay *replay, struct cfi_rule rule, const struct frame *from,
		      struct frame *to)
{
	uintptr_t cfa = (rule.base_is_bp ? from->bp : from->sp) + (uintptr_t)(intptr_t)rule.cfa_offset;

	if (rule.kind == CFI_END)
		return STEP_END;
	if (rule.kind != CFI_STEP || cfa <= from->sp || cfa > replay->high || cfa & 7)
		return STEP_BEYOND;
	to->bp = from->bp;
	to->bp_slot = 0;
	if (rule.bp_offset) {
		to->bp_slot = cfa + (uintptr_t)(intptr_t)rule.bp_offset;
		/* Outside of this frame it would not be its caller's. */
		if (to->bp_slot < from->sp - 8 || to->bp_slot >= cfa)
			return STEP_BEYOND;
		to->bp = word(to->bp_slot);
	}
	to->pc = word(cfa - 8);
	to->sp = cfa;
	return to->pc ? STEP_ON : STEP_END;
}

/* Walks from the innermost frame until it meets one of the `known` frames at
 * the bottom (*meets: how many of them stay) or the end of the stack. */
static bool walk(struct unwind_replay *replay, const struct stack_start *start, uint32_t known,
		 uint32_t *meets, uint32_t *fresh)
{
	struct frame now = {.sp = start->sp, .pc = start->pc, .bp = start->bp};
	uint32_t count = 0;

	for (;;) {
		struct cfi_rule rule;
		struct frame next;
		enum step result;

		while (known > 0 && replay->frames[known - 1].sp < now.sp)
			known--;
		if (known > 0 && same_state(&replay->frames[known - 1], &now))
			break;
		if (count == replay->depth)
			return false;
		rule = rule_find(now.pc, replay->epoch);
		result = step(replay, rule, &now, &next);
		if (result == STEP_BEYOND)
			return false;
		now.needs_bp = rule.kind == CFI_STEP && rule.base_is_bp;
		now.restores_bp = rule.kind == CFI_STEP && rule.bp_offset != 0;
		replay->fresh[count++] = now;
		if (result == STEP_END) {
			known = 0;
			break;
		}
		now = next;
	}
	*meets = known;
	*fresh = count;
	return known + count <= replay->depth;
}

/* Appends the fresh frames to the known ones.  A frame depends on bp if its own
 * step does, or if it hands bp on unchanged to one that does. */
static uint32_t adopt(struct unwind_replay *replay, uint32_t known, uint32_t fresh)
{
	uint32_t node = known ? replay->frames[known - 1].node : 0;
	bool needs_bp = known ? replay->frames[known - 1].needs_bp : false;

	while (fresh > 0) {
		struct frame *frame = &replay->frames[known];

		*frame = replay->fresh[--fresh];
		needs_bp = frame->needs_bp || (!frame->restores_bp && needs_bp);
		frame->needs_bp = needs_bp;
		node = stack_tree_native(node, frame->pc);
		frame->node = node;
		if (!node) {
			replay->count = 0;
			return 0;
		}
		known++;
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
	if (!walk(replay, start, unchanged(replay, start->sp - 1), &meets, &fresh)) {
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
		pcs[i] = replay->frames[replay->count - 1 - i].pc;
	return count;
}
