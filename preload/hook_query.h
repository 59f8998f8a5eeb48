/* SPDX-License-Identifier: Apache-2.0
 *
 * The questions about annotated objects that castaway.h can ask, as members of
 * its struct castaway_hooks.
 */
#ifndef HOOK_QUERY_H
#define HOOK_QUERY_H

#include <stddef.h>
#include <stdint.h>

#include "castaway/castaway.h"

/* The visits return the number of calls of `visit`; one that is not 0 ends them. */
size_t query_objects(int generation, castaway_gc_visit visit, void *arg); /* below 0: the permanent ones */
size_t query_referrers(const volatile void *object, castaway_gc_visit visit, void *arg);
size_t query_referents(const volatile void *object, castaway_gc_visit visit, void *arg);
int query_is_tracked(const volatile void *object);
int64_t query_refcount(const volatile void *object); /* -1 and errno when it is not known */

#endif
