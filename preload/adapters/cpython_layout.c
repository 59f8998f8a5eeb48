/* SPDX-License-Identifier: Apache-2.0
 *
 * Which CPython is in this process, and where its private fields are.  Runs in
 * the preload's constructor.  A version that is not in the table gets no
 * adapter: offsets are never extrapolated.
 */
#include "cpython.h"

#include <dlfcn.h>

#include "../emit.h"

struct cpython_api g_py;
const struct cpython_layout *g_py_layout;

/* What 3.9 and 3.10 have in common: frames are objects, which are not walked. */
#define LAYOUT_OLD                                                                            \
	.frames_unknown = true, .unicode_ascii = 48, .unicode_compact = 72, .code_name = 112, \
	.code_free_names = 80, .frame_object_code = 32, .exception_traceback = 32, .gc_scan = 4096

/* In 3.10 and later. */
#define LAYOUT_FUNCTION .function_code = 48, .function_qualname = 40, .function_closure = 72
/* In 3.11 and later. */
#define LAYOUT_NEW LAYOUT_FUNCTION, .code_name = 128, .exception_traceback = 40

static const struct cpython_layout s_layouts[] = {
	{.minor = 9,
	 LAYOUT_OLD,
	 .function_code = 16,
	 .function_qualname = 104,
	 .function_closure = 48,
	 .type_qualname = 856,
	 .generator_qualname = 56},
	{.minor = 10, LAYOUT_OLD, LAYOUT_FUNCTION, .type_qualname = 864, .generator_qualname = 48},
	{.minor = 11,
	 LAYOUT_NEW,
	 .cframe = 56,
	 .current_frame = 8,
	 .frame_code = 32,
	 .frame_previous = 48,
	 .frame_instr = 56,
	 .frame_locals = 72,
	 .code_bytes = 184,
	 .code_locals_count = 76,
	 .unicode_ascii = 48,
	 .unicode_compact = 72,
	 .type_qualname = 864,
	 .type_cached_keys = 872,
	 .frame_object_data = 48,
	 .generator_frame = 80,
	 .generator_qualname = 40,
	 .values_place = PY_VALUES_BEFORE,
	 .values_first = 0,
	 .preheader_flags = PY_TYPE_MANAGED_DICT,
	 .gc_scan = 4096},
	{.minor = 12,
	 LAYOUT_NEW,
	 .cframe = 56,
	 .current_frame = 0,
	 .frame_code = 0,
	 .frame_previous = 8,
	 .frame_instr = 56,
	 .frame_locals = 72,
	 .frame_owner = 70,
	 .code_bytes = 192,
	 .code_locals_count = 72,
	 .unicode_ascii = 40,
	 .unicode_compact = 56,
	 .type_qualname = 872,
	 .type_cached_keys = 880,
	 .frame_object_data = 48,
	 .generator_frame = 72,
	 .generator_qualname = 32,
	 .thread_status = 24,
	 .values_place = PY_VALUES_TAGGED_DICT,
	 .values_first = 0,
	 .preheader_flags = PY_TYPE_MANAGED_DICT | 1ul << 3,
	 .gc_scan = 4096},
	{.minor = 13,
	 LAYOUT_NEW,
	 .cframe = -1,
	 .current_frame = 72,
	 .frame_code = 0,
	 .frame_previous = 8,
	 .frame_instr = 56,
	 .frame_locals = 72,
	 .code_bytes = 200,
	 .code_locals_count = 72,
	 .unicode_ascii = 40,
	 .unicode_compact = 56,
	 .type_qualname = 872,
	 .type_cached_keys = 880,
	 .frame_object_data = 64,
	 .generator_frame = 72,
	 .generator_qualname = 32,
	 .thread_status = 32,
	 .values_place = PY_VALUES_AFTER,
	 .values_first = 8,
	 .preheader_flags = PY_TYPE_MANAGED_DICT | 1ul << 3,
	 .gc_scan = 16384},
};

static void *s_library; /* NULL: what all of the program sees */

static void *lookup(const char *name)
{
	return dlsym(s_library != NULL ? s_library : RTLD_DEFAULT, name);
}

static bool load_functions(void)
{
	bool complete = true;

#define X(result, name, parameters)                                 \
	g_py.name = (result(*) parameters)(uintptr_t)lookup(#name); \
	complete &= g_py.name != NULL;
	CPYTHON_REQUIRED(X)
#undef X
#define X(result, name, parameters) g_py.name = (result(*) parameters)(uintptr_t)lookup(#name);
	CPYTHON_OPTIONAL(X)
#undef X
#define X(name)                    \
	g_py.name = lookup(#name); \
	complete &= g_py.name != NULL;
	CPYTHON_TYPES(X)
#undef X
	g_py.none = lookup("_Py_NoneStruct");
	g_py.is_debug_build = lookup("_Py_RefTotal") != NULL || lookup("_Py_GetRefTotal") != NULL ||
			      lookup("_Py_NegativeRefcount") != NULL;
	g_py.current_thread_state = g_py._PyThreadState_UncheckedGet != NULL
					    ? g_py._PyThreadState_UncheckedGet
					    : g_py.PyThreadState_GetUnchecked;
	return complete && g_py.none != NULL && g_py.current_thread_state != NULL;
}

/* "3.11.2 (main, ...)"; 0 = not a version 3. */
static unsigned minor_version(const char *version)
{
	unsigned minor = 0;

	if (version[0] != '3' || version[1] != '.')
		return 0;
	for (const char *at = version + 2; *at >= '0' && *at <= '9' && minor < 1000; at++)
		minor = minor * 10 + (unsigned)(*at - '0');
	return minor;
}

bool cpython_layout_load(void *library)
{
	unsigned minor;

	s_library = library;
	/* The quick way out for all programs that are no Python. */
	if (lookup("PyMem_GetAllocator") == NULL)
		return false;
	if (!load_functions()) {
		limits_count(CASTAWAY_LIMIT_ADAPTER_OFF, 1, "cpython: its functions are not all exported");
		return false;
	}
	/* A free-threaded build has another object header and no lock. */
	minor = lookup("_Py_MergeZeroLocalRefcount") == NULL ? minor_version(g_py.Py_GetVersion()) : 0;
	for (size_t i = 0; i < sizeof(s_layouts) / sizeof(*s_layouts); i++) {
		if (s_layouts[i].minor == minor)
			g_py_layout = &s_layouts[i];
	}
	if (g_py_layout == NULL)
		limits_count(CASTAWAY_LIMIT_ADAPTER_OFF, 1, "cpython: this version is not known");
	return g_py_layout != NULL;
}
