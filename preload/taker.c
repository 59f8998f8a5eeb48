/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a heap snapshot.  Runs in the helper (raw system calls, arena
 * memory); child_main() runs in its fork, on a copy of the target's memory.
 *
 * A thread may stand anywhere, in the midst of a hook too.  Between malloc's
 * return and the entry in the shadow, nothing but that thread's registers knows
 * the block, and it is left out; between the entry's removal and free, the same.
 * Every record of the shadow is written before its slot names it.
 */
#include "taker.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "arena.h"
#include "config.h"
#include "control.h"
#include "emit.h"
#include "rawio.h"
#include "request.h"
#include "snapshot.h"
#include "snapshot_scan.h"
#include "strings.h"
#include "writer_internal.h"

#define FIRST_POLL_NS 200000u
#define LAST_POLL_NS  10000000u
#define STUCK_NS      20000000000u /* a child that has written nothing for so long */
/* Addresses that scans without a child may use up, most of them never touched. */
#define MAPPED_HERE_MAX (UINT64_C(4) << 30)
#define HEADER_BYTES    (REQUEST_NAME_MAX + 128u)

static struct {
	struct request request; /* a copy: the requester goes on */
	bool from_outside;
	enum castaway_snapshot_method method;
	uint64_t ticks, pause_ns;
	struct snapshot_scan_totals totals;
	/* The child, 0 = none, and the file that it writes to. */
	pid_t child;
	int fd;
	uint64_t poll_ns, grown_ns;
	int64_t size;
	/* What to take next. */
	uint64_t next_ns;
	bool wanted;
	bool stragglers; /* threads that are still to be let go */
	uint64_t mapped_here;
	uint32_t names; /* that children gave so far */
	char wanted_name[REQUEST_NAME_MAX];
} s_taker;

/* ---- the child --------------------------------------------------------------- */

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
	writer_file_divert(s_taker.fd);
	ok = strings_child_begin(STRINGS_CHILD + s_taker.names) &&
	     snapshot_scan(&s_taker.request, stop->threads, stop->count, &s_taker.totals);
	s_taker.totals.names = strings_child_count();
	ok = ok && rawio_write(s_taker.fd, &s_taker.totals, sizeof(s_taker.totals)) == 0;
	(void)RAW_CALL(SYS_exit_group, ok ? 0 : 1);
	__builtin_unreachable();
}

/* The child ends without a signal to the helper. */
static bool fork_child(const struct stop *stop)
{
	long pid;

	s_taker.fd = (int)RAW_CALL(SYS_memfd_create, "castaway", MFD_CLOEXEC);
	if (s_taker.fd < 0)
		return false;
	pid = RAW_CALL(SYS_clone, CLONE_UNTRACED, 0, 0, 0, 0);
	if (pid == 0)
		child_main(stop);
	if (pid < 0) {
		rawio_close(s_taker.fd);
		return false;
	}
	s_taker.child = (pid_t)pid;
	s_taker.poll_ns = FIRST_POLL_NS;
	s_taker.size = 0;
	s_taker.grown_ns = rawio_clock(CLOCK_MONOTONIC);
	return true;
}

/* ---- into the trace ----------------------------------------------------------- */

static void write_header(void)
{
	const struct snapshot_header header = {
		.index = s_taker.request.index,
		.reason = s_taker.request.reason,
		.method = s_taker.method,
		.ticks = s_taker.ticks,
		.pause_ns = s_taker.pause_ns,
		.name = s_taker.request.name,
	};
	uint8_t payload[HEADER_BYTES];

	(void)writer_file_chunk(CASTAWAY_CHUNK_SNAPSHOT, 0, payload,
				(size_t)(snapshot_put_header(payload, &header) - payload));
}

static void write_end(void)
{
	const struct snapshot_totals totals = {
		.index = s_taker.request.index,
		.blocks = s_taker.totals.blocks,
		.objects = s_taker.totals.objects,
		.edges = s_taker.totals.exact_edges,
		.scan_edges = s_taker.totals.edges,
		.roots = s_taker.totals.roots,
		.unscanned_bytes = s_taker.totals.unscanned_bytes,
	};
	uint8_t payload[HEADER_BYTES];

	(void)writer_file_chunk(CASTAWAY_CHUNK_SNAPSHOT_END, 0, payload,
				(size_t)(snapshot_put_end(payload, &totals) - payload));
}

