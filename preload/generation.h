/* SPDX-License-Identifier: Apache-2.0
 *
 * Generational bookkeeping as in CPython 3.11's collector, without a collector:
 * a pass only promotes and counts, in O(1), because a generation follows from
 * the number of the pass after which a thing was born:
 *     no pass since                      -> 0
 *     a pass of generation >= 1 since    -> 2
 *     otherwise                          -> 1
 * Source: CPython 3.11 Modules/gcmodule.c, gc_collect_generations() and
 * gc_collect_main().  Kept twice: for all blocks (totals approximate: deaths
 * are taken to be young, and come in batches per thread) and for annotated
 * objects (exact).
 */
#ifndef GENERATION_H
#define GENERATION_H

#include <stdbool.h>

#include "castaway/format.h"
#include "thread.h"

#define GENERATION_COUNT     3u
#define GENERATION_PERMANENT 3u

void generation_init(const uint64_t thresholds[3]);

/* Pass number to store with a newborn: the passes finished so far. */
uint32_t generation_birth(enum castaway_domain domain);
unsigned generation_of(enum castaway_domain domain, uint32_t birth_pass);

/* Blocks: births minus deaths; runs a pass when a threshold is passed.  False
 * when another thread is at it: nothing was counted, come again. */
bool generation_count(struct thread *thread, enum castaway_domain domain, int64_t births);

/* Objects: when and as which one it was born. */
struct generation_stamp {
	uint64_t serial; /* from 1; tells what was frozen */
	uint32_t pass;
};
void generation_object_born(struct thread *thread, struct generation_stamp *ret);
void generation_object_died(struct thread *thread, const struct generation_stamp *stamp);
/* 0..2, or GENERATION_PERMANENT. */
unsigned generation_of_object(const struct generation_stamp *stamp);

/* ---- the live gc functions; objects unless it says otherwise --------------- */
void generation_set_enabled(struct thread *thread, bool enabled); /* both domains */
bool generation_is_enabled(void);
void generation_get_counts(uint64_t counts[3]);
void generation_get_thresholds(uint64_t thresholds[3]);
void generation_set_thresholds(struct thread *thread, const uint64_t thresholds[3]); /* both domains */

/* A pass of this generation that the target asks for, also while passes are
 * disabled, as in CPython. */
void generation_collect(struct thread *thread, unsigned generation);

struct generation_stats {
	uint64_t collections, examined, promoted, live;
};
void generation_get_stats(struct generation_stats stats[3]);

void generation_freeze(struct thread *thread);
void generation_unfreeze(struct thread *thread);
uint64_t generation_frozen_count(void);

#endif
