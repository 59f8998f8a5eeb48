/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots of CPython's objects at any moment.  They can be read when the
 * interpreter's lock is free and stays so, or is held by a thread that waits for
 * the snapshot.  When another thread is running Python code, a thread of ours
 * takes the lock as any other would, makes the request, and ends.  It is started
 * only when it is needed, from the allocator hook, which runs where such a
 * thread can be made; the target has no such thread otherwise, because a fork
 * of a program with several threads is another thing than one of one.
 *
 * Whoever waits does so for a bounded time: a lock that is never let go, or an
 * interpreter that is being finalized, costs the snapshot its Python objects.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "../emit.h"
#include "../rawio.h"
#include "../request.h"
#include "../resolve.h"
#include "../roots.h"
#include "adapter.h"
#include "cpython.h"

#define STACK_BYTES  (256u << 10)
#define PATIENCE_NS  2000000000u
#define THREADS_SEEN 65536u /* more states than that are no list */

enum order_state {
	ORDER_NONE,
	ORDER_PLACED,  /* by the helper: for whoever runs Python code next */
	ORDER_STARTED, /* a thread of ours is on its way */
	ORDER_DONE,    /* the request was made */
	ORDER_FAILED,
};

static uint32_t s_order;         /* enum order_state; a futex */
static struct request s_request; /* of the order */
static struct py_gc *s_describe;
static bool s_status_valid;

static uint32_t order(void)
{
	return __atomic_load_n(&s_order, __ATOMIC_ACQUIRE);
}

static bool change_order(uint32_t from, enum order_state to)
{
	bool changed =
		__atomic_compare_exchange_n(&s_order, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);

	if (changed)
		rawio_futex_wake(&s_order);
	return changed;
}

/* ---- is the lock free? ----------------------------------------------------------- */

static bool is_active(const void *state)
{
	return *(const uint32_t *)((const char *)state + g_py_layout->thread_status) & PY_THREAD_ACTIVE;
}

/* Where no state is the current one of all threads, each says whether it has the
 * lock.  The caller's own is known: that is what the offset is checked on. */
bool cpython_lock_validate(void)
{
	if (g_py_layout->thread_status == 0) {
		s_status_valid = g_py.current_thread_state() != NULL;
	} else {
		const void *own = g_py.current_thread_state();

		s_status_valid = own != NULL && g_py.PyInterpreterState_ThreadHead != NULL &&
				 g_py.PyThreadState_Next != NULL && is_active(own);
	}
	return s_status_valid;
}

/* Only loads: in the helper, and in its child. */
static bool is_free(void)
{
	const void *at;

	if (!s_status_valid)
		return false;
	if (g_py_layout->thread_status == 0)
		return g_py.current_thread_state() == NULL;
	at = g_py.PyInterpreterState_ThreadHead(g_py.PyInterpreterState_Main());
	for (unsigned i = 0; at != NULL && i < THREADS_SEEN; i++) {
		if (is_active(at))
			return false;
		at = g_py.PyThreadState_Next((void *)(uintptr_t)at);
	}
	return at == NULL;
}

static bool has_objects(void)
{
	return cpython_is_set_up() && g_py.Py_IsInitialized() != 0;
}

bool cpython_lock_may_describe(void)
{
	return !has_objects() || is_free();
}

/* ---- in the child ---------------------------------------------------------------------- */

void cpython_lock_describe_next(struct py_gc *gc)
{
	__atomic_store_n(&s_describe, gc, __ATOMIC_RELEASE);
}

/* A thread pointer to run under: the stopped ones have the lock no more. */
static void borrow_thread(struct snapshot_view *view)
{
	for (size_t i = 0; view->requester_tls == 0 && i < view->thread_count; i++)
		view->requester_tls = view->threads[i].tls;
}

bool cpython_lock_describe(struct snapshot_view *view)
{
	struct py_gc *gc = __atomic_load_n(&s_describe, __ATOMIC_ACQUIRE);

	if (gc != NULL)
		return cpython_snapshot_describe(view, gc);
	/* At an end that is not orderly, whoever has the lock may be anywhere. */
	if (!has_objects() || view->reason == CASTAWAY_REASON_EXIT)
		return true;
	if (view->stands && is_free())
		gc = cpython_gc_find();
	if (gc == NULL || gc->collecting != 0) {
		snapshot_view_limit(view, CASTAWAY_LIMIT_NO_SNAPSHOT, 1,
				    "cpython: its objects were not at rest");
		return true;
	}
	borrow_thread(view);
	return cpython_snapshot_describe(view, gc);
}

