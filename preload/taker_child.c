/* SPDX-License-Identifier: Apache-2.0
 *
 * The child of the helper that describes the target, on a copy of its memory.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "object.h"
#include "rawio.h"
#include "strings.h"
#include "taker_internal.h"
#include "writer_internal.h"

/* A copy of the target's memory shall neither be dumped nor read by others, be
 * the first to go when memory is short, and not outlive the helper. */
static void child_settle(void)
{
	long fd = rawio_open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);

	(void)RAW_CALL(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	if (fd >= 0) {
		(void)rawio_write((int)fd, "1000", 4);
		rawio_close((int)fd);
	}
	(void)RAW_CALL(SYS_prctl, PR_SET_DUMPABLE, 0);
}

static void child_main(const struct stop *stop)
{
	bool ok;

	child_settle();
	object_after_fork(); /* a thread that held a lock is not here */
	writer_file_divert(g_taker.fd);
	ok = strings_child_begin(STRINGS_CHILD + g_taker.names) &&
	     snapshot_scan(&g_taker.request, stop->threads, stop->count, &g_taker.totals);
	g_taker.totals.names = strings_child_count();
	ok = ok && rawio_write(g_taker.fd, &g_taker.totals, sizeof(g_taker.totals)) == 0;
	(void)RAW_CALL(SYS_exit_group, ok ? 0 : 1);
	__builtin_unreachable();
}

/* The child ends without a signal to the helper. */
bool taker_fork_child(const struct stop *stop)
{
	long pid;

	g_taker.fd = (int)RAW_CALL(SYS_memfd_create, "castaway", MFD_CLOEXEC);
	if (g_taker.fd < 0)
		return false;
	pid = RAW_CALL(SYS_clone, CLONE_UNTRACED, 0, 0, 0, 0);
	if (pid == 0)
		child_main(stop);
	if (pid < 0) {
		rawio_close(g_taker.fd);
		return false;
	}
	g_taker.child = (pid_t)pid;
	g_taker.poll_ns = TAKER_FIRST_POLL_NS;
	g_taker.size = 0;
	g_taker.grown_ns = rawio_clock(CLOCK_MONOTONIC);
	return true;
}
