/* SPDX-License-Identifier: Apache-2.0
 *
 * GObject inside this process: when its types are collected.  That is in the
 * thread that asks for a snapshot, at an orderly end or at a moment that the
 * program names: it is then in none of GLib's functions, or in one that calls
 * back, and those hold no locks.  Snapshots that somebody else asks for use what
 * was collected last: in programs that are linked with GObject that is when the
 * main loop last went to sleep, where GLib holds no lock either.
 */
#include "gobject.h"

#include <string.h>
#include <time.h>

#include "../config.h"
#include "../hook_gobject.h"
#include "../rawio.h"
#include "adapter.h"
#include "castaway/codec.h"

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

/* While the program is busy, and before it may sleep for long. */
#define BUSY_NS UINT64_C(100000000)
#define IDLE_NS UINT64_C(5000000)
#define IDLE_MS 50

static uint64_t s_collected_ns;

static void gobject_before_main(int argc, char **argv)
{
	if (g_config.scan)
		gobject_types_link();
}

static void gobject_on_poll(uintptr_t caller, int timeout)
{
	const bool idle = timeout < 0 || timeout > IDLE_MS;
	uint64_t now;

	if (!gobject_types_linked() || s_unsafe)
		return;
	now = rawio_clock(CLOCK_MONOTONIC);
	if (now - __atomic_load_n(&s_collected_ns, __ATOMIC_RELAXED) < (idle ? IDLE_NS : BUSY_NS) ||
	    !gobject_types_is_glib(caller))
		return;
	__atomic_store_n(&s_collected_ns, now, __ATOMIC_RELAXED);
	gobject_types_collect(false);
}

static void gobject_before_stop(void)
{
	if (!s_unsafe)
		gobject_types_collect(true);
}

static uint8_t *put_text(uint8_t *out, const char *text)
{
	const size_t length = strlen(text);

	out = codec_put_varint(out, length);
	memcpy(out, text, length);
	return out + length;
}

static bool put_runtime(enum castaway_runtime runtime, const char *version, uint32_t snapshot)
{
	struct payload payload;
	uint8_t *out;

	if (!payload_begin(&payload, snapshot, CASTAWAY_CHUNK_RUNTIME))
		return false;
	out = codec_put_varint(payload.at, runtime);
	out = put_text(out, version);
	out = codec_put_varint(out, CASTAWAY_STATUS_RULES);
	out = put_text(out, "");
	out = codec_put_varint(out, 1); /* it counts */
	out = codec_put_varint(out, 0); /* and has no generations */
	payload.at = codec_put_varint(out, 0);
	return payload_end(&payload);
}

static bool gobject_describe(struct snapshot_view *view)
{
	struct gobject_heap heap = {.types = gobject_types_get(), .index = view->index, .maps = view->maps};
	bool found;

	if (heap.types == NULL || heap.index == NULL)
		return true;
	if (!put_runtime(CASTAWAY_RUNTIME_GOBJECT, heap.types->version, view->snapshot) ||
	    (heap.types->gst_version[0] != '\0' &&
	     !put_runtime(CASTAWAY_RUNTIME_GST, heap.types->gst_version, view->snapshot)) ||
	    !payload_begin(&heap.objects, view->snapshot, CASTAWAY_CHUNK_OBJECTS) ||
	    !payload_begin(&heap.rules, view->snapshot, CASTAWAY_CHUNK_EDGE_RULES))
		return false;
	found = gobject_find(&heap) && gobject_rules(&heap);
	view->totals->objects += heap.count;
	return payload_end(&heap.objects) && payload_end(&heap.rules) && found;
}

const struct adapter adapter_gobject = {
	.name = "gobject",
	.before_main = gobject_before_main,
	.at_exit = gobject_at_exit,
	.after_fork = gobject_after_fork,
	.on_dlopen = gobject_types_look_again,
	.on_dlclose = hook_gobject_forget,
	.on_poll = gobject_on_poll,
	.needs_scan = gobject_types_loaded,
	.before_stop = gobject_before_stop,
	.describe = gobject_describe,
};
