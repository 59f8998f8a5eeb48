/* SPDX-License-Identifier: Apache-2.0
 *
 * Native frames on top of a runtime's own: what a library does that a Python
 * program called is told by the library's frames down to the interpreter, and by
 * the program's from there.  Runs in the target's threads under the guard.  A
 * native stack and the program's that belong together are looked up once.
 */
#include "stack_mixed.h"

#include "arena.h"
#include "modules.h"

#define ENTRIES    1024u
#define FRAMES_MAX 256u

struct entry {
	uint32_t native, base, node;
};

struct stack_mixed {
	struct entry entries[ENTRIES];
};

struct stack_mixed *stack_mixed_new(void)
{
	return arena_map(sizeof(struct stack_mixed));
}

/* The frames above the runtime's first, innermost first; 0 where there is none
 * of the runtime, or no end to be seen. */
static size_t frames_above(uint32_t native, uintptr_t *pcs)
{
	struct stack_tree_node node;

	for (size_t count = 0; native != 0 && count < FRAMES_MAX; native = node.parent) {
		stack_tree_get(native, &node);
		if (node.tag == CASTAWAY_FRAME_SCRIPT || node.address == 0)
			return 0;
		pcs[count] = (uintptr_t)node.address + modules_bias(node.tag);
		if (stack_is_claimed(&(struct stack_start){.pc = pcs[count]}))
			return count;
		count++;
	}
	return 0;
}

uint32_t stack_mixed_node(struct stack_mixed *mixed, uint32_t native)
{
	const uint32_t base = g_stack_claim.capture();
	const uint64_t hash = ((uint64_t)base << 32 | native) * UINT64_C(0x9e3779b97f4a7c15);
	struct entry *entry = &mixed->entries[hash >> 32 & (ENTRIES - 1)];
	uintptr_t pcs[FRAMES_MAX];
	uint32_t node = base;
	size_t count;

	if (base == 0)
		return native;
	if (entry->native == native && entry->base == base)
		return entry->node;
	count = frames_above(native, pcs);
	for (size_t i = count; i > 0 && node != 0; i--)
		node = stack_tree_native(node, pcs[i - 1]);
	if (count == 0 || node == 0)
		node = native;
	*entry = (struct entry){native, base, node};
	return node;
}
