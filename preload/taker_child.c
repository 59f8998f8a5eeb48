/* SPDX-License-Identifier: Apache-2.0
 *
 * The child of the helper that describes the target, on a copy of its memory: how
 * it is made, what it does, and what becomes of what it wrote.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "object.h"
#include "rawio.h"
#include "strings.h"
#include "taker_internal.h"
#include "writer_internal.h"

#define STUCK_NS 20000000000u /* a child that has written nothing for so long */

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
bool taker_child_fork(const struct stop *stop)
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

/* ---- in the helper ---------------------------------------------------------- */

static bool take_in(void)
{
	const int64_t end = g_taker.size - (int64_t)sizeof(g_taker.totals);

	if (end < 0 || RAW_CALL(SYS_pread64, g_taker.fd, &g_taker.totals, sizeof(g_taker.totals), end) !=
			       (long)sizeof(g_taker.totals))
		return false;
	/* The stacks that the child refers to. */
	writer_tables_new();
	if (!writer_file_adopt(g_taker.fd, (uint64_t)end))
		return false;
	g_taker.names += g_taker.totals.names;
	return true;
}

static void look_at_size(void)
{
	struct stat st = {0};

	(void)RAW_CALL(SYS_fstat, g_taker.fd, &st);
	if (st.st_size != g_taker.size)
		g_taker.grown_ns = rawio_clock(CLOCK_MONOTONIC);
	g_taker.size = st.st_size;
	/* Whoever waits for the trace's end shall go on waiting. */
	__atomic_fetch_add(&g_writer.progress, 1, __ATOMIC_RELAXED);
}

bool taker_child_has_ended(void)
{
	int status = 0;
	long result = RAW_CALL(SYS_wait4, g_taker.child, &status, __WALL | WNOHANG, NULL);

	look_at_size();
	if (result == 0) {
		if (rawio_clock(CLOCK_MONOTONIC) - g_taker.grown_ns > STUCK_NS)
			(void)RAW_CALL(SYS_kill, g_taker.child, SIGKILL);
		return false;
	}
	g_taker.child = 0;
	taker_write(result > 0 && status == 0 && take_in(), "heap: the scan failed");
	rawio_close(g_taker.fd);
	return true;
}