/* ---- who has the lock asks ------------------------------------------------------------- */

void cpython_lock_hold(void)
{
	if (__atomic_load_n(&s_describe, __ATOMIC_RELAXED) == NULL && has_objects() && cpython_has_lock())
		cpython_lock_describe_next(cpython_snapshot_gc());
}

void cpython_lock_release(void)
{
	if (cpython_is_set_up() && cpython_has_lock())
		cpython_lock_describe_next(NULL);
}

/* ---- a thread that takes it -------------------------------------------------------------- */

/* The guard is held all the while: what the interpreter allocates for the
 * thread is not the target's. */
static void *get_in(void *arg)
{
	struct guard guard;
	int state;

	REQUEST_ENTER();
	(void)guard_enter(&guard);
	state = g_py.PyGILState_Ensure();
	if (order() == ORDER_STARTED && has_objects())
		(void)change_order(ORDER_STARTED, request_make(&s_request) ? ORDER_DONE : ORDER_FAILED);
	else
		(void)change_order(ORDER_STARTED, ORDER_FAILED);
	g_py.PyGILState_Release(state);
	guard_leave(&guard);
	REQUEST_LEAVE();
	return NULL;
}

/* Signals of the target are for its own threads. */
static bool start_thread(void)
{
	sigset_t all, former;
	pthread_attr_t attributes;
	pthread_t thread;
	bool started;

	if (pthread_attr_init(&attributes) != 0)
		return false;
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &former);
	started = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
		  pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0 &&
		  g_real.pthread_create(&thread, &attributes, get_in, NULL) == 0;
	if (started)
		roots_note_thread((uintptr_t)thread);
	(void)pthread_sigmask(SIG_SETMASK, &former, NULL);
	(void)pthread_attr_destroy(&attributes);
	return started;
}

/* ---- on the helper's behalf ---------------------------------------------------------------- */

bool cpython_lock_delegate(const struct request *request)
{
	if (request == NULL) {
		cpython_alloc_hold_short(false);
		(void)change_order(ORDER_PLACED, ORDER_NONE);
		(void)change_order(ORDER_STARTED, ORDER_FAILED);
		return true;
	}
	if (!has_objects() || order() == ORDER_STARTED)
		return has_objects();
	s_request = *request;
	__atomic_store_n(&s_order, ORDER_PLACED, __ATOMIC_RELEASE);
	cpython_alloc_hold_short(true);
	return true;
}

void cpython_lock_attend(void)
{
	struct guard guard;

	if (order() != ORDER_PLACED || !guard_enter(&guard))
		return;
	if (change_order(ORDER_PLACED, ORDER_STARTED)) {
		cpython_alloc_hold_short(false);
		if (!start_thread())
			(void)change_order(ORDER_STARTED, ORDER_FAILED);
	}
	guard_leave(&guard);
}

/* ---- castaway_snapshot() without the lock ------------------------------------------------- */

/* Waiting for the lock here could be for ever: who has it may wait for us. */
bool cpython_lock_take(const struct request *request)
{
	const uint64_t deadline = rawio_clock(CLOCK_MONOTONIC) + PATIENCE_NS;
	uint32_t state;

	if (!has_objects() || cpython_has_lock())
		return false;
	state = order();
	if ((state != ORDER_NONE && state != ORDER_DONE && state != ORDER_FAILED) ||
	    !change_order(state, ORDER_STARTED))
		return false;
	s_request = *request;
	if (!start_thread())
		(void)change_order(ORDER_STARTED, ORDER_FAILED);
	while ((state = order()) == ORDER_STARTED && rawio_clock(CLOCK_MONOTONIC) < deadline)
		(void)rawio_futex_wait(&s_order, state, PATIENCE_NS / 20);
	return !change_order(ORDER_STARTED, ORDER_FAILED) && order() == ORDER_DONE;
}

void cpython_lock_after_fork(void)
{
	s_order = ORDER_NONE;
	s_describe = NULL;
	cpython_alloc_hold_short(false);
}
