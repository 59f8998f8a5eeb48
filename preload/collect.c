/* SPDX-License-Identifier: Apache-2.0
 *
 * The first part runs in a thread of the target, the second in the helper (raw
 * system calls), collect_execute() in a task that the helper makes and that
 * shares its memory until it has executed the analyzer.
 */
#include "collect.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "config.h"
#include "limits.h"
#include "rawio.h"
#include "taker.h"
#include "writer_internal.h"

#define STACK_SIZE     (64u << 10)
#define FIRST_POLL_NS  1000000u
#define LAST_POLL_NS   20000000u
#define FD_TRACE       3
#define FD_CLEAR       16 /* above what collect_execute() sets up */
#define STATUS_NO_FILE 126
#define STATUS_NO_EXEC 127

enum collect_state { COLLECT_FREE, COLLECT_FILLING, COLLECT_ASKED, COLLECT_RUNNING, COLLECT_DONE };

static struct {
	uint32_t state; /* futex, enum collect_state */
	pid_t owner;    /* the thread that asks */
	uint32_t index;
	int generation;
	int64_t result;
	/* The helper's own. */
	pid_t task; /* 0 = none */
	int out;
	uint64_t poll_ns;
	uint8_t *stack;
} s_collect;

static char s_given[PATH_MAX + 1]; /* by the environment; one too long does not fit below */
static char s_own[PATH_MAX];       /* this library's directory, absolute; "" = not known, or not needed */
static char s_program[PATH_MAX];   /* absolute; "" = not looked for, or not found */

static void set_state(enum collect_state state)
{
	__atomic_store_n(&s_collect.state, state, __ATOMIC_RELEASE);
	rawio_futex_wake(&s_collect.state);
}

static enum collect_state get_state(void)
{
	return (enum collect_state)__atomic_load_n(&s_collect.state, __ATOMIC_ACQUIRE);
}

/* ---- where the analyzer is --------------------------------------------------- */

/* Absolute, because the helper has another directory than the target. */
static void note_own_directory(const char *library)
{
	struct rawio_text text;
	char *slash;

	rawio_text_begin(&text, s_own, sizeof(s_own));
	if (*library != '/') {
		if (RAW_CALL(SYS_getcwd, s_own, sizeof(s_own)) <= 0) {
			s_own[0] = '\0';
			return;
		}
		text.at = s_own + strlen(s_own);
		rawio_text_put(&text, "/");
	}
	rawio_text_put(&text, library);
	slash = strrchr(s_own, '/');
	*(slash != NULL && !text.full ? slash : s_own) = '\0';
}

/* Copied, because a program may write over its environment. */
void collect_init(char **environment, const char *library)
{
	const char *given = config_find(environment, "CASTAWAY_EXE");
	struct rawio_text text;

	if (given == NULL || *given == '\0') {
		note_own_directory(library);
		return;
	}
	rawio_text_begin(&text, s_given, sizeof(s_given));
	rawio_text_put(&text, given);
}

static bool try_program(const char *directory, const char *rest)
{
	struct rawio_text text;

	rawio_text_begin(&text, s_program, sizeof(s_program));
	rawio_text_put(&text, directory);
	rawio_text_put(&text, rest);
	if (s_program[0] == '/' && !text.full && RAW_CALL(SYS_faccessat, AT_FDCWD, s_program, X_OK) == 0)
		return true;
	s_program[0] = '\0';
	return false;
}

/* In the helper at the first request: most programs never ask. */
static bool find_program(void)
{
	if (s_program[0] != '\0')
		return true;
	if (s_given[0] != '\0')
		return try_program(s_given, "");
	if (s_own[0] != '\0' && (try_program(s_own, "/../tools/castaway") ||
				 try_program(s_own, "/" CASTAWAY_BINDIR_FROM_LIBDIR "/castaway")))
		return true;
	return try_program(CASTAWAY_BINDIR, "/castaway");
}

