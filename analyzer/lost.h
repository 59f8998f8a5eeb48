/* SPDX-License-Identifier: Apache-2.0
 *
 * What neither roots nor structures lead to: leaked blocks, objects with more
 * counts than references, and cycles that only the scan shows.
 */
#ifndef LOST_H
#define LOST_H

#include "reach.h"

/* Fills `ret` as verdict_lost does, with these verdicts:
 *     stranded           a cycle; the counts of its objects, if it has any, are
 *                        all pointers from lost memory
 *     over-referenced    an object with more counts than lost memory points to it
 *     leaked             no cycle, no count that says somebody should hold it
 * The stranded ones come first; *stranded is their number. */
enum error_code lost_find(const struct graph *graph, const struct reach *reach, struct verdict_result *ret,
			  size_t *stranded, struct error *error);

/* Of an over-referenced structure: the member with the most counts. */
uint32_t lost_representative(const struct graph *graph, const struct structure *structure);

#endif
