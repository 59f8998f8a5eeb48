/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts of what was not seen.  Runs in any thread of the target and in the
 * helper; lock-free, never fails.
 */
#include "limits.h"

#include <string.h>

#include "emit.h"

/* Details beyond these are counted without a detail. */
#define DETAILS 8u

static struct {
	const char *detail; /* set once; "" for none */
	uint64_t count;
} s_limits[CASTAWAY_LIMIT_COUNT][DETAILS];

void limits_count(enum castaway_limit limit, uint64_t count, const char *detail)
{
	unsigned slot = 0;

	if (detail == NULL)
		detail = "";
	for (; slot < DETAILS; slot++) {
		const char *there = NULL;

		if (__atomic_compare_exchange_n(&s_limits[limit][slot].detail, &there, detail, false,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) ||
		    there == detail || strcmp(there, detail) == 0)
			break;
	}
	if (slot == DETAILS)
		slot = 0;
	__atomic_fetch_add(&s_limits[limit][slot].count, count, __ATOMIC_RELAXED);
}

void limits_set(enum castaway_limit limit, uint64_t count)
{
	__atomic_store_n(&s_limits[limit][0].detail, "", __ATOMIC_RELEASE);
	__atomic_store_n(&s_limits[limit][0].count, count, __ATOMIC_RELAXED);
}

bool limits_get(uint32_t index, uint32_t *limit, uint64_t *count, const char **detail)
{
	if (index >= CASTAWAY_LIMIT_COUNT * DETAILS)
		return false;
	*limit = index / DETAILS;
	*count = __atomic_load_n(&s_limits[*limit][index % DETAILS].count, __ATOMIC_RELAXED);
	*detail = __atomic_load_n(&s_limits[*limit][index % DETAILS].detail, __ATOMIC_ACQUIRE);
	return true;
}

void limits_after_fork(void)
{
	memset(s_limits, 0, sizeof(s_limits));
}
