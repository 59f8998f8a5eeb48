/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a program's main loop waits for something to do: a moment at which
 * adapters may look around.  Runs in the target's threads; only forwards.
 */
#include "adapters/adapter.h"
#include "guard.h"
#include "resolve.h"

HOOK_EXPORT int poll(struct pollfd *descriptors, nfds_t count, int timeout)
{
	struct guard guard;

	if (guard_enter(&guard))
		adapter_on_poll((uintptr_t)__builtin_return_address(0), timeout);
	guard_leave(&guard);
	(void)resolve_ready();
	return g_real.poll(descriptors, count, timeout);
}
