/* SPDX-License-Identifier: Apache-2.0
 *
 * The helper process.  helper_*() below runs in it: the target's memory, but
 * its own stack, thread-local storage, files and signals; raw system calls and
 * mem* only, no errno, no lock.  The rest runs in the target.  The helper is
 * a child without exit signal, which only a wait for clones can see; and from
 * that the wait hooks keep it (hook_wait.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "clock.h"
#include "collect.h"
#include "config.h"
#include "control.h"
#include "emit.h"
#include "rawio.h"
#include "taker.h"
#include "writer_internal.h"

#define STACK_SIZE (256u << 10)
/* As often it looks whether the target lives, however long events may wait. */
#define MAX_SLEEP_NS     200000000u
#define LOOK_INTERVAL_NS 1000000000u
#define MIN_SLEEP_NS     1000000u
#define MAX_FDS          65536
#define STARTSTACK_FIELD 28u
#define STAT_MAX         1024u

static uint8_t *s_memory; /* TLS block, then the stack */
static bool s_resumed;    /* the file has its beginning already */

/* Where the stack of the program began: another value means that another
 * program runs under that pid.  0 when the kernel does not tell. */
static uint64_t read_startstack(pid_t pid)
{
	char path[64], stat[STAT_MAX];
	struct rawio_text text;
	const char *at;
	uint64_t value = 0;
	long size;

	rawio_text_begin(&text, path, sizeof(path));
	rawio_text_put(&text, "/proc/");
	rawio_text_put_number(&text, (uint64_t)pid);
	rawio_text_put(&text, "/stat");
	size = rawio_read_file(path, stat, sizeof(stat) - 1);
	stat[size > 0 ? size : 0] = '\0';
	at = strrchr(stat, ')'); /* a name may hold anything; field 2 ends here */
	for (unsigned field = 2; at != NULL && field < STARTSTACK_FIELD; field++)
		at = strchr(at + 1, ' ');
	for (at = at != NULL ? at + 1 : ""; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (uint64_t)(*at - '0');
	return value;
}

/* Nothing of the target's may be held open: pipes must see their end. */
static void helper_close_files(int keep)
{
	if (keep > 0 && RAW_CALL(SYS_close_range, 0, keep - 1, 0) == -ENOSYS) {
		for (int fd = 0; fd < MAX_FDS; fd++) {
			if (fd != keep)
				rawio_close(fd);
		}
		return;
	}
	(void)RAW_CALL(SYS_close_range, keep + 1, ~0u, 0);
}

/* Died, or runs another program. */
static bool helper_target_gone(uint64_t now, uint64_t *last_look)
{
	uint64_t startstack;

	if (RAW_CALL(SYS_getppid, 0) != g_writer.target)
		return true;
	if (now - *last_look < LOOK_INTERVAL_NS)
		return false;
	*last_look = now;
	startstack = read_startstack(g_writer.target);
	return startstack != 0 && g_writer.startstack != 0 && startstack != g_writer.startstack;
}

static void helper_report_flush(uint32_t ticket)
{
	__atomic_store_n(&g_writer.flush_done, ticket, __ATOMIC_RELEASE);
	rawio_futex_wake(&g_writer.flush_done);
}

/* The trace's end comes after the last of them. */
static void helper_finish_snapshots(void)
{
	taker_finish();
	collect_finish();
	control_close();
	writer_pump_pass(true);
}

/* True when something was recorded since the last call. */
static bool helper_target_busy(void)
{
	static uint64_t s_progress;
	const uint32_t slots = __atomic_load_n(&g_writer.slots, __ATOMIC_ACQUIRE);
	uint64_t progress = __atomic_load_n(&g_writer.last_serial, __ATOMIC_RELAXED) << 32;

	for (uint32_t i = 0; i < slots; i++)
		progress += __atomic_load_n(&g_writer_slots[i].filled, __ATOMIC_RELAXED);
	if (progress == s_progress)
		return false;
	s_progress = progress;
	return true;
}

/* Until somebody wakes it, or for so long; meanwhile it keeps the clock going. */
static void helper_sleep(uint32_t wake, uint64_t ns)
{
	uint64_t now = rawio_clock(CLOCK_MONOTONIC);
	const uint64_t until = now + ns;

	while (now < until && __atomic_load_n(&g_writer.wake, __ATOMIC_ACQUIRE) == wake) {
		uint64_t step = until - now;

		if (clock_renew(helper_target_busy()) && step > CLOCK_RENEW_NS)
			step = CLOCK_RENEW_NS;
		if (rawio_futex_wait(&g_writer.wake, wake, step) != -ETIMEDOUT)
			return;
		now = rawio_clock(CLOCK_MONOTONIC);
	}
}

static void helper_loop(void)
{
	const uint64_t interval = g_config.flush_ms * 1000000u;
	uint64_t sleep = interval < MIN_SLEEP_NS ? MIN_SLEEP_NS : interval;
	uint64_t last_parts = 0, last_look = 0;

	if (sleep > MAX_SLEEP_NS)
		sleep = MAX_SLEEP_NS;
	for (;;) {
		const uint32_t wake = __atomic_load_n(&g_writer.wake, __ATOMIC_ACQUIRE);
		const uint32_t asked = __atomic_load_n(&g_writer.flush_asked, __ATOMIC_ACQUIRE);
		const uint32_t finish = __atomic_load_n(&g_writer.finish, __ATOMIC_ACQUIRE);
		const uint64_t now = rawio_clock(CLOCK_MONOTONIC);
		const bool gone = helper_target_gone(now, &last_look);
		const bool parts =
			finish != 0 || gone || asked != g_writer.flush_done || now - last_parts >= interval;

		if (parts)
			last_parts = now;
		writer_pump_pass(parts);
		if (asked != g_writer.flush_done)
			helper_report_flush(asked);
		if (finish == 0 && !gone) {
			control_step();
			taker_step(now);
			collect_step();
		} else {
			helper_finish_snapshots();
			writer_pump_end(finish != 0 ? finish : CASTAWAY_END_VANISHED);
			return;
		}
		helper_sleep(wake, collect_sleep(taker_sleep(sleep)));
	}
}

static int helper_main(void *arg)
{
	helper_close_files(writer_file_fd());
	(void)RAW_CALL(SYS_setsid, 0);
	(void)RAW_CALL(SYS_chdir, "/");
	(void)RAW_CALL(SYS_prctl, PR_SET_NAME, "castaway");
	/* Early: who asks waits in the queue, and does not take it for nobody. */
	if (g_config.scan)
		control_open();
	if (!*(const bool *)arg)
		writer_pump_start();
	helper_loop();
	__atomic_store_n(&g_writer.done, 1, __ATOMIC_RELEASE);
	rawio_futex_wake(&g_writer.done);
	return 0;
}

/* Signals stay blocked in the helper: it inherits this mask.  The kernel clears
 * the word `helper` when that task has gone, however it went. */
static long clone_helper(void)
{
	const unsigned long flags =
		CLONE_VM | CLONE_SETTLS | CLONE_UNTRACED | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	const struct arch_clone_ids ids = {&g_writer.helper, &g_writer.helper};
	uint8_t *stack = s_memory + ARCH_TLS_BELOW + ARCH_TLS_ABOVE;
	uint64_t all = ~(uint64_t)0, former = 0;
	long pid;

	(void)RAW_CALL(SYS_rt_sigprocmask, SIG_SETMASK, &all, &former, sizeof(all));
	pid = arch_clone(flags, stack + STACK_SIZE, arch_fake_tls(s_memory), &ids, helper_main, &s_resumed);
	(void)RAW_CALL(SYS_rt_sigprocmask, SIG_SETMASK, &former, NULL, sizeof(all));
	return pid;
}

bool writer_helper_start(bool resumed)
{
	if (s_memory == NULL)
		s_memory = arena_map(ARCH_TLS_BELOW + ARCH_TLS_ABOVE + STACK_SIZE);
	if (s_memory == NULL || !g_config.helper || arch_is_valgrind())
		return false;
	s_resumed = resumed;
	g_writer.target = rawio_pid();
	g_writer.startstack = read_startstack(g_writer.target);
	g_writer.finish = 0;
	g_writer.done = 0;
	if (clone_helper() <= 0)
		return false;
	/* Where only descendants may be traced (Yama), the target must say so. */
	if (g_config.scan)
		(void)RAW_CALL(SYS_prctl, PR_SET_PTRACER, writer_helper_pid());
	return true;
}

bool writer_helper_alive(void)
{
	return writer_helper_pid() != 0;
}

void writer_helper_wake(void)
{
	__atomic_add_fetch(&g_writer.wake, 1, __ATOMIC_RELEASE);
	rawio_futex_wake(&g_writer.wake);
}

/* After `done` it has nothing left but to leave; nothing of it may be seen
 * after an exec. */
void writer_helper_reap(pid_t helper)
{
	while (RAW_CALL(SYS_wait4, helper, NULL, __WALL, NULL) == -EINTR)
		;
}

pid_t writer_helper_pid(void)
{
	return (pid_t)__atomic_load_n(&g_writer.helper, __ATOMIC_ACQUIRE);
}
