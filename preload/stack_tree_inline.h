/* SPDX-License-Identifier: Apache-2.0
 *
 * The way down the tree of stacks that the fast unwinder takes for every frame that
 * it walks anew, as a part of it.  Others take the functions of stack.h.
 */
#ifndef STACK_TREE_INLINE_H
#define STACK_TREE_INLINE_H

#include "pool.h"
#include "stack.h"

/* What is read on the way down the tree is kept apart from the rest of a node:
 * four of these share a cache line. */
struct stack_tree_entry {
	uint64_t frame;       /* SCRIPT_BIT | function << 32 | file, or epoch << EPOCH_SHIFT | pc */
	uint32_t first_child; /* oldest */
	uint32_t next;        /* younger child of the same parent */
};
_Static_assert(sizeof(struct stack_tree_entry) == 16, "four nodes share a cache line");

/* A native frame is known to be the same code as long as the modules stay as
 * they are: the epoch's lowest bits tell. */
#define STACK_TREE_SCRIPT_BIT  (UINT64_C(1) << 63)
#define STACK_TREE_EPOCH_SHIFT 48
#define STACK_TREE_PC_MASK     ((UINT64_C(1) << STACK_TREE_EPOCH_SHIFT) - 1)

/* Nodes lie in the order of their first visits, and a program that does the same
 * once more visits them in that order: so many nodes on, two cache lines, is what
 * its next stacks will need. */
#define STACK_TREE_AHEAD 8

/* Entry 0 is the root, from which all stacks begin. */
extern struct pool g_stack_tree_entries;

/* For a child that is not among the first ones, or not there yet. */
uint32_t stack_tree_native_slow(uint32_t parent, uint64_t frame);

/* Of a node or the root.  The way down the tree waits for each entry before it knows
 * the next: so that of most is one step from its number. */
static inline struct stack_tree_entry *stack_tree_at(uint32_t number)
{
	const struct pool *pool = &g_stack_tree_entries;

	if (__builtin_expect(pool_is_near(pool, number), 1))
		return (struct stack_tree_entry *)(void *)pool->near + number;
	return (struct stack_tree_entry *)(void *)pool_segment(&g_stack_tree_entries, number) +
	       POOL_PLACE(number);
}

/* `pc` is within STACK_TREE_PC_MASK. */
static inline uint64_t stack_tree_frame(uint32_t epoch, uintptr_t pc)
{
	return ((uint64_t)epoch << STACK_TREE_EPOCH_SHIFT & ~STACK_TREE_SCRIPT_BIT) | pc;
}

/* The node for a native frame called from `parent`, 0 without memory.  *entry is the
 * parent's, and becomes the node's.  Mostly it is there, in the near part, and has few
 * siblings. */
static inline uint32_t stack_tree_child(uint32_t parent, uint64_t frame,
					const struct stack_tree_entry **entry)
{
	const struct stack_tree_entry *near = (const void *)g_stack_tree_entries.near;
	uint32_t number = __atomic_load_n(&(*entry)->first_child, __ATOMIC_ACQUIRE);

	while (__builtin_expect(pool_is_near(&g_stack_tree_entries, number), 1)) {
		*entry = near + number;
		if (__atomic_load_n(&(*entry)->frame, __ATOMIC_RELAXED) == frame) {
			__builtin_prefetch(*entry + STACK_TREE_AHEAD);
			return number;
		}
		number = __atomic_load_n(&(*entry)->next, __ATOMIC_ACQUIRE);
	}
	number = stack_tree_native_slow(parent, frame);
	*entry = stack_tree_at(number);
	return number;
}

#endif