/* ---- the target's side ------------------------------------------------------- */

static bool events_were_lost(void)
{
	uint32_t limit;
	uint64_t count;
	const char *detail;

	for (uint32_t i = 0; limits_get(i, &limit, &count, &detail); i++) {
		if (limit == CASTAWAY_LIMIT_DROPPED_EVENTS && count > 0)
			return true;
	}
	return false;
}

/* One at a time; the others wait.  -EAGAIN where this thread is it already. */
static int claim(pid_t self)
{
	for (;;) {
		uint32_t state = COLLECT_FREE;

		if (__atomic_compare_exchange_n(&s_collect.state, &state, COLLECT_FILLING, false,
						__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			break;
		if (__atomic_load_n(&s_collect.owner, __ATOMIC_RELAXED) == self)
			return -EAGAIN;
		if (!writer_helper_alive())
			return -EIO;
		(void)rawio_futex_wait(&s_collect.state, state, WRITER_POLL_NS);
	}
	__atomic_store_n(&s_collect.owner, self, __ATOMIC_RELAXED);
	return 0;
}

static void release(void)
{
	__atomic_store_n(&s_collect.owner, 0, __ATOMIC_RELAXED);
	set_state(COLLECT_FREE);
}

static int64_t wait_result(pid_t self)
{
	int64_t result = -EIO;
	bool alive = true;

	for (;;) {
		enum collect_state state = get_state();

		/* A fork child of a signal handler: nobody works for it. */
		if (__atomic_load_n(&s_collect.owner, __ATOMIC_RELAXED) != self)
			return -EIO;
		if (state == COLLECT_DONE)
			result = s_collect.result;
		if (state == COLLECT_DONE || !alive)
			break;
		/* Its last act may have been the answer: one more look. */
		alive = writer_helper_alive();
		if (alive)
			(void)rawio_futex_wait(&s_collect.state, state, WRITER_POLL_NS);
	}
	release();
	return result;
}

int64_t collect_ask(uint32_t index, int generation)
{
	const pid_t self = rawio_tid();
	int error;

	if (__atomic_load_n(&g_writer.mode, __ATOMIC_ACQUIRE) != WRITER_HELPER || !writer_helper_alive())
		return -ENOTSUP;
	if (events_were_lost())
		return -ENODATA;
	error = claim(self);
	if (error != 0)
		return error;
	s_collect.index = index;
	s_collect.generation = generation;
	set_state(COLLECT_ASKED);
	writer_helper_wake();
	return wait_result(self);
}

void collect_after_fork(void)
{
	uint8_t *stack = s_collect.stack;

	memset(&s_collect, 0, sizeof(s_collect));
	s_collect.stack = stack;
}

/* ---- the helper's side ------------------------------------------------------- */

/* The signals stay blocked; descriptors but these close themselves. */
static int collect_execute(void *arg)
{
	char index[16], generation[16];
	struct rawio_text text;
	const char *const argv[] = {"castaway", "gc",           "/proc/self/fd/3", "collect", "--at",
				    index,      "--generation", generation,        NULL};
	const char *const environment[] = {"LC_ALL=C", NULL};
	long trace;

	rawio_text_begin(&text, index, sizeof(index));
	rawio_text_put_number(&text, s_collect.index);
	rawio_text_begin(&text, generation, sizeof(generation));
	rawio_text_put_number(&text, (uint64_t)s_collect.generation);
	(void)RAW_CALL(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	/* It may be one of those that are set up here. */
	trace = RAW_CALL(SYS_fcntl, writer_file_fd(), F_DUPFD_CLOEXEC, FD_CLEAR);
	for (int fd = 0; fd < FD_TRACE; fd++)
		rawio_close(fd);
	if (rawio_open("/dev/null", O_RDWR, 0) != 0 || RAW_CALL(SYS_dup3, s_collect.out, 1, 0) != 1 ||
	    RAW_CALL(SYS_dup3, 0, 2, 0) != 2 || RAW_CALL(SYS_dup3, trace, FD_TRACE, 0) != FD_TRACE)
		return STATUS_NO_FILE;
	(void)RAW_CALL(SYS_execve, s_program, argv, environment);
	return STATUS_NO_EXEC;
}

static bool open_out(void)
{
	long low = RAW_CALL(SYS_memfd_create, "castaway", MFD_CLOEXEC);

	s_collect.out = (int)RAW_CALL(SYS_fcntl, low, F_DUPFD_CLOEXEC, FD_CLEAR);
	rawio_close((int)low);
	return s_collect.out >= 0;
}

static void answer(int64_t result)
{
	s_collect.result = result;
	set_state(COLLECT_DONE);
}

static void begin(void)
{
	const struct arch_clone_ids none = {NULL, NULL};
	long task = -1;

	if (!find_program()) {
		answer(-ENOENT);
		return;
	}
	if (s_collect.stack == NULL)
		s_collect.stack = arena_map(STACK_SIZE);
	/* What the snapshot's child has written is in the file by now. */
	writer_pump_pass(true);
	set_state(COLLECT_RUNNING);
	if (s_collect.stack != NULL && open_out()) {
		task = arch_clone(CLONE_VM | CLONE_VFORK | CLONE_UNTRACED, s_collect.stack + STACK_SIZE, NULL,
				  &none, collect_execute, NULL);
		if (task < 0)
			rawio_close(s_collect.out);
	}
	s_collect.task = task > 0 ? (pid_t)task : 0;
	s_collect.poll_ns = FIRST_POLL_NS;
	if (task < 0)
		answer(-EIO);
}

/* The last line is "N objects". */
static int64_t read_count(void)
{
	char tail[64];
	long size = RAW_CALL(SYS_lseek, s_collect.out, 0, SEEK_END);
	long from = size >= (long)sizeof(tail) ? size - (long)sizeof(tail) + 1 : 0;
	long got = RAW_CALL(SYS_pread64, s_collect.out, tail, sizeof(tail) - 1, from);
	int64_t count = 0;
	const char *line, *at;

	if (got <= 0 || tail[got - 1] != '\n')
		return -EIO;
	tail[got - 1] = '\0';
	line = strrchr(tail, '\n');
	line = at = line != NULL ? line + 1 : tail;
	while (*at >= '0' && *at <= '9' && at < line + 18)
		count = count * 10 + (*at++ - '0');
	return at != line && strncmp(at, " object", 7) == 0 ? count : -EIO;
}

static void end(int status)
{
	int64_t result = -EIO;

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		result = read_count();
	else if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_NO_EXEC)
		result = -ENOENT;
	rawio_close(s_collect.out);
	s_collect.task = 0;
	answer(result);
}

void collect_step(void)
{
	int status = 0;

	if (s_collect.task == 0) {
		if (get_state() == COLLECT_ASKED && taker_is_idle())
			begin();
		return;
	}
	if (RAW_CALL(SYS_wait4, s_collect.task, &status, __WALL | WNOHANG, NULL) != 0)
		end(status);
	else if (s_collect.poll_ns < LAST_POLL_NS)
		s_collect.poll_ns += s_collect.poll_ns / 4;
}

uint64_t collect_sleep(uint64_t longest)
{
	return s_collect.task != 0 && s_collect.poll_ns < longest ? s_collect.poll_ns : longest;
}

void collect_finish(void)
{
	if (s_collect.task != 0) {
		(void)RAW_CALL(SYS_kill, s_collect.task, SIGKILL);
		(void)RAW_CALL(SYS_wait4, s_collect.task, NULL, __WALL, NULL);
		rawio_close(s_collect.out);
		s_collect.task = 0;
		answer(-ECANCELED);
	} else if (get_state() == COLLECT_ASKED) {
		answer(-ECANCELED);
	}
}
