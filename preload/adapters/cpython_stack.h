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
	uintptr_t instr; /* address of an instruction, 0: the entry is free */
	uint32_t parent, node;
};

/* Set when the layout of frames was checked; before, `cache` is NULL. */
struct cpython_stack_state {
	struct cpython_stack_entry *cache;
	const uintptr_t *thread_state; /* of the thread that runs; NULL: one must ask */
	int32_t cframe, current_frame, frame_instr;
};
extern struct cpython_stack_state g_py_stack;

static inline struct cpython_stack_entry *cpython_stack_entry(uintptr_t instr, uint32_t parent)
{
	uint64_t hash = (instr >> 1 ^ (uint64_t)parent << 32) * UINT64_C(0x9e3779b97f4a7c15);

	return &g_py_stack.cache[hash >> 32 & (CPYTHON_STACK_CACHE - 1)];
}

static inline uintptr_t cpython_stack_frame_of(uintptr_t state)
{
	if (g_py_stack.cframe >= 0 && state != 0)
		state = py_word((void *)state, g_py_stack.cframe);
	return state != 0 ? py_word((void *)state, g_py_stack.current_frame) : 0;
}

/* The thread state of who has the interpreter's lock. */
static inline uintptr_t cpython_stack_state(void)
{
	return g_py_stack.thread_state != NULL ? __atomic_load_n(g_py_stack.thread_state, __ATOMIC_RELAXED)
					       : (uintptr_t)g_py.current_thread_state();
}

static inline uintptr_t cpython_stack_frame(void)
{
	return cpython_stack_frame_of(cpython_stack_state());
}

/* The node of the innermost frame that runs Python code, looked up and made. */
uint32_t cpython_stack_top_slow(uintptr_t frame);

/* The same if it was seen before, else 0: no calls.  Only where g_py_stack.cache is
 * not NULL, as the next one. */
static inline uint32_t cpython_stack_seen(uintptr_t frame)
{
	const struct cpython_stack_entry *entry;
	uintptr_t instr;

	if (__builtin_expect(frame == 0, 0))
		return 0;
	instr = py_word((void *)frame, g_py_stack.frame_instr);
	entry = cpython_stack_entry(instr, 0);
	return __builtin_expect(entry->instr == instr && entry->parent == 0, 1) ? entry->node : 0;
}

static inline uint32_t cpython_stack_top(void)
{
	const uintptr_t frame = cpython_stack_frame();
	const uint32_t node = cpython_stack_seen(frame);

	return __builtin_expect(node != 0 || frame == 0, 1) ? node : cpython_stack_top_slow(frame);
}

bool cpython_stack_validate(void);
/* Fills g_py.start and g_py.end; guard held. */
void cpython_stack_find_interpreter(void);
/* To the configured depth, native frames where that is 0; guard held. */
uint32_t cpython_stack_capture(struct thread *thread, const struct stack_start *start);
/* A block that was seen as a code object is gone, and its frames with it. */
void cpython_stack_forget(uintptr_t address, uint64_t size);

#endif
