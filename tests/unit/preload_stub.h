/* SPDX-License-Identifier: Apache-2.0
 *
 * What the preload's data structures need around them, for tests: memory from
 * mmap, threads made by hand, events kept in an array instead of a trace.
 */
#ifndef PRELOAD_STUB_H
#define PRELOAD_STUB_H

#include <stdint.h>

#include "castaway/format.h"
#include "preload/thread.h"

#define STUB_THREADS    8
#define STUB_EVENTS_MAX 4096

struct stub_event {
	enum castaway_event opcode;
	uint64_t values[CASTAWAY_EVENT_MAX_FIELDS];
};
extern struct stub_event g_stub_events[STUB_EVENTS_MAX];
extern uint32_t g_stub_event_count; /* may be more than are kept */

extern struct thread g_stub_threads[STUB_THREADS];
extern uint64_t g_stub_limits[CASTAWAY_LIMIT_COUNT];

/* Runs body(index) in `count` threads at once and joins them. */
void stub_run_threads(unsigned count, void (*body)(unsigned index));
uint64_t stub_milliseconds(void);

#endif
