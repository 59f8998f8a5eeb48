/* SPDX-License-Identifier: Apache-2.0
 *
 * Where in the Python program a block was born.  Runs inside the allocator
 * hook with the interpreter's lock held: plain loads along the frame chain, no
 * reference counted, nothing allocated.  Only a frame that was not seen before
 * asks the interpreter for its line (PyCode_Addr2Line, which allocates nothing
 * either).
 *
 * Code objects die and their addresses come back: the block of each one that is
 * in the cache is watched, and when it is freed its instructions are thrown out.
 * Sub-interpreters with a lock of their own may write an entry at once: at worst
 * an allocation is attributed to another line, nothing more.
 */
#include "cpython_stack.h"

#include "../arch.h"
#include "../arena.h"
#include "../config.h"
#include "../emit.h"
#include "../hot.h"
#include "../managed.h"

#define DEPTH_MAX 256u

static const uintptr_t s_ask; /* where the state must be asked for */
HOT struct cpython_stack_state g_py_stack = {.thread_state = &s_ask};

struct frame {
	uintptr_t code, instr; /* addresses */
};

void cpython_stack_forget(uintptr_t address, uint64_t size)
{
	for (unsigned i = 0; g_py_stack.cache != NULL && i < CPYTHON_STACK_CACHE; i++) {
		if (g_py_stack.cache[i].instr - address < size)
			g_py_stack.cache[i].instr = 0;
	}
}

/* False for the interpreter's own shim frames, which run no code object. */
static bool read_frame(uintptr_t frame, struct frame *ret)
{
	uint16_t owner = g_py_layout->frame_owner;

	ret->code = py_word((void *)frame, g_py_layout->frame_code);
	if (owner != 0 && *(const uint8_t *)(frame + owner) == PY_FRAME_OWNER_SHIM)
		return false;
	if (ret->code == 0 || (ret->code & 7) != 0 ||
	    ((struct py_object *)ret->code)->type != g_py.PyCode_Type)
		return false;
	ret->instr = py_word((void *)frame, g_py_layout->frame_instr);
	return true;
}

/* Innermost first. */
static size_t walk(uintptr_t at, struct frame *frames, size_t max)
{
	size_t count = 0;

	for (; at != 0 && count < max; at = py_word((void *)at, g_py_layout->frame_previous))
		count += read_frame(at, &frames[count]);
	return count;
}

/* In bytes from the first; before the first one runs, less than 0. */
static intptr_t instr_offset(const struct frame *frame)
{
	return (intptr_t)(frame->instr - (frame->code + g_py_layout->code_bytes));
}

static uint32_t script_node(uint32_t parent, const struct frame *frame)
{
	const struct py_code *code = (const struct py_code *)frame->code;
	uint32_t function = cpython_text_intern((struct py_object *)py_word(code, PY_CODE_QUALNAME));
	uint32_t file = cpython_text_intern((struct py_object *)py_word(code, PY_CODE_FILENAME));
	int line = g_py.PyCode_Addr2Line(code, (int)instr_offset(frame));

	return stack_tree_script(parent, function, file, line > 0 ? (uint32_t)line : 0);
}

static uint32_t new_node(uint32_t parent, const struct frame *frame)
{
	managed_watch(frame->code);
	return script_node(parent, frame);
}

static uint32_t node_of(uint32_t parent, const struct frame *frame)
{
	struct cpython_stack_entry *entry = cpython_stack_entry(frame->instr, parent);
	uint32_t node;

	if (entry->instr == frame->instr && entry->parent == parent)
		return entry->node;
	node = new_node(parent, frame);
	if (node != 0)
		*entry = (struct cpython_stack_entry){frame->instr, parent, node};
	return node;
}

uintptr_t cpython_stack_state(void)
{
	return g_py_stack.thread_state != &s_ask ? cpython_stack_state_seen()
						 : (uintptr_t)g_py.current_thread_state();
}

/* The node of the innermost frame that runs Python code, looked up and made. */
static __attribute__((noinline)) uint32_t top_slow(uintptr_t at)
{
	struct frame frame;
	struct guard guard;
	uint32_t node = 0;

	(void)guard_enter(&guard);
	while (at != 0 && !read_frame(at, &frame))
		at = py_word((void *)at, g_py_layout->frame_previous);
	if (at != 0)
		node = node_of(0, &frame);
	guard_leave(&guard);
	return node;
}

static inline uint32_t top(uintptr_t state)
{
	const struct cpython_stack_entry *entry = cpython_stack_seen(state);

	return __builtin_expect(entry != NULL, 1) ? entry->node : top_slow(cpython_stack_frame_of(state));
}

static size_t depth(void)
{
	return g_config.python_depth < DEPTH_MAX ? g_config.python_depth : DEPTH_MAX;
}

static uint32_t capture_chain(uintptr_t state)
{
	struct frame frames[DEPTH_MAX];
	size_t count = walk(cpython_stack_frame_of(state), frames, depth());
	uint32_t node = 0;

	while (count-- > 0)
		node = node_of(node, &frames[count]);
	return node;
}

static inline uint32_t capture_of(uintptr_t state)
{
	return __builtin_expect(g_config.python_depth == 1, 1) ? top(state) : capture_chain(state);
}

uint32_t cpython_stack_capture(struct thread *thread, const struct stack_start *start)
{
	uintptr_t state;

	if (g_config.python_depth == 0)
		return stack_capture(thread, start);
	if (g_py_stack.cache == NULL || (state = cpython_stack_state()) == 0)
		return 0;
	return capture_of(state);
}

/* Where a thread state keeps the identity of its thread, which is the thread
 * pointer; 0: not found. */
