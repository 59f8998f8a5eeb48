/* SPDX-License-Identifier: Apache-2.0
 *
 * Libraries that come and go.  Runs in the target's threads, around the real
 * dlopen(), dlmopen() and dlclose(); what those allocate is the target's, so
 * the guard is not held during the real calls.  New modules are found when a
 * stack first shows a pc in them.
 */
#include "hook_loader.h"

#include <dlfcn.h>

#include "adapters/adapter.h"
#include "emit.h"
#include "guard.h"
#include "resolve.h"
#include "stack.h"

static void note_open(int mode)
{
	struct guard guard;

	if (guard_enter(&guard)) {
		if ((mode & RTLD_DEEPBIND) != 0)
			limits_count(CASTAWAY_LIMIT_DEEPBIND, 1, NULL);
		adapter_on_dlopen();
	}
	guard_leave(&guard);
}

void *hook_loader_dlopen(const char *file, int mode)
{
	(void)resolve_ready();
	note_open(mode);
	return *(void **)&g_real.dlopen;
}

/* It has a C library of its own, and our library is not in it. */
static void note_namespace(void)
{
	struct guard guard;

	if (guard_enter(&guard))
		limits_count(CASTAWAY_LIMIT_NAMESPACE, 1, NULL);
	guard_leave(&guard);
}

void *hook_loader_dlmopen(long name_space, const char *file, int mode)
{
	(void)resolve_ready();
	note_open(mode);
	if (name_space != LM_ID_BASE)
		note_namespace();
	return *(void **)&g_real.dlmopen;
}

HOOK_EXPORT int dlclose(void *handle)
{
	struct guard guard;
	int result;

	(void)resolve_ready();
	stack_claim_pause();
	result = g_real.dlclose(handle);
	/* Its destructors have run and were recorded; the addresses may now be
	 * taken by another library. */
	if (guard_enter(&guard)) {
		modules_refresh();
		adapter_on_dlclose();
	}
	stack_claim_resume();
	guard_leave(&guard);
	return result;
}
