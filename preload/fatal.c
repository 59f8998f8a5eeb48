/* SPDX-License-Identifier: Apache-2.0
 *
 * on_fatal() runs in threads of the target at any point of the program, in the
 * midst of malloc or of castaway too: raw system calls, arena memory, no lock.
 * It takes a snapshot and then lets the signal do what it would have done.
 */
#include "fatal.h"

#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "config.h"
#include "guard.h"
#include "inherit.h"
#include "process.h"
#include "rawio.h"
#include "request.h"
#include "resolve.h"
#include "snapshot.h"
#include "stop.h"

/* X(signal, setting that asks for it) */
#define SIGNALS(X)        \
	X(SIGSEGV, crash) \
	X(SIGBUS, crash) X(SIGILL, crash) X(SIGFPE, crash) X(SIGSYS, crash) X(SIGTRAP, crash) X(SIGTERM, term)

static const char *name_of(int number)
{
#define X(signal, setting)    \
	if (number == signal) \
		return #signal;
	SIGNALS(X)
#undef X
	return "signal";
}

/* The thread is where the signal met it, with all registers. */
static void take(int number, const void *context)
{
	struct stopped_thread here = {.tid = rawio_tid()};

	stop_signal_describe(&here, context);
	request_set_here(&here);
	if (process_claim_end())
		(void)snapshot_take(CASTAWAY_REASON_SIGNAL, name_of(number));
	request_set_here(NULL);
}

static void on_fatal(int number, siginfo_t *info, void *context)
{
	const struct sigaction standard = {.sa_handler = SIG_DFL};
	const int saved_errno = errno;

	t_guard.depth++;
	if (g_tracing && inherit_is_owner())
		take(number, context);
	(void)g_real.sigaction(number, &standard, NULL);
	/* A fault comes again by itself; what somebody sent must be sent again, and
	 * is delivered when the handler returns. */
	if (info->si_code <= 0)
		(void)RAW_CALL(SYS_rt_tgsigqueueinfo, rawio_pid(), rawio_tid(), number, info);
	t_guard.depth--;
	errno = saved_errno;
}

static void install(int number)
{
	struct sigaction ours = {.sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK}, there;

	if (g_real.sigaction(number, NULL, &there) != 0 || there.sa_handler != SIG_DFL)
		return;
	sigfillset(&ours.sa_mask);
	(void)g_real.sigaction(number, &ours, NULL);
}

void fatal_init(void)
{
	const bool crash = g_config.snapshot_at_crash, term = g_config.snapshot_at_term;

#define X(signal, setting) \
	if (setting)       \
		install(signal);
	SIGNALS(X)
#undef X
}

void fatal_hide(struct sigaction *former)
{
	if (former->sa_flags & SA_SIGINFO && former->sa_sigaction == on_fatal)
		*former = (struct sigaction){.sa_handler = SIG_DFL};
}
