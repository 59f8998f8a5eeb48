/* SPDX-License-Identifier: Apache-2.0
 *
 * Where in the Python program a block was born.  Runs inside the allocator
 * hook with the interpreter's lock and the guard held: plain loads along the
 * frame chain, no reference counted, nothing allocated.  A frame seen before
 * is one look into the thread's cache; only a new one asks the interpreter for
 * its line (PyCode_Addr2Line, which allocates nothing either).
 */
#include "cpython.h"

#include "../arena.h"
#include "../config.h"
#include "../emit.h"

#define DEPTH_MAX     256u
#define CACHE_ENTRIES 4096u  /* per thread */
#define CODE_SLOTS    65536u /* for the process */

/* Code objects die and their addresses come back.  Every slot numbers the code
 * objects that it stood for; a cached frame is good while its slot still has
 * the number it was made with.  Two living code objects that share a slot push
 * each other out: slow, never wrong. */
struct code_slot {
	uintptr_t code;
	uint64_t serial;
};
static struct code_slot *s_codes;
static bool s_valid; /* the frame layout was checked on a living frame */

struct frame {
	uintptr_t code;
	intptr_t instr; /* byte offset in the code */
};

struct cached {
	struct frame frame;
	uint64_t serial;
	uint32_t parent, node;
};

static uint64_t mix(uint64_t value)
{
	value *= UINT64_C(0x9e3779b97f4a7c15);
	return value ^ value >> 32;
}

static struct code_slot *code_slot(uintptr_t code)
{
	return &s_codes[mix(code >> 4) % CODE_SLOTS];
}

size_t cpython_stack_code_size(void)
{
	return s_codes != NULL ? g_py_layout->code_bytes : SIZE_MAX;
}

void cpython_stack_forget(uintptr_t address)
{
	struct code_slot *slot;

	if (s_codes == NULL)
		return;
	slot = code_slot(address);
	if (__atomic_load_n(&slot->code, __ATOMIC_RELAXED) != address)
		return;
	__atomic_store_n(&slot->code, 0, __ATOMIC_RELAXED);
	__atomic_add_fetch(&slot->serial, 1, __ATOMIC_RELAXED);
}

/* The number under which frames of this code object may be cached. */
static uint64_t code_serial(uintptr_t code)
{
	struct code_slot *slot = code_slot(code);

	if (__atomic_load_n(&slot->code, __ATOMIC_RELAXED) != code) {
		__atomic_store_n(&slot->code, code, __ATOMIC_RELAXED);
		__atomic_add_fetch(&slot->serial, 1, __ATOMIC_RELAXED);
	}
	return __atomic_load_n(&slot->serial, __ATOMIC_RELAXED);
}

static uintptr_t current_frame(void)
{
	uintptr_t state = (uintptr_t)g_py.current_thread_state();

	if (state != 0 && g_py_layout->cframe >= 0)
		state = py_word((void *)state, g_py_layout->cframe);
	return state != 0 ? py_word((void *)state, g_py_layout->current_frame) : 0;
}

/* False for the interpreter's own shim frames, which run no code object. */
static bool read_frame(uintptr_t frame, struct frame *ret)
{
	ret->code = py_word((void *)frame, g_py_layout->frame_code);
	if (ret->code == 0 || (ret->code & 7) != 0 ||
	    ((struct py_object *)ret->code)->type != g_py.PyCode_Type)
		return false;
	ret->instr = (intptr_t)(py_word((void *)frame, g_py_layout->frame_instr) -
				(ret->code + g_py_layout->code_bytes));
	return true;
}

/* Innermost first. */
static size_t walk(struct frame *frames, size_t max)
{
	size_t count = 0;

	for (uintptr_t at = current_frame(); at != 0 && count < max;
	     at = py_word((void *)at, g_py_layout->frame_previous))
		count += read_frame(at, &frames[count]);
	return count;
}

static uint32_t new_node(uint32_t parent, const struct frame *frame)
{
	const struct py_code *code = (const struct py_code *)frame->code;
	uint32_t function = cpython_text_intern((struct py_object *)py_word(code, PY_CODE_QUALNAME));
	uint32_t file = cpython_text_intern((struct py_object *)py_word(code, PY_CODE_FILENAME));
	int line = g_py.PyCode_Addr2Line(code, (int)frame->instr);

	return stack_tree_script(parent, function, file, line > 0 ? (uint32_t)line : 0);
}

static uint32_t node_of(struct cached *cache, uint32_t parent, const struct frame *frame)
{
	uint64_t hash = mix(frame->code ^ (uint64_t)frame->instr << 20 ^ (uint64_t)parent << 40);
	struct cached *entry = &cache[hash % CACHE_ENTRIES];
	uint64_t serial = code_serial(frame->code);

	if (entry->frame.code != frame->code || entry->frame.instr != frame->instr ||
	    entry->serial != serial || entry->parent != parent) {
		uint32_t node = new_node(parent, frame);

		*entry = (struct cached){*frame, serial, parent, node};
	}
	return entry->node;
}

/* The usual depth: no array, no second pass. */
static uint32_t capture_top(struct cached *cache)
{
	struct frame frame;

	for (uintptr_t at = current_frame(); at != 0; at = py_word((void *)at, g_py_layout->frame_previous)) {
		if (__builtin_expect(read_frame(at, &frame), 1))
			return node_of(cache, 0, &frame);
	}
	return 0;
}

static uint32_t capture_chain(struct cached *cache)
{
	struct frame frames[DEPTH_MAX];
	size_t count = walk(frames, g_config.python_depth < DEPTH_MAX ? g_config.python_depth : DEPTH_MAX);
	uint32_t node = 0;

	while (count-- > 0)
		node = node_of(cache, node, &frames[count]);
	return node;
}

uint32_t cpython_stack_capture(struct thread *thread, const struct stack_start *start)
{
	if (g_config.python_depth == 0)
		return stack_capture(thread, start);
	if (!s_valid)
		return 0;
	if (thread->script == NULL)
		thread->script = arena_map(CACHE_ENTRIES * sizeof(struct cached));
	if (thread->script == NULL)
		return 0;
	return g_config.python_depth == 1 ? capture_top(thread->script) : capture_chain(thread->script);
}

/* Compares what the offsets give with what the interpreter says of the frame
 * that is running right now. */
static bool agrees(struct py_object *frame_object, struct py_code *code)
{
	struct frame frame = {0};
	uintptr_t at = current_frame();

	/* The frame object leads to the same frame by another way. */
	if (at == 0 || py_word(frame_object, PY_FRAME_OBJECT_FRAME) != at || !read_frame(at, &frame))
		return false;
	if (frame.code != (uintptr_t)code)
		return false;
	if (g_py.PyFrame_GetLasti != NULL && g_py.PyFrame_GetLasti(frame_object) != (int)frame.instr)
		return false;
	return cpython_text_intern((struct py_object *)py_word(code, PY_CODE_QUALNAME)) != 0 &&
	       cpython_text_intern((struct py_object *)py_word(code, PY_CODE_FILENAME)) != 0;
}

bool cpython_stack_validate(void)
{
	struct py_object *frame_object = g_py.PyEval_GetFrame(); /* borrowed */
	struct py_code *code;

	if (frame_object == NULL)
		return false;
	code = g_py.PyFrame_GetCode(frame_object);
	if (code == NULL)
		return false;
	s_codes = arena_map(CODE_SLOTS * sizeof(*s_codes));
	s_valid = s_codes != NULL && agrees(frame_object, code);
	g_py.Py_DecRef((struct py_object *)code);
	return s_valid;
}
