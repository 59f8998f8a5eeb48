/* SPDX-License-Identifier: Apache-2.0
 *
 * Derives the rules of call frames.  Runs in the target's threads, under the
 * guard, once per return address; takes no lock.
 */
#include "unwind_rules.h"

#include "arena.h"
#include "hot.h"
#include "modules.h"

HOT struct unwind_rules_entry *g_unwind_rules;

bool unwind_rules_init(void)
{
	const size_t count = (size_t)1 << UNWIND_RULES_BITS;

	return arena_map_once((void **)&g_unwind_rules, count * sizeof(*g_unwind_rules)) != NULL;
}

/* The CFA lies above the stack pointer and is as aligned as that, and where bp was
 * saved, if it was, lies between the return addresses of the frame and its caller. */
static bool is_plain(struct cfi_rule rule)
{
	return rule.kind == CFI_STEP && !rule.base_is_bp && rule.cfa_offset > 0 && rule.cfa_offset % 8 == 0 &&
	       rule.bp_offset <= 0 && rule.cfa_offset + rule.bp_offset >= -8;
}

static uint64_t pack(struct cfi_rule rule)
{
	return (uint64_t)(uint32_t)rule.cfa_offset | (uint64_t)(uint16_t)rule.bp_offset << 32 |
	       (uint64_t)rule.base_is_bp << 48 | (uint64_t)rule.kind << 56 |
	       (is_plain(rule) ? UNWIND_RULES_PLAIN : 0);
}

static struct cfi_rule look_up(uintptr_t pc)
{
	struct cfi_section section;

	if (!modules_frame_info(pc - 1, &section) &&
	    !(modules_discover(pc - 1) && modules_frame_info(pc - 1, &section)))
		return (struct cfi_rule){.kind = CFI_BEYOND};
	return cfi_rule_at(&section, pc - 1);
}

static struct unwind_rules_entry *entry_at(uintptr_t pc, unsigned way)
{
	const uint64_t hash = (uint64_t)pc * UINT64_C(0x9e3779b97f4a7c15);

	if (way < UNWIND_RULES_LINE)
		return &g_unwind_rules[unwind_rules_place(pc) ^ way];
	return &g_unwind_rules[(hash >> (64 - UNWIND_RULES_BITS)) ^ (way - UNWIND_RULES_LINE)];
}

/* 0: nobody's yet. */
static uint64_t key_of(const struct unwind_rules_entry *entry)
{
	return __atomic_load_n(&entry->key, __ATOMIC_RELAXED) ^
	       __atomic_load_n(&entry->value, __ATOMIC_RELAXED);
}

/* The first that no address of this epoch has; if all are taken, one that another
 * address too many would hardly take. */
static struct unwind_rules_entry *entry_for(uintptr_t pc, uint64_t epoch)
{
	for (unsigned way = 0; way < UNWIND_RULES_WAYS; way++) {
		struct unwind_rules_entry *entry = entry_at(pc, way);
		const uint64_t key = key_of(entry);

		if (key == 0 || (key ^ unwind_rules_key(0, epoch)) >> UNWIND_RULES_EPOCH_SHIFT != 0)
			return entry;
	}
	return entry_at(pc, UNWIND_RULES_LINE);
}

static __attribute__((noinline, cold)) uint64_t derive(uintptr_t pc, uint64_t epoch)
{
	struct unwind_rules_entry *entry = entry_for(pc, epoch);
	const uint64_t value = pack(look_up(pc));

	__atomic_store_n(&entry->value, value, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->key, unwind_rules_key(pc, epoch) ^ value, __ATOMIC_RELAXED);
	return value;
}

__attribute__((noinline)) uint64_t unwind_rules_value_elsewhere(uintptr_t pc, uint64_t epoch)
{
	for (unsigned way = 0; way < UNWIND_RULES_WAYS; way++) {
		const struct unwind_rules_entry *entry = entry_at(pc, way);
		uint64_t value;

		if (unwind_rules_holds(entry, pc, epoch, &value))
			return value;
		/* Behind a free one there is none: they are taken in this order, and never given up. */
		if (key_of(entry) == 0)
			break;
	}
	return derive(pc, epoch);
}
