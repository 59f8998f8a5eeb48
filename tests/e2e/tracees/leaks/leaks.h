/* SPDX-License-Identifier: Apache-2.0
 *
 * The cases: leaks_lost.c, leaks_threads.c, leaks_kept.c.
 */
#ifndef LEAKS_H
#define LEAKS_H

#include <stdlib.h>

/* clang-format off */
#define CASES(X) \
	X(direct) X(twice) X(indirect) X(cycle) X(self) X(interior_lost) X(past_the_end) X(masked) \
	X(packed) X(tagged) X(grown) X(aligned) X(zero) X(bins) X(recycled) X(dead_thread) X(dead_thread_tls) \
	X(over_referenced) X(released) X(mixed_cycle) X(hoarded_cycle) X(entrained) X(globals) \
	X(tls) X(thread_keys) X(grown_tail) X(dead_argument) X(own_frames) X(own_data) \
	X(live_threads) X(red_zone) X(mapped) X(large) X(opened)
/* clang-format on */

#define X(function) void function(void);
CASES(X)
#undef X

struct node {
	struct node *next, *back;
};

/* Volatile, as all that keeps: nothing reads it, and it must be written all the same. */
extern void *volatile g_kept;

__attribute__((noinline)) void *make(size_t size); /* filled with zeros */

#endif
