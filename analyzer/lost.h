/* SPDX-License-Identifier: Apache-2.0
 *
 * What neither roots nor structures lead to: leaked blocks, objects with more
 * counts than references, and cycles that only the scan shows.
 */
#ifndef LOST_H
#define LOST_H

#include "slots.h"

/* Fills `ret` as verdict_lost does, with these verdicts:
 *     stranded           a cycle; the counts of its objects, if it has any, are
 *                        all pointers from lost memory
 *     over-referenced    an object with more counts than lost memory points to it; by what
 *                        `slots` (NULL: nothing) knows of places, also a cycle that is none
 *     leaked             no cycle, no count that says somebody should hold it
 * The stranded ones come first; *stranded is their number. */
enum error_code lost_find(const struct graph *graph, const struct reach *reach, const struct slots *slots,
			  struct verdict_result *ret, size_t *stranded, struct error *error);

/* Of an over-referenced structure: the member with counts that nobody has. */
uint32_t lost_representative(const struct graph *graph, const struct structure *structure);

#endif
