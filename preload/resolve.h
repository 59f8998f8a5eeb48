/* SPDX-License-Identifier: Apache-2.0
 *
 * The functions behind the hooks, found with RTLD_NEXT, so that a linked
 * allocator (jemalloc, tcmalloc) is honoured.  They are looked up at the first
 * hooked call, which may come from the dynamic loader before any constructor.
 * Tracing is set up at the first one that comes after libc's constructor, so
 * that the constructors of other libraries are seen too.
 * What the lookup itself allocates comes from a small static boot region and
 * never meets a real allocator.
 */
#ifndef RESOLVE_H
#define RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hooks.h"

struct resolve_real {
#define X(name, group, result, parameters) result(*name) parameters;
	HOOKS(X)
#undef X
};
extern struct resolve_real g_real;

enum resolve_state {
	RESOLVE_NONE,  /* before the first call */
	RESOLVE_EARLY, /* g_real is usable, tracing is not set up: libc may not be */
	RESOLVE_DONE,
};
extern uint32_t g_resolve_state;

bool resolve_slow(void);
/* The library's constructor: what no hooked call has done before is done now. */
void resolve_finish(void);

/* True when g_real may be used; false inside the lookup: use the boot region. */
static inline bool resolve_ready(void)
{
	return __builtin_expect(__atomic_load_n(&g_resolve_state, __ATOMIC_ACQUIRE) == RESOLVE_DONE, 1) ||
	       resolve_slow();
}

/* The program's (or another preload's) malloc comes before ours: no hook of the
 * heap will ever be called. */
bool resolve_malloc_is_foreign(void);

/* g_real.malloc is glibc's: chunk headers are as roots_heap.c knows them. */
bool resolve_malloc_is_libc(void);

#define RESOLVE_BOOT_SIZE (32u << 10)
extern uint8_t g_resolve_boot[RESOLVE_BOOT_SIZE];

static inline bool resolve_boot_owns(const void *block)
{
	return (uintptr_t)block - (uintptr_t)g_resolve_boot < RESOLVE_BOOT_SIZE;
}
void *resolve_boot_alloc(size_t alignment, size_t size);
size_t resolve_boot_size(const void *block);

#endif
