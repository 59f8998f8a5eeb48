/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions of castaway.h about annotated objects.  Runs in the thread that
 * asks; records nothing.  The visits are calls into the target, so nothing may
 * be held meanwhile: each step looks its object up anew.
 */
#include "hook_query.h"

#include <errno.h>

#include "generation.h"
#include "guard.h"
#include "object.h"

/* The guard is held for the lookups only: what visit does is the target's. */
static bool next_object(uintptr_t address, struct object_view *ret)
{
	struct guard guard;
	bool found;

	guard_enter(&guard);
	found = object_next(address, ret);
	guard_leave(&guard);
	return found;
}

size_t query_objects(int generation, castaway_gc_visit visit, void *arg)
{
	struct object_view view;
	size_t count = 0;

	for (uintptr_t at = 0; next_object(at, &view); at = view.address + 1) {
		int here = (int)generation_of_object(&view.stamp);

		if (generation < 0 ? here == (int)GENERATION_PERMANENT : here != generation)
			continue;
		count++;
		if (visit((void *)view.address, arg))
			break;
	}
	return count;
}

size_t query_referrers(const volatile void *object, castaway_gc_visit visit, void *arg)
{
	struct object_view view;
	size_t count = 0;

	for (uintptr_t at = 0; next_object(at, &view); at = view.address + 1) {
		struct guard guard;
		bool refers;

		guard_enter(&guard);
		refers = object_refers_to(view.address, (uintptr_t)object);
		guard_leave(&guard);
		if (!refers)
			continue;
		count++;
		if (visit((void *)view.address, arg))
			break;
	}
	return count;
}

size_t query_referents(const volatile void *object, castaway_gc_visit visit, void *arg)
{
	struct object_link links[64];
	size_t count = 0, seen = 0, got;

	do {
		struct guard guard;

		guard_enter(&guard);
		got = object_links((uintptr_t)object, seen, links, 64);
		guard_leave(&guard);
		seen += got;
		for (size_t i = 0; i < got; i++) {
			if (links[i].weak)
				continue;
			count++;
			if (visit((void *)links[i].target, arg))
				return count;
		}
	} while (got == 64);
	return count;
}

static bool find(const volatile void *object, struct object_view *ret)
{
	struct guard guard;
	bool found;

	guard_enter(&guard);
	found = object_find((uintptr_t)object, ret);
	guard_leave(&guard);
	return found;
}

int query_is_tracked(const volatile void *object)
{
	struct object_view view;

	return find(object, &view);
}

int64_t query_refcount(const volatile void *object)
{
	struct object_view view;
	int64_t count;

	if (!find(object, &view)) {
		errno = EINVAL;
		return -1;
	}
	return object_memory_count(&view, &count) ? count : view.count;
}
