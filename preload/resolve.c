/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds the real functions.  Runs in whatever thread makes the first hooked
 * call, usually the dynamic loader in front of all constructors, when only one
 * thread exists.  Must not allocate: dlsym() may, and lands in the boot region.
 */
#include "resolve.h"

#include <dlfcn.h>
#include <string.h>

struct resolve_real g_real;
bool g_resolved;
uint8_t g_resolve_boot[RESOLVE_BOOT_SIZE] __attribute__((aligned(64)));

static size_t s_boot_used;
static bool s_resolving;

/* The size of a boot block stands in the 16 bytes before it. */
#define BOOT_HEADER 16u

void *resolve_boot_alloc(size_t alignment, size_t size)
{
	size_t start;

	if (alignment < BOOT_HEADER)
		alignment = BOOT_HEADER;
	if (size > RESOLVE_BOOT_SIZE || alignment > RESOLVE_BOOT_SIZE)
		return NULL;
	start = (s_boot_used + BOOT_HEADER + alignment - 1) & ~(alignment - 1);
	if (start + size > RESOLVE_BOOT_SIZE)
		return NULL;
	s_boot_used = start + size;
	memcpy(g_resolve_boot + start - BOOT_HEADER, &size, sizeof(size));
	return g_resolve_boot + start;
}

size_t resolve_boot_size(const void *block)
{
	size_t size;

	memcpy(&size, (const uint8_t *)block - BOOT_HEADER, sizeof(size));
	return size;
}

bool resolve_slow(void)
{
	struct resolve_real real;

	if (s_resolving)
		return false;
	s_resolving = true;
	/* Some are missing from some libcs (cfree, free_sized): those stay NULL
	 * and their hooks do without. */
#define X(name, group, result, parameters) *(void **)&real.name = dlsym(RTLD_NEXT, #name);
	HOOKS(X)
#undef X
	g_real = real;
	__atomic_store_n(&g_resolved, true, __ATOMIC_RELEASE);
	return true;
}

bool resolve_malloc_is_foreign(void)
{
	Dl_info first, own;

	return dladdr(dlsym(RTLD_DEFAULT, "malloc"), &first) != 0 && dladdr(&g_real, &own) != 0 &&
	       first.dli_fbase != own.dli_fbase;
}