static void count_limits(void)
{
	for (uint32_t i = 0; i < s_taker.totals.limits && i < SNAPSHOT_LIMITS_MAX; i++)
		limits_count(s_taker.totals.limit[i].limit, s_taker.totals.limit[i].count,
			     s_taker.totals.limit[i].detail);
}

/* Without the heap's part it is still a moment. */
static void finish_snapshot(bool scanned, const char *failure)
{
	if (!scanned) {
		memset(&s_taker.totals, 0, sizeof(s_taker.totals));
		limits_count(CASTAWAY_LIMIT_NO_SNAPSHOT, 1, failure);
		s_taker.method = CASTAWAY_METHOD_EVENTS;
	}
	count_limits();
	write_header();
	write_end();
	if (s_taker.from_outside)
		control_answer(scanned ? NULL : failure);
}

static bool take_in(void)
{
	const int64_t end = s_taker.size - (int64_t)sizeof(s_taker.totals);

	if (end < 0 || RAW_CALL(SYS_pread64, s_taker.fd, &s_taker.totals, sizeof(s_taker.totals), end) !=
			       (long)sizeof(s_taker.totals))
		return false;
	/* The stacks that the child refers to. */
	writer_tables_new();
	if (!writer_file_adopt(s_taker.fd, (uint64_t)end))
		return false;
	s_taker.names += s_taker.totals.names;
	return true;
}

static void look_at_size(void)
{
	struct stat st = {0};

	(void)RAW_CALL(SYS_fstat, s_taker.fd, &st);
	if (st.st_size != s_taker.size)
		s_taker.grown_ns = rawio_clock(CLOCK_MONOTONIC);
	s_taker.size = st.st_size;
	/* Whoever waits for the trace's end shall go on waiting. */
	__atomic_fetch_add(&g_writer.progress, 1, __ATOMIC_RELAXED);
}

/* One look at the child; true when it has ended and all is written. */
static bool look_at_child(void)
{
	int status = 0;
	long result = RAW_CALL(SYS_wait4, s_taker.child, &status, __WALL | WNOHANG, NULL);

	look_at_size();
	if (result == 0) {
		if (rawio_clock(CLOCK_MONOTONIC) - s_taker.grown_ns > STUCK_NS)
			(void)RAW_CALL(SYS_kill, s_taker.child, SIGKILL);
		return false;
	}
	s_taker.child = 0;
	finish_snapshot(result > 0 && status == 0 && take_in(), "heap: the scan failed");
	rawio_close(s_taker.fd);
	return true;
}

/* ---- the moment ---------------------------------------------------------------- */

static bool install(void *arg)
{
	return request_install(arg);
}

static void set_pause(uint64_t start)
{
	s_taker.pause_ns = rawio_clock(CLOCK_MONOTONIC) -
			   (s_taker.request.start_ns != 0 ? s_taker.request.start_ns : start);
}

/* Where no child can be made, the target waits for the scan: a few times only,
 * because what the scan maps is not given back. */
static void scan_here(const struct stop *stop)
{
	const uint64_t mapped = arena_mapped();

	writer_tables_new();
	memset(&s_taker.totals, 0, sizeof(s_taker.totals));
	if ((stop->method != CASTAWAY_METHOD_INPLACE || !s_taker.request.scan) &&
	    s_taker.mapped_here < MAPPED_HERE_MAX &&
	    snapshot_scan(&s_taker.request, stop->threads, stop->count, &s_taker.totals))
		s_taker.method = CASTAWAY_METHOD_INPLACE;
	else
		s_taker.method = CASTAWAY_METHOD_EVENTS;
	s_taker.mapped_here += arena_mapped() - mapped;
}

