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

static uint64_t pack(struct cfi_rule rule)
{
	return (uint64_t)(uint32_t)rule.cfa_offset | (uint64_t)(uint16_t)rule.bp_offset << 32 |
	       (uint64_t)rule.base_is_bp << 48 | (uint64_t)rule.kind << 56;
}

static struct cfi_rule look_up(uintptr_t pc)
{
	struct cfi_section section;

	if (!modules_frame_info(pc - 1, &section) &&
	    !(modules_discover(pc - 1) && modules_frame_info(pc - 1, &section)))
		return (struct cfi_rule){.kind = CFI_BEYOND};
	return cfi_rule_at(&section, pc - 1);
}

/* The first that no address of this epoch has; if all are taken the very first. */
static struct unwind_rules_entry *entry_for(uintptr_t pc, uint64_t epoch)
{
	const size_t place = unwind_rules_place(pc);

	for (unsigned way = 0; way < UNWIND_RULES_WAYS; way++) {
		struct unwind_rules_entry *entry = &g_unwind_rules[place ^ way];
		const uint64_t key = __atomic_load_n(&entry->key, __ATOMIC_RELAXED) ^
				     __atomic_load_n(&entry->value, __ATOMIC_RELAXED);

		if (key == 0 || (key ^ unwind_rules_key(0, epoch)) >> UNWIND_RULES_EPOCH_SHIFT != 0)
			return entry;
	}
	return &g_unwind_rules[place];
}

__attribute__((noinline, cold)) struct cfi_rule unwind_rules_derive(uintptr_t pc, uint64_t epoch)
{
	struct unwind_rules_entry *entry = entry_for(pc, epoch);
	const struct cfi_rule rule = look_up(pc);

	__atomic_store_n(&entry->value, pack(rule), __ATOMIC_RELAXED);
	__atomic_store_n(&entry->key, unwind_rules_key(pc, epoch) ^ pack(rule), __ATOMIC_RELAXED);
	return rule;
}
