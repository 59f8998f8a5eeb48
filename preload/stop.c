/* SPDX-License-Identifier: Apache-2.0
 *
 * Chooses how the target's threads are stopped, and reads what /proc tells of
 * them.  Runs in the helper: raw system calls and arena memory only.
 */
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "arena.h"
#include "config.h"
#include "rawio.h"

#define LIST_BYTES   16384u
#define LINE_BYTES   512u
#define STATUS_BYTES 4096u
#define PAUSE_NS     20000

/* struct linux_dirent64 */
struct entry {
	uint64_t inode;
	int64_t offset;
	unsigned short length;
	unsigned char type;
	char name[];
};

static struct stopped_thread *s_threads;
static uint8_t *s_list;

static void task_path(struct rawio_text *text, char *path, size_t size, pid_t target)
{
	rawio_text_begin(text, path, size);
	rawio_text_put(text, "/proc/");
	rawio_text_put_number(text, (uint64_t)target);
	rawio_text_put(text, "/task");
}

/* A small file of one task, NUL-terminated; false when there is none. */
static bool read_task_file(pid_t target, int32_t tid, const char *name, char *ret, size_t size)
{
	struct rawio_text text;
	char path[96];
	long got;

	task_path(&text, path, sizeof(path), target);
	rawio_text_put(&text, "/");
	rawio_text_put_number(&text, (uint64_t)tid);
	rawio_text_put(&text, name);
	got = rawio_read_file(path, ret, size - 1);
	ret[got > 0 ? got : 0] = '\0';
	return got > 0;
}

static int32_t number_of(const char *name)
{
	int32_t number = 0;

	for (; *name >= '0' && *name <= '9'; name++)
		number = number * 10 + (*name - '0');
	return number;
}

bool stop_list(pid_t target, bool (*visit)(void *arg, int32_t tid), void *arg)
{
	struct rawio_text text;
	char path[64];
	bool going = s_list != NULL;
	long fd, size;

	task_path(&text, path, sizeof(path), target);
	fd = rawio_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	while (going && (size = RAW_CALL(SYS_getdents64, fd, s_list, LIST_BYTES)) > 0) {
		for (long at = 0; going && at < size;) {
			const struct entry *entry = (const struct entry *)(s_list + at);
			int32_t tid = number_of(entry->name);

			going = tid == 0 || visit(arg, tid);
			at += entry->length;
		}
	}
	rawio_close((int)fd);
	return going;
}

/* 0 when it has gone. */
static char state_of(pid_t target, int32_t tid)
{
	char line[LINE_BYTES];
	const char *state;

	if (!read_task_file(target, tid, "/stat", line, sizeof(line)))
		return '\0';
	state = strrchr(line, ')');
	return state == NULL || state[1] == '\0' ? '\0' : state[2];
}

bool stop_is_dead(pid_t target, int32_t tid)
{
	const char state = state_of(target, tid);

	return state == '\0' || state == 'Z' || state == 'X';
}

bool stop_will_take(pid_t target, int32_t tid, int number)
{
	const char state = state_of(target, tid);
	char status[STATUS_BYTES];
	const char *digits;

	if ((state != 'R' && state != 't') || !read_task_file(target, tid, "/status", status, sizeof(status)))
		return false;
	digits = strstr(status, "\nSigBlk:\t");
	/* Sixteen hexadecimal digits, the first signal's in the last. */
	if (digits == NULL || strlen(digits) < 9 + 16)
		return false;
	digits += 9 + 15 - (number - 1) / 4;
	return ((unsigned)(*digits <= '9' ? *digits - '0' : *digits - 'a' + 10) >> (number - 1) % 4 & 1) == 0;
}

static bool hexadecimal(const char *text, uintptr_t *ret)
{
	if (text == NULL || text[0] != '0' || text[1] != 'x')
		return false;
	*ret = 0;
	for (text += 2; *text != '\0' && *text != '\n' && *text != ' '; text++)
		*ret = *ret << 4 | (uintptr_t)(*text <= '9' ? *text - '0' : *text - 'a' + 10);
	return true;
}

