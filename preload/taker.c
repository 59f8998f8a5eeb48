/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a heap snapshot.  Runs in the helper (raw system calls, arena
 * memory); its child is in taker_child.c, what comes into the trace besides in
 * taker_write.c.
 *
 * A thread may stand anywhere, in the midst of a hook too.  Between malloc's
 * return and the entry in the shadow, nothing but that thread's registers knows
 * the block, and it is left out; between the entry's removal and free, the same.
 * Every record of the shadow is written before its slot names it.
 */
#include "taker_internal.h"

#include <string.h>
#include <time.h>

#include "adapters/adapter.h"
#include "arena.h"
#include "clock.h"
#include "config.h"
#include "control.h"
#include "process.h"
#include "rawio.h"
#include "request.h"
#include "rotate.h"
#include "snapshot.h"
#include "snapshot_scan.h"
#include "writer_internal.h"

#define LAST_POLL_NS 10000000u
#define ROTATE_TRIES 8u
/* How long a thread of the target is waited for, and how often it is looked
 * whether the target has come to rest. */
#define DELEGATE_NS 2000000000u
#define RETRY_NS    20000000u
/* Addresses that scans without a child may use up, most of them never touched. */
#define MAPPED_HERE_MAX (UINT64_C(4) << 30)

struct taker g_taker;

static bool install(void *arg)
{
	return request_install(arg);
}

static void set_pause(uint64_t start)
{
	g_taker.pause_ns = rawio_clock(CLOCK_MONOTONIC) -
			   (g_taker.request.start_ns != 0 ? g_taker.request.start_ns : start);
}

/* Where no child can be made, the target waits for the scan: a few times only,
 * because what the scan maps is not given back. */
static void scan_here(const struct stop *stop)
{
	const uint64_t mapped = arena_mapped();

	writer_tables_new();
	memset(&g_taker.totals, 0, sizeof(g_taker.totals));
	if ((stop->method != CASTAWAY_METHOD_INPLACE || !g_taker.request.scan) &&
	    g_taker.mapped_here < MAPPED_HERE_MAX &&
	    snapshot_scan(&g_taker.request, stop->threads, stop->count, &g_taker.totals))
		g_taker.method = CASTAWAY_METHOD_INPLACE;
	else
		g_taker.method = CASTAWAY_METHOD_EVENTS;
	g_taker.mapped_here += arena_mapped() - mapped;
}

static void end_waiting(void)
{
	if (g_taker.waiting)
		(void)adapter_delegate(NULL);
	g_taker.waiting = false;
}

/* What adapters describe stands still by itself. */
static bool begin_stop(struct stop *stop, const struct request *from)
{
	if (g_taker.request.scan)
		return stop_begin(stop, g_writer.target, from != NULL ? &g_taker.request.requester : NULL);
	stop->method = CASTAWAY_METHOD_INPLACE;
	return true;
}

/* Stopped where a runtime's objects cannot be read, by a request of the helper's
 * own: a thread that can read them is asked to make it, for a while. */
static bool must_wait(const struct stop *stop, const struct request *from)
{
	const uint64_t now = rawio_clock(CLOCK_MONOTONIC);

	g_taker.request.stands = stop->method != CASTAWAY_METHOD_INPLACE;
	if (from != NULL || (g_taker.request.stands && adapter_may_describe()))
		return false;
	if (!g_taker.waiting) {
		g_taker.delegated = g_taker.request;
		g_taker.delegated.delegated = true;
		g_taker.delegated_outside = g_taker.from_outside;
		g_taker.patience_ns = now + DELEGATE_NS;
		g_taker.waiting = adapter_delegate(&g_taker.delegated);
	} else if (now > g_taker.patience_ns) {
		end_waiting();
	}
	g_taker.retry_ns = now + RETRY_NS;
	return g_taker.waiting;
}

/* A teardown that began meanwhile must not be looked at. */
static bool comes_too_late(struct stop *stop, const struct request *from, bool listed)
{
	if (from != NULL || !process_is_ending())
		return false;
	if (listed)
		stop_end(stop);
	end_waiting();
	if (g_taker.from_outside)
		control_answer(PROCESS_IS_ENDING);
	return true;
}

/* The target stands: a copy of it is made, and it goes on. */
static void take_stopped(struct stop *stop, bool listed, uint64_t start, const struct request *from)
{
	if (listed && !taker_child_fork(stop))
		scan_here(stop);
	if (listed && g_taker.request.scan)
		stop_end(stop);
	set_pause(start);
	if (from != NULL)
		request_answer(from, true);
	if (g_taker.child == 0)
		taker_write(listed && g_taker.method == CASTAWAY_METHOD_INPLACE,
			    listed ? "heap: no child could be made"
				   : "heap: the threads could not be listed");
}

static void take(const struct request *from)
{
	struct stop stop = {.install = install, .arg = (void *)(uintptr_t)from};
	uint64_t start;
	bool listed;

	/* Most of what the threads have recorded, lest it all wait for the child. */
	if (g_taker.request.scan)
		writer_pump_pass(true);
	start = rawio_clock(CLOCK_MONOTONIC);
	listed = begin_stop(&stop, from);
	if (comes_too_late(&stop, from, listed))
		return;
	g_taker.ticks = clock_moment();
	g_taker.method = stop.method;
	if (listed && must_wait(&stop, from)) {
		stop_end(&stop);
		return;
	}
	if (from == NULL || from->delegated)
		end_waiting();
	take_stopped(&stop, listed, start, from);
}

/* One look for a moment at which the next file may begin; what a runtime's
 * adapter knows need not be in it. */
