/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests for heap snapshots.  The first part runs in threads of the target
 * with the guard held, the last in the helper.  While a thread waits, all its
 * signals are blocked, so that it stands as surely as those that are stopped.
 */
#include "request.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "adapters/adapter.h"
#include "clock.h"
#include "config.h"
#include "emit.h"
#include "rawio.h"
#include "snapshot.h"
#include "writer_internal.h"

#define SLOTS       8u
#define PATIENCE_NS 30000000000u
/* How long somebody is waited for who installs the signal's handler: one who may
 * never come, and one who waits for nothing else. */
#define INSTALL_NS   200000000u
#define REQUESTER_NS 2000000000u

enum slot_state {
	SLOT_FREE,
	SLOT_FILLING,
	SLOT_ASKED,
	SLOT_TAKING,  /* the requester must not go on */
	SLOT_INSTALL, /* the requester is to install the signal handler */
	SLOT_TAKEN,
	SLOT_FAILED,
};

static struct slot {
	uint32_t state; /* futex */
	uint64_t order;
	struct request request;
} s_slots[SLOTS];

static uint64_t s_order;
static uint32_t s_installed; /* futex: how often somebody installed the handler */
static __thread struct stopped_thread *t_here GUARD_TLS;

void request_set_here(struct stopped_thread *here)
{
	if (here != NULL)
		here->tid = rawio_tid();
	t_here = here;
}

bool request_possible(void)
{
	return __atomic_load_n(&g_writer.mode, __ATOMIC_ACQUIRE) == WRITER_HELPER && writer_helper_alive();
}

static struct slot *claim(void)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		uint32_t state = SLOT_FREE;

		if (__atomic_compare_exchange_n(&s_slots[i].state, &state, SLOT_FILLING, false,
						__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return &s_slots[i];
	}
	return NULL;
}

static void set_state(struct slot *slot, enum slot_state state)
{
	__atomic_store_n(&slot->state, state, __ATOMIC_RELEASE);
	rawio_futex_wake(&slot->state);
}

static void install(void)
{
	stop_signal_install();
	__atomic_add_fetch(&s_installed, 1, __ATOMIC_RELEASE);
	rawio_futex_wake(&s_installed);
}