/* The file ends with the stack pointer and the program counter.  It begins with the
 * call's number, or with -1 where there is none: in a page fault, in the hands of a
 * tracer. */
bool stop_describe_blocked(pid_t target, int32_t tid, struct stopped_thread *ret)
{
	char line[LINE_BYTES];
	char *pc, *sp;

	if (!read_task_file(target, tid, "/syscall", line, sizeof(line)) || memcmp(line, "running", 7) == 0)
		return false;
	pc = strrchr(line, ' ');
	if (pc == NULL)
		return false;
	*pc = '\0';
	sp = strrchr(line, ' ');
	memset(ret, 0, sizeof(*ret));
	ret->tid = tid;
	ret->in_syscall = line[0] != '-';
	return sp != NULL && hexadecimal(sp + 1, &ret->sp) && hexadecimal(pc + 1, &ret->pc);
}

struct stopped_thread *stop_add(struct stop *stop, int32_t tid)
{
	struct stopped_thread *thread;

	if (stop->count == STOP_MAX_THREADS)
		return NULL;
	thread = &stop->threads[stop->count++];
	memset(thread, 0, sizeof(*thread));
	thread->tid = tid;
	return thread;
}

bool stop_pause(uint64_t deadline)
{
	static const uint32_t never;

	(void)rawio_futex_wait(&never, 0, PAUSE_NS);
	return rawio_clock(CLOCK_MONOTONIC) < deadline;
}

static bool is_requester(void *arg, int32_t tid)
{
	return tid == ((const struct stop *)arg)->requester;
}

/* What is known without stopping anything. */
static bool describe(void *arg, int32_t tid)
{
	struct stop *stop = arg;
	struct stopped_thread *thread;

	if (tid == stop->requester || stop_is_dead(stop->target, tid))
		return true;
	thread = stop_add(stop, tid);
	if (thread != NULL && !stop_describe_blocked(stop->target, tid, thread))
		*thread = (struct stopped_thread){.tid = tid};
	return thread != NULL;
}

static bool allowed(enum castaway_snapshot_method method)
{
	return g_config.stop == 0 || g_config.stop == method;
}

static bool choose(struct stop *stop, size_t first)
{
	if (stop->requester != 0 && stop_list(stop->target, is_requester, stop)) {
		stop->method = CASTAWAY_METHOD_ALONE;
		return true;
	}
	if (allowed(CASTAWAY_METHOD_PTRACE) && stop_ptrace_begin(stop)) {
		stop->method = CASTAWAY_METHOD_PTRACE;
		return true;
	}
	stop->count = first;
	if (allowed(CASTAWAY_METHOD_SIGNAL) && stop_signal_begin(stop)) {
		stop->method = CASTAWAY_METHOD_SIGNAL;
		return true;
	}
	stop->count = first;
	stop->method = CASTAWAY_METHOD_INPLACE;
	return stop_list(stop->target, describe, stop);
}

bool stop_begin(struct stop *stop, pid_t target, const struct stopped_thread *requester)
{
	if (s_threads == NULL)
		s_threads = arena_map(STOP_MAX_THREADS * sizeof(*s_threads));
	if (s_list == NULL)
		s_list = arena_map(LIST_BYTES);
	if (s_threads == NULL || s_list == NULL)
		return false;
	stop->target = target;
	stop->threads = s_threads;
	stop->count = 0;
	stop->requester = 0;
	if (requester != NULL) {
		stop->requester = requester->tid;
		s_threads[stop->count++] = *requester;
	}
	return choose(stop, stop->count);
}

void stop_end(struct stop *stop)
{
	if (stop->method == CASTAWAY_METHOD_PTRACE)
		stop_ptrace_end(stop);
	else if (stop->method == CASTAWAY_METHOD_SIGNAL)
		stop_signal_end(stop);
}
