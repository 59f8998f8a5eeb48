/* SPDX-License-Identifier: Apache-2.0
 *
 * Call stacks.  stack_capture() walks and interns; the walker is behind
 * struct stack_walker, so that a faster one is one file more.
 */
#ifndef STACK_H
#define STACK_H

#include <stddef.h>
#include <stdint.h>

#include "thread.h"

/* The state at a hook's entry: where its caller will continue. */
struct stack_start {
	uintptr_t pc; /* __builtin_return_address(0) */
	uintptr_t sp; /* caller's stack pointer after the return */
	uintptr_t bp; /* caller's frame pointer register */
};

/* In the hook itself (not in a function that it calls). */
#define STACK_START()                                                       \
	((struct stack_start){                                              \
		(uintptr_t)__builtin_return_address(0),                     \
		(uintptr_t)__builtin_frame_address(0) + 2 * sizeof(void *), \
		*(uintptr_t *)__builtin_frame_address(0),                   \
	})

struct stack_walker {
	const char *name;
	/* Return addresses, innermost (start->pc) first; the count, 0 = none. */
	size_t (*walk)(struct thread *thread, const struct stack_start *start, uintptr_t *pcs, size_t max);
	/* Code in [lo, hi) was unmapped. */
	void (*forget)(uintptr_t lo, uintptr_t hi);
};
extern const struct stack_walker unwind_libunwind;

void stack_init(void);

/* A runtime whose own stacks say more: where the caller's pc is in [start,
 * start + size), its answer is taken.  It gives 0 when it has none just now. */
struct stack_claim {
	uintptr_t start, size;
	uint32_t (*capture)(void);
	uintptr_t whole; /* `size`, but while a library is being closed, when that is 0 */
	unsigned paused;
};
extern struct stack_claim g_stack_claim; /* `size` is written last */

void stack_claim_set(uintptr_t size); /* 0: no more */
/* While a library goes, which may be the runtime's, nothing of it is called. */
void stack_claim_pause(void);
void stack_claim_resume(void);

static inline bool stack_is_claimed(const struct stack_start *start)
{
	return start->pc - g_stack_claim.start < __atomic_load_n(&g_stack_claim.size, __ATOMIC_ACQUIRE);
}

/* Node of the calling thread's stack, 0 = none.  Call with the guard held. */
uint32_t stack_capture_native(struct thread *thread, const struct stack_start *start);
static inline uint32_t stack_capture(struct thread *thread, const struct stack_start *start)
{
	const uint32_t node = stack_is_claimed(start) ? g_stack_claim.capture() : 0;

	return node != 0 ? node : stack_capture_native(thread, start);
}

/* The tree (stack_tree.c): the node for `frame` called from `parent`.
 * Lock-free, append-only.  Without init(), or where that gave false, nodes are 0. */
bool stack_tree_init(void); /* once, before there are threads; false without memory */
uint32_t stack_tree_native(uint32_t parent, uintptr_t pc);
uint32_t stack_tree_script(uint32_t parent, uint32_t function, uint32_t file, uint32_t line);

/* For the writer: encodes nodes [from, count) into STACKS payload. */
uint32_t stack_tree_count(void);
struct stack_tree_node {
	uint32_t parent, tag; /* as in the trace */
	uint64_t address;     /* RAW, MODULE */
	uint32_t function, file, line;
};
void stack_tree_get(uint32_t node, struct stack_tree_node *ret);

/* Modules (modules.c): number of the module that holds pc, 0 = none. */
uint32_t modules_find(uintptr_t pc, uintptr_t *load_bias);
/* After dlopen/dlclose, or when pc is in no known module. */
void modules_refresh(void);
/* For the writer: LOAD and UNLOAD records, append-only. */
struct module_record {
	uint8_t op;
	uint32_t number;
	uint64_t load_bias, start, end, ticks;
	const char *path;
	uint8_t build_id[64];
	uint32_t build_id_size;
};
uint32_t modules_record_count(void);
const struct module_record *modules_record(uint32_t index);

#endif
