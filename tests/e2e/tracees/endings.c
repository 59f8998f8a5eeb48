/* SPDX-License-Identifier: Apache-2.0
 *
 * Plants a pair, then ends in the way that its argument names.  What castaway
 * must find in each trace is in test_endings.py.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shape.h"

static OUT_OF_LINE void plant(const char *left, const char *right)
{
	struct shape *a = shape_new(left), *b = shape_new(right);

	shape_hold(a, b, "right");
	shape_hold(b, a, "left");
	shape_drop(a);
	shape_drop(b);
}

static void end_by_signal(int number)
{
	signal(number, SIG_DFL);
	raise(number);
}

static void end_by_fault(void)
{
	static volatile int *volatile nowhere;

	*nowhere = 1;
}

/* Nothing of ours runs after this: the kernel ends us in the middle of work.
 * KILLED_PAIRS blocks of remarkable sizes tell how much of it is in the trace. */
#define KILLED_PAIRS 100000

static void end_by_raw_kill(void)
{
	for (int i = 0; i < KILLED_PAIRS; i++)
		free(malloc(6000 + (size_t)(i & 127)));
	syscall(SYS_kill, getpid(), SIGKILL);
}

static int wait_for(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return 99;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

static int end_by_fork(void)
{
	pid_t child = fork();

	if (child == 0) {
		plant("ChildLeft", "ChildRight");
		return 0;
	}
	return wait_for(child);
}

/* A structure of the parent's, and one that is of both. */
static OUT_OF_LINE void strand_inherited(struct shape *half, struct shape *whole)
{
	struct shape *mine = shape_new("Mine");

	shape_hold(half, mine, "mine");
	shape_hold(mine, half, "back");
	shape_drop(mine);
	shape_drop(half);
	shape_drop(whole);
	shape_drop(whole->other);
}

static int end_by_fork_strand(void)
{
	struct shape *half = shape_new("Half"), *whole = shape_new("Whole"), *other = shape_new("Other");
	pid_t child;

	shape_hold(whole, other, "other");
	shape_hold(other, whole, "other");
	whole->other = other;
	child = fork();
	if (child == 0) {
		strand_inherited(half, whole);
		return 0;
	}
	return wait_for(child);
}

static int end_by_fork_kill(void)
{
	pid_t child = fork();

	if (child == 0) {
		plant("ChildLeft", "ChildRight");
		end_by_raw_kill();
	}
	return wait_for(child) == 98 ? 0 : 1;
}

/* A child that lives for a while, does little, and is killed. */
static int end_by_fork_idle(void)
{
	const struct timespec moment = {.tv_nsec = 5000000};
	pid_t child = fork();

	if (child == 0) {
		plant("ChildLeft", "ChildRight");
		for (int i = 0; i < 30; i++) {
			free(malloc(6000));
			nanosleep(&moment, NULL);
		}
		syscall(SYS_kill, getpid(), SIGKILL);
	}
	wait_for(child);
	return 0;
}

static int end_by_vfork(char **argv)
{
	pid_t child = vfork();

	if (child == 0) {
		execl(argv[0], argv[0], "status", "0", (char *)NULL);
		_exit(99);
	}
	return wait_for(child);
}

/* As daemons do it: two forks, a new session, every descriptor closed.  The
 * pipe tells the parent that the grandchild is past all that. */
static int end_by_daemon(void)
{
	int ends[2];
	char byte;
	pid_t child;

	if (pipe(ends))
		return 99;
	child = fork();
	if (child == 0) {
		setsid();
		if (fork())
			_exit(0);
		if (dup2(ends[1], 0) != 0)
			_exit(97);
		closefrom(1);
		plant("DaemonLeft", "DaemonRight");
		return 0; /* the pipe closes with the process */
	}
	close(ends[1]);
	while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
		;
	return wait_for(child);
}

static int end_by_status(int argc, char **argv)
{
	return argc == 3 ? atoi(argv[2]) : 99;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";

	plant("Left", "Right");
	if (!strcmp(how, "status"))
		return end_by_status(argc, argv);
	if (!strcmp(how, "exit"))
		exit(end_by_status(argc, argv));
	if (!strcmp(how, "_exit"))
		_exit(end_by_status(argc, argv));
	if (!strcmp(how, "quick_exit"))
		quick_exit(end_by_status(argc, argv));
	if (!strcmp(how, "exit_group"))
		syscall(SYS_exit_group, end_by_status(argc, argv));
	if (!strcmp(how, "signal"))
		end_by_signal(end_by_status(argc, argv));
	if (!strcmp(how, "fault"))
		end_by_fault();
	if (!strcmp(how, "abort"))
		abort();
	if (!strcmp(how, "raw_kill"))
		end_by_raw_kill();
	if (!strcmp(how, "fork"))
		return end_by_fork();
	if (!strcmp(how, "fork_strand"))
		return end_by_fork_strand();
	if (!strcmp(how, "fork_idle"))
		return end_by_fork_idle();
	if (!strcmp(how, "fork_kill"))
		return end_by_fork_kill();
	if (!strcmp(how, "vfork"))
		return end_by_vfork(argv);
	if (!strcmp(how, "daemon"))
		return end_by_daemon();
	if (!strcmp(how, "exec") && argc == 3)
		execl(argv[2], argv[2], "pair", (char *)NULL);
	return 99;
}
