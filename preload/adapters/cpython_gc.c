/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds the collector's generation lists in the interpreter state by their
 * shape: three consecutive circular list heads with thresholds and counts,
 * followed by a pointer to the first of them.  No offset is taken on trust, so
 * a distribution's patched build works or is refused, never misread.  Runs
 * with the interpreter's lock held; only loads.
 */
#include "cpython.h"

_Static_assert(sizeof(struct py_gc_generation) == 24, "stride of the generations");
_Static_assert(offsetof(struct py_gc, permanent) == 80, "permanent generation");
_Static_assert(offsetof(struct py_gc, stats) == 104, "generation statistics");

#define THRESHOLD_MAX 1000000000

static bool plausible_link(uintptr_t link)
{
	struct py_gc_head *head = py_gc_untag(link);

	return (uintptr_t)head >= 4096 && ((uintptr_t)head & 7) == 0;
}

/* By numbers alone: nothing is dereferenced before all three heads pass. */
static bool plausible_generation(const struct py_gc_generation *generation)
{
	return plausible_link(generation->head.next) && plausible_link(generation->head.prev) &&
	       generation->threshold >= 0 && generation->threshold <= THRESHOLD_MAX && generation->count >= 0;
}

static bool linked(const struct py_gc_head *head)
{
	return py_gc_untag(py_gc_untag(head->next)->prev) == head &&
	       py_gc_untag(py_gc_untag(head->prev)->next) == head;
}

static bool is_gc(const struct py_gc *gc)
{
	if (gc->generation0 != &gc->generations[0])
		return false;
	for (unsigned i = 0; i < 3; i++) {
		if (!plausible_generation(&gc->generations[i]))
			return false;
	}
	if (!plausible_generation(&gc->permanent))
		return false;
	for (unsigned i = 0; i < 3; i++) {
		if (!linked(&gc->generations[i].head) || gc->stats[i].collections < 0)
			return false;
	}
	return linked(&gc->permanent.head);
}

/* How far before the generations lies the word that says whether the collector
 * is enabled: the one that follows as that is changed.  0: not known. */
static size_t s_enabled_before;

static bool enabled_at(const struct py_gc *gc, size_t before)
{
	return *(const int *)((const char *)gc - before) != 0;
}

void cpython_gc_learn(void)
{
	const struct py_gc *gc = cpython_gc_find();
	const bool enabled = g_py.PyGC_IsEnabled != NULL && g_py.PyGC_IsEnabled() != 0;

	s_enabled_before = 0;
	if (gc == NULL || g_py.PyGC_Enable == NULL || g_py.PyGC_Disable == NULL ||
	    g_py.PyGC_IsEnabled == NULL)
		return;
	for (size_t before = 4; before <= 24 && s_enabled_before == 0; before += 4) {
		bool follows = enabled_at(gc, before) == enabled;

		(void)(enabled ? g_py.PyGC_Disable() : g_py.PyGC_Enable());
		follows = follows && enabled_at(gc, before) != enabled;
		(void)(enabled ? g_py.PyGC_Enable() : g_py.PyGC_Disable());
		s_enabled_before = follows ? before : 0;
	}
}

bool cpython_gc_enabled(const struct py_gc *gc)
{
	return s_enabled_before == 0 || enabled_at(gc, s_enabled_before);
}

struct py_gc *cpython_gc_find(void)
{
	char *interpreter = g_py.PyInterpreterState_Main();

	if (interpreter == NULL)
		return NULL;
	for (size_t offset = 0; offset < g_py_layout->gc_scan; offset += sizeof(void *)) {
		struct py_gc *gc = (struct py_gc *)(void *)(interpreter + offset);

		if (is_gc(gc))
			return gc;
	}
	return NULL;
}
