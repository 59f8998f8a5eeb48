/* SPDX-License-Identifier: Apache-2.0
 *
 * Generational bookkeeping as in CPython 3.11's collector, without a collector:
 * a pass only promotes and counts, in O(1), because a generation follows from
 * the number of the pass after which a thing was born:
 *     no pass since                      -> 0
 *     a pass of generation >= 1 since    -> 2
 *     otherwise                          -> 1
 * Source: CPython 3.11 Modules/gcmodule.c, gc_collect_generations().
 */
#ifndef GENERATION_H
#define GENERATION_H

#include "castaway/format.h"
#include "thread.h"

void generation_init(const uint64_t thresholds[3]);

uint32_t generation_birth(enum castaway_domain domain); /* pass number to store with a newborn */
unsigned generation_of(enum castaway_domain domain, uint32_t birth_pass);

/* Births minus deaths; runs a pass when a threshold is passed. */
void generation_count(struct thread *thread, enum castaway_domain domain, int64_t births);
/* A thing of generation g died (objects only; keeps the long-lived totals right). */
void generation_death(struct thread *thread, enum castaway_domain domain, uint32_t birth_pass);

#endif
