/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules of call frames by return address (cfi.h), derived once and kept in a
 * table that all threads share.  Lock-free and of fixed size: where two
 * addresses fall together the newer one stays, and the other is derived again.
 * Runs in the target's threads at nearly every event, under the guard.
 */
#ifndef UNWIND_RULES_H
#define UNWIND_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cfi.h"

/* 1 MiB, of which only what is used is resident. */
#define UNWIND_RULES_BITS 16
/* Where an address is looked for: in its place, then in those of its neighbours in
 * the same cache line, then in another line.  Code can have a call every few bytes. */
#define UNWIND_RULES_LINE 4u
#define UNWIND_RULES_WAYS (2 * UNWIND_RULES_LINE)

/* An entry is valid when key ^ value gives the address: a mixture of two writes
 * gives none.  The epoch of the modules is part of it. */
#define UNWIND_RULES_EPOCH_SHIFT 48
struct unwind_rules_entry {
	uint64_t key, value;
};
extern struct unwind_rules_entry *g_unwind_rules;

/* False without memory. */
bool unwind_rules_init(void);

/* Of a value: a step that needs no bp and whose offsets are in order, so that a walk
 * need not look at its parts.  Nearly all are. */
#define UNWIND_RULES_PLAIN (UINT64_C(1) << 63)

static inline struct cfi_rule unwind_rules_unpack(uint64_t value)
{
	return (struct cfi_rule){
		.kind = (uint8_t)((value & ~UNWIND_RULES_PLAIN) >> 56),
		.base_is_bp = (uint8_t)(value >> 48),
		.bp_offset = (int16_t)(value >> 32),
		.cfa_offset = (int32_t)value,
	};
}

static inline uint64_t unwind_rules_key(uintptr_t pc, uint64_t epoch)
{
	return pc ^ epoch << UNWIND_RULES_EPOCH_SHIFT;
}

/* Neighbours in the code are neighbours in the table, one for each 16 bytes: a
 * program whose calls come from few places touches few pages of it.  Which address
 * falls together with which is chance in any case: modules lie anywhere. */
static inline size_t unwind_rules_place(uintptr_t pc)
{
	return (pc >> 4) & ((1u << UNWIND_RULES_BITS) - 1);
}

/* Whether an entry is that of an address; then *value is what it says. */
static inline bool unwind_rules_holds(const struct unwind_rules_entry *entry, uintptr_t pc, uint64_t epoch,
				      uint64_t *value)
{
	*value = __atomic_load_n(&entry->value, __ATOMIC_RELAXED);
	return (__atomic_load_n(&entry->key, __ATOMIC_RELAXED) ^ *value) == unwind_rules_key(pc, epoch);
}

/* Not in its place: elsewhere, or derived. */
uint64_t unwind_rules_value_elsewhere(uintptr_t pc, uint64_t epoch);

/* The rule at the return address pc, in the modules as they are at that epoch. */
static inline uint64_t unwind_rules_value(uintptr_t pc, uint64_t epoch)
{
	uint64_t value;

	if (__builtin_expect(unwind_rules_holds(&g_unwind_rules[unwind_rules_place(pc)], pc, epoch, &value),
			     1))
		return value;
	return unwind_rules_value_elsewhere(pc, epoch);
}

static inline struct cfi_rule unwind_rules_find(uintptr_t pc, uint64_t epoch)
{
	return unwind_rules_unpack(unwind_rules_value(pc, epoch));
}

#endif
