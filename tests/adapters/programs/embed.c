/* SPDX-License-Identifier: Apache-2.0
 *
 * A program that embeds CPython, strands Knots, and ends as its argument says.
 */
#include <Python.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void strand(int count)
{
	char text[200];

	snprintf(text, sizeof(text),
		 "import gc; gc.disable()\n"
		 "class Knot: pass\n"
		 "for _ in range(%d):\n"
		 "    knot = Knot(); knot.itself = knot\n"
		 "del knot\n",
		 count);
	PyRun_SimpleString(text);
}

/* An allocator of the program's own, on top of what was there. */
static PyMemAllocatorEx s_below;

static void *own_malloc(void *context, size_t size)
{
	return s_below.malloc(s_below.ctx, size);
}

static void *own_calloc(void *context, size_t count, size_t size)
{
	return s_below.calloc(s_below.ctx, count, size);
}

static void *own_realloc(void *context, void *block, size_t size)
{
	return s_below.realloc(s_below.ctx, block, size);
}

static void own_free(void *context, void *block)
{
	s_below.free(s_below.ctx, block);
}

static void put_own_allocator(void)
{
	PyMemAllocatorEx own = {NULL, own_malloc, own_calloc, own_realloc, own_free};

	PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &s_below);
	PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &own);
}

static void finalize(void)
{
	Py_FinalizeEx();
}

static void never_finalize(void)
{
}

/* The lock is free, and nobody is left to take it. */
static void without_lock(void)
{
	PyEval_SaveThread();
}

static void initialize_again(void)
{
	Py_FinalizeEx();
	Py_Initialize();
	strand(2);
	Py_FinalizeEx();
}

static void no_signals_again(void)
{
	Py_FinalizeEx();
	Py_InitializeEx(0);
	strand(2);
	Py_FinalizeEx();
}

static void subinterpreter(void)
{
	PyThreadState *own = PyThreadState_Get();

	Py_NewInterpreter();
	strand(1);
	PyThreadState_Swap(own);
}

static void abort_now(void)
{
	abort();
}

static void exec_true(void)
{
	execl("/bin/true", "true", (char *)NULL);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*end)(void);
	} ends[] = {
		{"finalize", finalize},
		{"own-allocator", finalize},
		{"never-finalize", never_finalize},
		{"without-lock", without_lock},
		{"initialize-again", initialize_again},
		{"no-signals-again", no_signals_again},
		{"subinterpreter", subinterpreter},
		{"abort", abort_now},
		{"exec", exec_true},
	};

	if (argc < 2)
		return 2;
	if (strcmp(argv[1], "own-allocator") == 0)
		put_own_allocator();
	Py_InitializeEx(argc == 2);
	strand(3);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (strcmp(argv[1], ends[i].name) == 0) {
			ends[i].end();
			return 0;
		}
	}
	return 2;
}
