/* SPDX-License-Identifier: Apache-2.0
 *
 * The limits table's other side: what the writer puts into LIMITS chunks.
 * Counting is limits_count() of emit.h.
 */
#ifndef LIMITS_H
#define LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "castaway/format.h"

/* Entry `index` from 0; false past the last.  *detail is NULL or *count is 0
 * where nothing was counted. */
bool limits_get(uint32_t index, uint32_t *limit, uint64_t *count, const char **detail);

/* For a total that is kept elsewhere; for limits that are never counted. */
void limits_set(enum castaway_limit limit, uint64_t count);

/* A fork child counts for itself. */
void limits_after_fork(void);

#endif
