/* SPDX-License-Identifier: Apache-2.0
 *
 * A lock for a few instructions, for the annotation side only.  It never waits
 * without bound: a thread that cannot get it in time goes on without, and what
 * it wanted to note is missing in the live answers (the trace has the event
 * all the same).  A fork child finds the locks of threads that it does not
 * have open, because a word is only held in the epoch that took it.
 * Take it under the guard only: then no signal handler can want it again.
 */
#ifndef SPIN_H

#include <stdbool.h>
#include <stdint.h>

struct spin {
	uint32_t word; /* 0 = free, else the epoch of its holder */
};

/* From 1; one more in every fork child. */
extern uint32_t g_spin_epoch;

static inline void spin_after_fork(void)
{
	__atomic_add_fetch(&g_spin_epoch, 1, __ATOMIC_RELAXED);
}

static inline bool spin_try(struct spin *spin)
{
	uint32_t epoch = __atomic_load_n(&g_spin_epoch, __ATOMIC_RELAXED);
	uint32_t word = __atomic_load_n(&spin->word, __ATOMIC_RELAXED);

	return word != epoch && __atomic_compare_exchange_n(&spin->word, &word, epoch, false,
							    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

bool spin_lock_slow(struct spin *spin);

static inline bool spin_lock(struct spin *spin)
{
	return spin_try(spin) || spin_lock_slow(spin);
}

static inline void spin_unlock(struct spin *spin)
{
	__atomic_store_n(&spin->word, 0, __ATOMIC_RELEASE);
}

#endif