static HOT uint32_t s_thread_identity;
#define THREAD_STATE_LOOK 280u /* no thread state is smaller */

static void find_identity(const void *own)
{
	uint32_t found = 0, count = 0;

	for (uint32_t at = 0; own != NULL && at < THREAD_STATE_LOOK; at += sizeof(void *)) {
		if (py_word(own, at) == arch_thread_pointer()) {
			found = at;
			count++;
		}
	}
	s_thread_identity = count == 1 ? found : 0;
}

/* The state that this thread was last seen to have the lock with.  Another may
 * have one at the same address by now, with its own identity. */
static __thread uintptr_t t_state GUARD_TLS;

static inline bool was_seen_with_lock(uintptr_t state)
{
	return state != 0 && state == t_state && s_thread_identity != 0 &&
	       py_word((const void *)state, s_thread_identity) == arch_thread_pointer();
}

/* The thread state of the calling thread if it has the lock, else 0. */
static __attribute__((noinline)) uintptr_t state_with_lock(void)
{
	const uintptr_t state = cpython_stack_state();

	if (was_seen_with_lock(state))
		return state;
	if (state == 0 || !cpython_has_lock())
		return 0;
	t_state = state;
	return state;
}

/* A thread that let go of the lock for a while: its frames stay as they are until
 * it comes back, but the cache is somebody else's.  The last answer serves as
 * long as the same instruction waits. */
static __thread struct frame t_waiting GUARD_TLS;
static __thread uint32_t t_waiting_node GUARD_TLS;

static uint32_t capture_without_lock(void)
{
	const void *state = g_py.PyGILState_GetThisThreadState();
	struct frame frames[DEPTH_MAX];
	uint32_t node = 0;
	size_t count;

	if (state != NULL && g_py_stack.cframe >= 0)
		state = (const void *)py_word(state, g_py_stack.cframe);
	if (state == NULL)
		return 0;
	count = walk(py_word(state, g_py_stack.current_frame), frames, depth());
	if (count == 1 && frames[0].code == t_waiting.code && frames[0].instr == t_waiting.instr)
		return t_waiting_node;
	for (size_t i = count; i > 0; i--)
		node = script_node(node, &frames[i - 1]);
	if (count == 1) {
		t_waiting = frames[0];
		t_waiting_node = node;
	}
	return node;
}

/* What the interpreter, or a library that it called, takes from malloc; claimed only
 * where there is a cache. */
static HOT_CODE uint32_t capture_for_malloc(void)
{
	uintptr_t state = cpython_stack_state_seen();

	if (__builtin_expect(!was_seen_with_lock(state), 0) && (state = state_with_lock()) == 0)
		return capture_without_lock();
	return capture_of(state);
}

void cpython_stack_find_interpreter(void)
{
	uintptr_t bias;
	uint32_t own = modules_find((uintptr_t)g_py.Py_GetVersion, &bias);

	g_py.start = g_py.end = 0;
	for (uint32_t i = 0; own != 0 && i < modules_record_count(); i++) {
		const struct module_record *module = modules_record(i);

		if (module->number != own)
			continue;
		g_py.start = module->start;
		g_py.end = module->end;
		return;
	}
}

/* All calls of malloc that come out of the interpreter's own module. */
static void claim_interpreter(void)
{
	g_stack_claim.start = g_py.start;
	g_stack_claim.capture = capture_for_malloc;
	stack_claim_set(g_py.end - g_py.start);
}

/* In most versions the function that tells does no more than to read a variable. */
static void find_thread_state(void)
{
	const uintptr_t *variable = arch_variable_of((uintptr_t)g_py.current_thread_state);

	g_py_stack.thread_state =
		variable != NULL && *variable == (uintptr_t)g_py.current_thread_state() ? variable : &s_ask;
}

/* Compares what the offsets give with what the interpreter says of the frame
 * that is running right now. */
static bool agrees(struct py_object *frame_object, struct py_code *code)
{
	const uintptr_t state = cpython_stack_state();
	const uintptr_t at = state != 0 ? cpython_stack_frame_of(state) : 0;
	struct frame frame = {0};

	/* The frame object leads to the same frame by another way. */
	if (at == 0 || py_word(frame_object, PY_FRAME_OBJECT_FRAME) != at || !read_frame(at, &frame))
		return false;
	if (frame.code != (uintptr_t)code)
		return false;
	if (g_py.PyFrame_GetLasti != NULL && g_py.PyFrame_GetLasti(frame_object) != (int)instr_offset(&frame))
		return false;
	return cpython_text_intern((struct py_object *)py_word(code, PY_CODE_QUALNAME)) != 0 &&
	       cpython_text_intern((struct py_object *)py_word(code, PY_CODE_FILENAME)) != 0;
}

bool cpython_stack_validate(void)
{
	struct py_object *frame_object = g_py.PyEval_GetFrame(); /* borrowed */
	struct py_code *code;

	if (frame_object == NULL || g_py_layout->frames_unknown)
		return false;
	code = g_py.PyFrame_GetCode(frame_object);
	if (code == NULL)
		return false;
	find_identity(g_py.current_thread_state());
	find_thread_state();
	g_py_stack.cframe = g_py_layout->cframe;
	g_py_stack.current_frame = g_py_layout->current_frame;
	g_py_stack.frame_instr = g_py_layout->frame_instr;
	if (g_py_stack.cache == NULL && agrees(frame_object, code))
		g_py_stack.cache = arena_map_used(CPYTHON_STACK_CACHE * sizeof(*g_py_stack.cache));
	g_py.Py_DecRef((struct py_object *)code);
	if (g_py_stack.cache != NULL && g_config.python_depth > 0)
		claim_interpreter();
	return g_py_stack.cache != NULL;
}
