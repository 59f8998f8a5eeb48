/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds the real functions.  Runs in whatever thread makes the first hooked
 * call, usually the dynamic loader in front of all constructors, when only one
 * thread exists.  Must not allocate: dlsym() may, and lands in the boot region.
 */
#include "resolve.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#include "hot.h"
#include "process.h"

HOT struct resolve_real g_real;
HOT uint32_t g_resolve_state;
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

static void look_up(void)
{
	/* Some are missing from some libcs (cfree, free_sized): those stay NULL
	 * and their hooks do without. */
#define X(name, group, result, parameters) *(void **)&g_real.name = dlsym(RTLD_NEXT, #name);
	HOOKS(X)
#undef X
}

void resolve_finish(void)
{
	if (__atomic_exchange_n(&g_resolve_state, RESOLVE_DONE, __ATOMIC_ACQ_REL) != RESOLVE_DONE)
		main_set_up(environ);
}

/* Setting up opens a library, so libc must have been initialized, and the
 * loader must not be in the middle of a dlopen() of its own. */
static bool may_set_up(void)
{
	return environ != NULL && _r_debug.r_state == RT_CONSISTENT;
}

bool resolve_slow(void)
{
	if (__atomic_load_n(&g_resolve_state, __ATOMIC_ACQUIRE) == RESOLVE_NONE) {
		if (s_resolving)
			return false;
		s_resolving = true;
		look_up();
		__atomic_store_n(&g_resolve_state, RESOLVE_EARLY, __ATOMIC_RELEASE);
	}
	if (may_set_up())
		resolve_finish();
	return true;
}

bool resolve_malloc_is_foreign(void)
{
	Dl_info first, own;
	const ElfW(Sym) *symbol = NULL;

	if (dladdr1(dlsym(RTLD_DEFAULT, "malloc"), &first, (void **)&symbol, RTLD_DL_SYMENT) == 0 ||
	    dladdr(&g_real, &own) == 0 || first.dli_fbase == own.dli_fbase)
		return false;
	/* A program that takes malloc's address gives it one of its own, which
	 * leads to the first definition all the same. */
	return symbol == NULL || symbol->st_shndx != SHN_UNDEF;
}

bool resolve_malloc_is_libc(void)
{
	extern void *__libc_malloc(size_t size) __attribute__((weak));

	return __libc_malloc != NULL && g_real.malloc == __libc_malloc;
}