/* What adapters describe stands still by itself. */
static bool begin_stop(struct stop *stop, const struct request *from)
{
	if (s_taker.request.scan)
		return stop_begin(stop, g_writer.target, from != NULL ? &s_taker.request.requester : NULL);
	stop->method = CASTAWAY_METHOD_INPLACE;
	return true;
}

static void take(const struct request *from)
{
	struct stop stop = {.install = install, .arg = (void *)(uintptr_t)from};
	uint64_t start;
	bool listed;

	/* Most of what the threads have recorded, lest it all wait for the child. */
	if (s_taker.request.scan)
		writer_pump_pass(true);
	start = rawio_clock(CLOCK_MONOTONIC);
	listed = begin_stop(&stop, from);
	s_taker.ticks = emit_ticks();
	s_taker.method = stop.method;
	if (listed && !fork_child(&stop))
		scan_here(&stop);
	if (listed && s_taker.request.scan)
		stop_end(&stop);
	set_pause(start);
	if (from != NULL)
		request_answer(from, true);
	if (s_taker.child == 0)
		finish_snapshot(listed && s_taker.method == CASTAWAY_METHOD_INPLACE,
				listed ? "heap: no child could be made"
				       : "heap: the threads could not be listed");
}

/* Intervals and requests from outside. */
static bool choose_own(uint64_t now)
{
	memset(&s_taker.request, 0, sizeof(s_taker.request));
	s_taker.request.scan = true;
	s_taker.from_outside = s_taker.wanted;
	if (s_taker.wanted) {
		s_taker.request.reason = CASTAWAY_REASON_REQUEST;
		memcpy(s_taker.request.name, s_taker.wanted_name, sizeof(s_taker.wanted_name));
		s_taker.wanted = false;
	} else if (s_taker.next_ns != 0 && now >= s_taker.next_ns) {
		s_taker.request.reason = CASTAWAY_REASON_INTERVAL;
	} else {
		return false;
	}
	s_taker.request.index = snapshot_next_index();
	return true;
}

static void begin_next(uint64_t now)
{
	const struct request *from = request_next();

	if (from != NULL) {
		s_taker.from_outside = false;
		s_taker.request = *from;
		take(from);
	} else if (choose_own(now)) {
		take(NULL);
	}
	/* From the end of one to the begin of the next, so that the target never
	 * does nothing but wait. */
	if (g_config.snapshot_every != 0 && now >= s_taker.next_ns)
		s_taker.next_ns = rawio_clock(CLOCK_MONOTONIC) + g_config.snapshot_every * 1000000u;
}

void taker_step(uint64_t now)
{
	s_taker.stragglers = !stop_ptrace_reap();
	if (s_taker.child != 0 && !look_at_child()) {
		s_taker.poll_ns += s_taker.poll_ns / 4;
		return;
	}
	begin_next(now);
	s_taker.stragglers = !stop_ptrace_reap();
}

bool taker_is_idle(void)
{
	return s_taker.child == 0;
}

uint64_t taker_sleep(uint64_t longest)
{
	uint64_t until = longest, now;

	if (s_taker.stragglers)
		return FIRST_POLL_NS;
	if (s_taker.child != 0)
		return s_taker.poll_ns < LAST_POLL_NS ? s_taker.poll_ns : LAST_POLL_NS;
	if (s_taker.next_ns != 0) {
		now = rawio_clock(CLOCK_MONOTONIC);
		until = s_taker.next_ns > now ? s_taker.next_ns - now : 1;
	}
	return until < longest ? until : longest;
}

void taker_finish(void)
{
	const struct request *from;
	static const uint32_t never;

	(void)stop_ptrace_reap();
	while (s_taker.child != 0 && !look_at_child())
		(void)rawio_futex_wait(&never, 0, taker_sleep(LAST_POLL_NS));
	while ((from = request_next()) != NULL)
		request_answer(from, false);
}

void taker_request(const char *name)
{
	struct rawio_text text;

	rawio_text_begin(&text, s_taker.wanted_name, sizeof(s_taker.wanted_name));
	rawio_text_put(&text, name);
	s_taker.wanted = true;
}

void taker_reset(void)
{
	memset(&s_taker, 0, sizeof(s_taker));
}
