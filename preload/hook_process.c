/* SPDX-License-Identifier: Apache-2.0
 *
 * Begin and end of the program, its threads, its signal handlers.  Runs in the
 * target's threads.  A vfork child runs these hooks in its parent's memory: it
 * must only forward.
 */
#include <errno.h>

#include "adapters/adapter.h"
#include "config.h"
#include "fatal.h"
#include "guard.h"
#include "inherit.h"
#include "process.h"
#include "rawio.h"
#include "request.h"
#include "resolve.h"
#include "roots.h"
#include "snapshot.h"
#include "writer.h"

static int (*s_main)(int, char **, char **);
static bool s_ended;
static int32_t s_ending; /* the thread */

static void prepare_main(int argc, char **argv)
{
	struct guard guard;

	if (guard_enter(&guard))
		adapter_before_main(argc, argv);
	guard_leave(&guard);
}

bool process_is_ending(void)
{
	return __atomic_load_n(&s_ending, __ATOMIC_ACQUIRE) != 0;
}

bool process_claim_end(void)
{
	int32_t nobody = 0, self = rawio_tid();

	return __atomic_compare_exchange_n(&s_ending, &nobody, self, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE) ||
	       nobody == self;
}

bool process_may_look(void)
{
	return !process_is_ending() || process_claim_end();
}

void process_after_fork(void)
{
	s_ending = 0;
}

void process_exit_moment(enum castaway_end_reason reason)
{
	struct guard guard;

	REQUEST_ENTER();
	if (guard_enter(&guard)) {
		inherit_check_copy();
		if (inherit_is_owner()) {
			if (writer_is_pending())
				inherit_begin();
			(void)process_claim_end();
			adapter_at_exit(reason);
			snapshot_mark_exit();
		}
	}
	guard_leave(&guard);
	REQUEST_LEAVE();
}

void process_late_moment(void)
{
	struct guard guard;

	REQUEST_ENTER();
	if (guard_enter(&guard) && g_config.snapshot_late && inherit_is_owner() && process_claim_end())
		(void)snapshot_take(CASTAWAY_REASON_LATE, "");
	guard_leave(&guard);
	REQUEST_LEAVE();
}

/* Also where tracing has stopped early: the trace still gets its last words. */
void process_end(enum castaway_end_reason reason)
{
	const int saved_errno = errno;

	t_guard.depth++;
	inherit_check_copy();
	/* Two threads may end the process at once; the helper gets on with what
	 * the first has said even if the second is faster to leave. */
	if (inherit_is_owner() && !__atomic_exchange_n(&s_ended, true, __ATOMIC_ACQ_REL)) {
		bool stopped = !__atomic_exchange_n(&g_tracing, false, __ATOMIC_ACQ_REL);

		writer_finish(stopped ? CASTAWAY_END_STOPPED : reason);
	}
	t_guard.depth--;
	errno = saved_errno;
}

/* Returning from main ends the program as exit() does, but libc's own call of
 * exit() does not pass through the hook. */
static int run_main(int argc, char **argv, char **envp)
{
	int status = s_main(argc, argv, envp);

	process_exit_moment(CASTAWAY_END_EXIT);
	return status;
}

HOOK_EXPORT int __libc_start_main(int (*main_function)(int, char **, char **), int argc, char **argv,
				  void (*init)(void), void (*fini)(void), void (*rtld_fini)(void),
				  void *stack_end)
{
	(void)resolve_ready();
	s_main = main_function;
	prepare_main(argc, argv);
	return g_real.__libc_start_main(run_main, argc, argv, init, fini, rtld_fini, stack_end);
}

HOOK_EXPORT int pthread_create(pthread_t *ret, const pthread_attr_t *attributes, void *(*start)(void *),
			       void *arg)
{
	struct guard guard;
	int error;

	/* A fork child's trace begins while it has one thread. */
	if (guard_enter(&guard) && writer_is_pending() && inherit_is_owner())
		inherit_begin();
	guard_leave(&guard);
	(void)resolve_ready();
	error = g_real.pthread_create(ret, attributes, start, arg);
	if (error == 0)
		roots_note_thread((uintptr_t)*ret);
	return error;
}

HOOK_EXPORT int sigaction(int signum, const struct sigaction *action, struct sigaction *former)
{
	int result;

	if (g_tracing && t_guard.depth == 0) {
		REQUEST_ENTER();
		adapter_on_sigaction(signum);
		REQUEST_LEAVE();
	}
	(void)resolve_ready();
	result = g_real.sigaction(signum, action, former);
	if (result == 0 && former != NULL)
		fatal_hide(former);
	return result;
}

HOOK_EXPORT void exit(int status)
{
	process_exit_moment(CASTAWAY_END_EXIT);
	(void)resolve_ready();
	g_real.exit(status);
	__builtin_unreachable();
}

/* Ends without destructors.  X(name, parameters, arguments, reason) */
#define SUDDEN_ENDS(X)                                            \
	X(_exit, (int status), (status), CASTAWAY_END_UNDER_EXIT) \
	X(_Exit, (int status), (status), CASTAWAY_END_UNDER_EXIT) \
	X(abort, (void), (), CASTAWAY_END_ABORT)

#define X(name, parameters, arguments, reason) \
	HOOK_EXPORT void name parameters       \
	{                                      \
		process_exit_moment(reason);   \
		process_end(reason);           \
		(void)resolve_ready();         \
		g_real.name arguments;         \
		__builtin_unreachable();       \
	}
SUDDEN_ENDS(X)
#undef X

/* Its at_quick_exit handlers still run: the trace ends at the library's own
 * handler, which was registered first and so runs last. */
HOOK_EXPORT void quick_exit(int status)
{
	process_exit_moment(CASTAWAY_END_UNDER_EXIT);
	(void)resolve_ready();
	g_real.quick_exit(status);
	__builtin_unreachable();
}