static bool try_rotation(void)
{
	struct stop stop = {.install = install};
	uint64_t start;

	writer_pump_pass(true);
	start = rawio_clock(CLOCK_MONOTONIC);
	if (!stop_begin(&stop, g_writer.target, NULL))
		return false;
	if (!rotate_begin(stop.method != CASTAWAY_METHOD_INPLACE, start)) {
		stop_end(&stop);
		return false;
	}
	g_taker.ticks = clock_moment();
	g_taker.method = stop.method;
	take_stopped(&stop, true, start, NULL);
	return true;
}

static bool take_rotation(void)
{
	memset(&g_taker.request, 0, sizeof(g_taker.request));
	g_taker.from_outside = false;
	g_taker.request.scan = true;
	g_taker.request.reason = CASTAWAY_REASON_ROTATE;
	g_taker.request.index = snapshot_next_index();
	for (unsigned i = 0; i < ROTATE_TRIES; i++)
		if (try_rotation())
			return true;
	return false;
}

/* The exit moment has passed, or comes: the target's own snapshot is all there is. */
static bool refuse_own(void)
{
	if (!process_is_ending())
		return false;
	if (g_taker.wanted)
		control_answer(PROCESS_IS_ENDING);
	g_taker.wanted = false;
	g_taker.next_ns = 0;
	return true;
}

static bool is_due(uint64_t now)
{
	return g_taker.wanted || (g_taker.next_ns != 0 && now >= g_taker.next_ns);
}

/* Intervals and requests from outside. */
static bool choose_own(uint64_t now)
{
	if (!is_due(now) || refuse_own() || now < g_taker.second_ns)
		return false;
	memset(&g_taker.request, 0, sizeof(g_taker.request));
	g_taker.request.scan = true;
	g_taker.request.index = snapshot_next_index();
	g_taker.from_outside = false;
	if (g_config.snapshot_twice != 0 && g_taker.second_ns == 0) {
		g_taker.second_ns = now + g_config.snapshot_twice * UINT64_C(1000000);
		g_taker.request.reason = CASTAWAY_REASON_CONFIRM;
		return true;
	}
	g_taker.second_ns = 0;
	g_taker.from_outside = g_taker.wanted;
	g_taker.request.reason = g_taker.wanted ? CASTAWAY_REASON_REQUEST : CASTAWAY_REASON_INTERVAL;
	if (g_taker.wanted)
		memcpy(g_taker.request.name, g_taker.wanted_name, sizeof(g_taker.wanted_name));
	g_taker.wanted = false;
	return true;
}

/* Perhaps the target has come to rest meanwhile. */
static bool choose_again(uint64_t now)
{
	if (now < g_taker.retry_ns)
		return false;
	g_taker.request = g_taker.delegated;
	g_taker.request.delegated = false;
	g_taker.from_outside = g_taker.delegated_outside;
	return true;
}

/* By a thread that may come too late. */
static void take_delegated(const struct request *from)
{
	if (!g_taker.waiting || from->index != g_taker.delegated.index) {
		request_answer(from, false);
		return;
	}
	g_taker.request = *from;
	g_taker.from_outside = g_taker.delegated_outside;
	take(from);
}

static void begin_next(uint64_t now)
{
	const struct request *from;

	/* Before what others ask for: they may do so all the time. */
	if (g_config.scan && !g_taker.waiting && !process_is_ending() && rotate_due(now) && take_rotation())
		return;
	from = request_next();
	if (from != NULL && from->delegated) {
		take_delegated(from);
	} else if (from != NULL) {
		g_taker.from_outside = false;
		g_taker.request = *from;
		take(from);
	} else if (g_taker.waiting ? choose_again(now) : choose_own(now)) {
		take(NULL);
	}
	/* From the end of one to the begin of the next, so that the target never
	 * does nothing but wait. */
	if (g_config.snapshot_every != 0 && now >= g_taker.next_ns && g_taker.second_ns == 0 &&
	    !process_is_ending())
		g_taker.next_ns = rawio_clock(CLOCK_MONOTONIC) + g_config.snapshot_every * 1000000u;
}

void taker_step(uint64_t now)
{
	g_taker.stragglers = !stop_ptrace_reap();
	if (g_taker.child != 0 && !taker_child_has_ended()) {
		g_taker.poll_ns += g_taker.poll_ns / 4;
		return;
	}
	begin_next(now);
	g_taker.stragglers = !stop_ptrace_reap();
}

bool taker_is_idle(void)
{
	return g_taker.child == 0 && !g_taker.waiting;
}

uint64_t taker_sleep(uint64_t longest)
{
	uint64_t until = longest, now, due;

	if (g_taker.stragglers)
		return TAKER_FIRST_POLL_NS;
	if (g_taker.child != 0)
		return g_taker.poll_ns < LAST_POLL_NS ? g_taker.poll_ns : LAST_POLL_NS;
	if (g_taker.waiting)
		return RETRY_NS;
	due = g_taker.second_ns != 0 ? g_taker.second_ns : g_taker.next_ns;
	if (due != 0) {
		now = rawio_clock(CLOCK_MONOTONIC);
		until = due > now ? due - now : 1;
	}
	return until < longest ? until : longest;
}

void taker_finish(void)
{
	const struct request *from;
	static const uint32_t never;

	end_waiting();
	(void)stop_ptrace_reap();
	while (g_taker.child != 0 && !taker_child_has_ended())
		(void)rawio_futex_wait(&never, 0, taker_sleep(LAST_POLL_NS));
	while ((from = request_next()) != NULL)
		request_answer(from, false);
}

void taker_request(const char *name)
{
	struct rawio_text text;

	rawio_text_begin(&text, g_taker.wanted_name, sizeof(g_taker.wanted_name));
	rawio_text_put(&text, name);
	g_taker.wanted = true;
}

void taker_reset(void)
{
	rotate_reset();
	memset(&g_taker, 0, sizeof(g_taker));
}
