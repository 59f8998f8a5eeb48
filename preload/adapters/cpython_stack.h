/* SPDX-License-Identifier: Apache-2.0
 *
 * The short way from the allocator hook to the place in the Python program: the
 * address of the running instruction names its code object and line, so it alone
 * is looked up.  A frame that was seen before costs a few loads; the rest is in
 * cpython_stack.c.  The lock of the interpreter is held wherever these run.
 */
#ifndef CPYTHON_STACK_H
#define CPYTHON_STACK_H

#include "cpython.h"

#define CPYTHON_STACK_CACHE 8192u

struct cpython_stack_entry {
	uintptr_t instr;       /* address of an instruction, 0: the entry is free */
	uint32_t parent, node; /* the node is never 0 */
};

/* Set when the layout of frames was checked; before, `cache` is NULL. */
struct cpython_stack_state {
	struct cpython_stack_entry *cache;
	const uintptr_t *thread_state; /* of the thread that runs; a word of 0 where one must ask */
	int32_t cframe, current_frame, frame_instr;
};
extern struct cpython_stack_state g_py_stack;

static inline struct cpython_stack_entry *cpython_stack_entry(uintptr_t instr, uint32_t parent)
{
	uint64_t hash = (instr >> 1 ^ (uint64_t)parent << 32) * UINT64_C(0x9e3779b97f4a7c15);

	return &g_py_stack.cache[hash >> 32 & (CPYTHON_STACK_CACHE - 1)];
}

/* The thread state of who has the interpreter's lock, 0: one must ask. */
static inline uintptr_t cpython_stack_state_seen(void)
{
	return __atomic_load_n(g_py_stack.thread_state, __ATOMIC_RELAXED);
}

/* The same, asked for where it must be; 0: nobody's. */
uintptr_t cpython_stack_state(void);

/* Of a thread state in use, which always has a cframe, if there are such. */
static inline uintptr_t cpython_stack_frame_of(uintptr_t state)
{
	if (g_py_stack.cframe >= 0)
		state = py_word((void *)state, g_py_stack.cframe);
	return py_word((void *)state, g_py_stack.current_frame);
}

/* The innermost frame that runs Python code as it was seen before, else NULL: no
 * calls.  Only where g_py_stack.cache is not NULL and the configured depth is 1, so
 * that no entry has a parent. */
static inline const struct cpython_stack_entry *cpython_stack_seen(uintptr_t state)
{
	const uintptr_t frame = cpython_stack_frame_of(state);
	const struct cpython_stack_entry *entry;
	uintptr_t instr;

	if (__builtin_expect(frame == 0, 0))
		return NULL;
	instr = py_word((void *)frame, g_py_stack.frame_instr);
	entry = cpython_stack_entry(instr, 0);
	return __builtin_expect(entry->instr == instr, 1) ? entry : NULL;
}

bool cpython_stack_validate(void);
/* Fills g_py.start and g_py.end; guard held. */
void cpython_stack_find_interpreter(void);
/* To the configured depth, native frames where that is 0; guard held. */
uint32_t cpython_stack_capture(struct thread *thread, const struct stack_start *start);
/* A block that was seen as a code object is gone, and its frames with it. */
void cpython_stack_forget(uintptr_t address, uint64_t size);

#endif
