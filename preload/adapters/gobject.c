/* SPDX-License-Identifier: Apache-2.0
 *
 * GObject inside this process: when its types are collected.  That is in the
 * thread that asks for a snapshot, at an orderly end or at a moment that the
 * program names: it is then in none of GLib's functions, or in one that calls
 * back, and those hold no locks.  Snapshots that somebody else asks for use what
 * was collected last.
 */
#include "gobject.h"

#include <string.h>

#include "../emit.h"
#include "adapter.h"

/* An end in the midst of anything, or with locks that only the parent's other
 * threads could release. */
static bool s_unsafe;

static void gobject_at_exit(enum castaway_end_reason moment)
{
	if (moment != CASTAWAY_END_EXIT)
		s_unsafe = true;
}

static void gobject_after_fork(void)
{
	s_unsafe = true;
}

static void gobject_before_stop(void)
{
	if (!s_unsafe)
		gobject_types_collect();
}

static bool gobject_describe(struct snapshot_view *view)
{
	struct gobject_heap heap = {.types = gobject_types_get(), .index = view->index, .maps = view->maps};

	if (heap.types == NULL)
		return true;
	return gobject_find(&heap, view) && gobject_rules(&heap, view->snapshot);
}

const struct adapter adapter_gobject = {
	.name = "gobject",
	.at_exit = gobject_at_exit,
	.after_fork = gobject_after_fork,
	.before_stop = gobject_before_stop,
	.describe = gobject_describe,
};