/* The request may only be taken back while nobody works on it. */
static bool give_up(struct slot *slot, uint64_t deadline)
{
	uint32_t asked = SLOT_ASKED;

	if (!writer_helper_alive())
		return true;
	return rawio_clock(CLOCK_MONOTONIC) > deadline &&
	       __atomic_compare_exchange_n(&slot->state, &asked, SLOT_FILLING, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

static bool wait_answer(struct slot *slot)
{
	const uint64_t deadline = rawio_clock(CLOCK_MONOTONIC) + PATIENCE_NS;
	uint32_t state;

	for (;;) {
		state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
		if (state == SLOT_TAKEN || state == SLOT_FAILED)
			return state == SLOT_TAKEN;
		if (state == SLOT_INSTALL) {
			__atomic_store_n(&slot->state, SLOT_TAKING, __ATOMIC_RELEASE);
			install();
			continue;
		}
		if (give_up(slot, deadline))
			return false;
		(void)rawio_futex_wait(&slot->state, state, WRITER_POLL_NS);
	}
}

static bool ask(struct slot *slot)
{
	uint64_t all = ~(uint64_t)0, former = 0;
	bool taken;

	(void)RAW_CALL(SYS_rt_sigprocmask, SIG_SETMASK, &all, &former, sizeof(all));
	slot->order = __atomic_add_fetch(&s_order, 1, __ATOMIC_RELAXED);
	set_state(slot, SLOT_ASKED);
	writer_helper_wake();
	taken = wait_answer(slot);
	set_state(slot, SLOT_FREE);
	(void)RAW_CALL(SYS_rt_sigprocmask, SIG_SETMASK, &former, NULL, sizeof(all));
	return taken;
}

bool request_make(const struct request *what)
{
	struct stopped_thread here = {.tid = rawio_tid()};
	const bool calm = what->reason != CASTAWAY_REASON_SIGNAL;
	struct slot *slot;
	bool taken;

	/* Adapters allocate, and call into the runtime: not where a signal came in. */
	if (calm && what->scan && request_possible())
		adapter_before_stop();
	slot = request_possible() ? claim() : NULL;
	arch_own_state(&here);
	if (slot == NULL) {
		if (what->scan)
			limits_count(CASTAWAY_LIMIT_NO_SNAPSHOT, 1, "heap: nobody could take it");
		return false;
	}
	slot->request = *what;
	slot->request.requester = t_here != NULL ? *t_here : here;
	/* At the end an adapter has said what is to be described. */
	if (calm && what->reason != CASTAWAY_REASON_EXIT)
		adapter_hold();
	taken = ask(slot);
	if (calm && what->reason != CASTAWAY_REASON_EXIT)
		adapter_release();
	return taken;
}

static void name_request(struct request *request, const char *name)
{
	struct rawio_text text;

	rawio_text_begin(&text, request->name, sizeof(request->name));
	rawio_text_put(&text, name != NULL ? name : "");
}

static bool wants_two(enum castaway_snapshot_reason reason, bool scan)
{
	return g_config.snapshot_twice != 0 && scan && request_possible() &&
	       (reason == CASTAWAY_REASON_EXIT || reason == CASTAWAY_REASON_API);
}

/* The first of two, and the time between them. */
static void look_first(const char *name)
{
	struct request request = {.reason = CASTAWAY_REASON_CONFIRM, .scan = true};
	static const uint32_t never;
	uint64_t now, deadline;

	request.index = snapshot_next_index();
	name_request(&request, name);
	if (!request_make(&request))
		return;
	deadline = rawio_clock(CLOCK_MONOTONIC) + g_config.snapshot_twice * UINT64_C(1000000);
	while ((now = rawio_clock(CLOCK_MONOTONIC)) < deadline)
		(void)rawio_futex_wait(&never, 0, deadline - now);
}

bool request_snapshot(enum castaway_snapshot_reason reason, uint32_t index, const char *name,
		      uint64_t start_ns, bool scan)
{
	struct request request = {.reason = reason, .index = index, .start_ns = start_ns, .scan = scan};

	if (wants_two(reason, scan)) {
		look_first(name);
		request.start_ns = 0; /* the pause is that of the second one */
	}
	name_request(&request, name);
	if (reason == CASTAWAY_REASON_API && request_possible() && adapter_take(&request))
		return true;
	return request_make(&request);
}

void request_attend(void)
{
	__atomic_store_n(&g_clock_deadline, UINT64_MAX, __ATOMIC_RELAXED);
	install();
}

void request_after_fork(void)
{
	memset(s_slots, 0, sizeof(s_slots));
	stop_signal_after_fork();
}

/* ---- the helper's side ------------------------------------------------------ */

static struct slot *slot_of(const struct request *request)
{
	return (struct slot *)((uintptr_t)request - offsetof(struct slot, request));
}

const struct request *request_next(void)
{
	struct slot *oldest = NULL;
	uint32_t asked = SLOT_ASKED;

	for (unsigned i = 0; i < SLOTS; i++) {
		if (__atomic_load_n(&s_slots[i].state, __ATOMIC_ACQUIRE) == SLOT_ASKED &&
		    (oldest == NULL || s_slots[i].order < oldest->order))
			oldest = &s_slots[i];
	}
	if (oldest == NULL || !__atomic_compare_exchange_n(&oldest->state, &asked, SLOT_TAKING, false,
							   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return NULL;
	return &oldest->request;
}

void request_answer(const struct request *request, bool taken)
{
	set_state(slot_of(request), taken ? SLOT_TAKEN : SLOT_FAILED);
}

bool request_install(const struct request *request)
{
	const uint64_t deadline =
		rawio_clock(CLOCK_MONOTONIC) + (request != NULL ? REQUESTER_NS : INSTALL_NS);
	const uint32_t before = __atomic_load_n(&s_installed, __ATOMIC_ACQUIRE);

	/* Without a requester, the next thread that records an event. */
	if (request != NULL)
		set_state(slot_of(request), SLOT_INSTALL);
	else
		__atomic_store_n(&g_clock_deadline, 0, __ATOMIC_RELAXED);
	while (__atomic_load_n(&s_installed, __ATOMIC_ACQUIRE) == before) {
		(void)rawio_futex_wait(&s_installed, before, INSTALL_NS / 10);
		if (rawio_clock(CLOCK_MONOTONIC) > deadline)
			break;
	}
	if (request == NULL)
		__atomic_store_n(&g_clock_deadline, UINT64_MAX, __ATOMIC_RELAXED);
	return __atomic_load_n(&s_installed, __ATOMIC_ACQUIRE) != before;
}
