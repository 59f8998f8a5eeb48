/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the variables lie that every event reads.  The processor knows the places
 * of some 64 pages at a time, and the target needs most of them: variables in ten
 * pages cost it more than the instructions that read them.
 */
#ifndef HOT_H
#define HOT_H

#define HOT_SECTION "castaway_hot"

/* Hardly ever written to. */
#define HOT __attribute__((section(HOT_SECTION)))

/* Written to as well: not in one cache line with others. */
#define HOT_WRITTEN __attribute__((section(HOT_SECTION), aligned(64)))

/* Functions that every event goes through, side by side for the same reason. */
#define HOT_CODE __attribute__((hot))

#endif
