/* SPDX-License-Identifier: Apache-2.0
 *
 * Derives the rules of call frames.  Runs in the target's threads, under the
 * guard, once per return address; takes no lock.
 */
#include "unwind_rules.h"

#include "arena.h"
#include "modules.h"

struct unwind_rules_entry *g_unwind_rules;

bool unwind_rules_init(void)
{
	const size_t count = (size_t)UNWIND_RULES_WAYS << UNWIND_RULES_BITS;

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

/* The newest goes first; what was first becomes second. */
__attribute__((noinline, cold)) struct cfi_rule unwind_rules_derive(uintptr_t pc, uint64_t epoch)
{
	struct unwind_rules_entry *entry = unwind_rules_set(pc);
	struct cfi_rule rule = look_up(pc);

	__atomic_store_n(&entry[1].value, entry[0].value, __ATOMIC_RELAXED);
	__atomic_store_n(&entry[1].key, entry[0].key, __ATOMIC_RELAXED);
	__atomic_store_n(&entry[0].value, pack(rule), __ATOMIC_RELAXED);
	__atomic_store_n(&entry[0].key, unwind_rules_key(pc, epoch) ^ pack(rule), __ATOMIC_RELAXED);
	return rule;
}
