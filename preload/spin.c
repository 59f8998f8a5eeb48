/* SPDX-License-Identifier: Apache-2.0
 *
 * The contended case of the bounded lock.  Runs in the target's threads, under
 * the guard; gives the processor up now and then, but never sleeps.
 */
#include "spin.h"

#include <sched.h>

#define SPIN_TRIES 20000u
#define SPIN_TURN  1024u /* tries between two yields */

uint32_t g_spin_epoch = 1;

bool spin_lock_slow(struct spin *spin)
{
	for (unsigned i = 1; i < SPIN_TRIES; i++) {
		if (spin_try(spin))
			return true;
		if (i % SPIN_TURN == 0)
			sched_yield();
		else
			__builtin_ia32_pause();
	}
	return false;
}
