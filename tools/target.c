/* SPDX-License-Identifier: Apache-2.0
 *
 * Fork, exec, signals.  A signal that somebody sends to castaway is passed on;
 * one that the terminal sends reaches the program by itself, as it is in the
 * same process group, and must not arrive twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "locate.h"
#include "message.h"
#include "target.h"

static const int g_forwarded[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
#define FORWARDED (sizeof(g_forwarded) / sizeof(g_forwarded[0]))

static volatile pid_t g_child;

static void forward(int number, siginfo_t *info, void *context)
{
	int saved = errno;

	/* SI_USER, SI_QUEUE and SI_TKILL are <= 0; what the kernel sends is above. */
	if (info->si_code <= 0 && g_child > 0)
		kill(g_child, number);
	errno = saved;
}

static void catch_signals(struct sigaction *old)
{
	struct sigaction action = {.sa_sigaction = forward, .sa_flags = SA_SIGINFO | SA_RESTART};

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < FORWARDED; i++) {
		sigaction(g_forwarded[i], NULL, &old[i]);
		/* What was ignored (nohup) stays ignored, here and in the program. */
		if (old[i].sa_handler != SIG_IGN)
			sigaction(g_forwarded[i], &action, NULL);
	}
}

static void restore_signals(const struct sigaction *old)
{
	for (size_t i = 0; i < FORWARDED; i++)
		sigaction(g_forwarded[i], &old[i], NULL);
}

/* In the child: never returns. */
static void execute(const struct target *target, const char *library, int report)
{
	const char *before = getenv("LD_PRELOAD");
	char *preload = NULL;
	int error = ENOMEM;

	if (asprintf(&preload, "%s%s%s", library, before && *before ? ":" : "", before ? before : "") > 0 &&
	    !setenv("LD_PRELOAD", preload, 1) && !setenv("CASTAWAY_OUTPUT", target->output, 1) &&
	    (!target->settings || !setenv("CASTAWAY_OPTIONS", target->settings, 1)) &&
	    /* GLib before 2.76 would take small blocks from slabs, where nobody sees them. */
	    !setenv("G_SLICE", "always-malloc", 0)) {
		execvp(target->command[0], target->command);
		error = errno;
	}
	/* Close-on-exec: the parent reads end of file when the exec worked. */
	if (write(report, &error, sizeof(error)) != sizeof(error))
		_exit(EXIT_STATUS_CANNOT);
	_exit(EXIT_STATUS_CANNOT);
}

/* Starts the program; returns 0, or the errno of what failed. */
static int start(struct target *target, const char *library)
{
	struct sigaction old[FORWARDED];
	sigset_t all, before;
	int report[2];
	int error = 0;

	if (pipe2(report, O_CLOEXEC))
		return errno;
	/* No signal may come between the fork and the moment g_child is known. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	catch_signals(old);
	target->pid = fork();
	if (!target->pid) {
		restore_signals(old);
		sigprocmask(SIG_SETMASK, &before, NULL);
		execute(target, library, report[1]);
	}
	error = target->pid < 0 ? errno : 0;
	g_child = target->pid;
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(report[1]);
	if (!error && read(report[0], &error, sizeof(error)) != sizeof(error))
		error = 0;
	close(report[0]);
	return error;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_STATUS_ERROR;
	/* From here on a signal is meant for castaway itself. */
	g_child = 0;
	for (size_t i = 0; i < FORWARDED; i++) {
		struct sigaction current;

		if (!sigaction(g_forwarded[i], NULL, &current) && current.sa_sigaction == forward)
			signal(g_forwarded[i], SIG_DFL);
	}
	return WIFSIGNALED(status) ? EXIT_STATUS_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

bool target_run(struct target *target)
{
	char library[4096];
	int error;

	target->status = EXIT_STATUS_ERROR;
	if (!locate_library(library, sizeof(library)))
		return false;
	locate_warn_untraceable(target->command[0]);
	error = start(target, library);
	if (error && target->pid < 0) {
		message_errno("fork", error);
		return false;
	}
	target->status = wait_for(target->pid);
	if (!error)
		return true;
	target->status = error == ENOENT ? EXIT_STATUS_MISSING : EXIT_STATUS_CANNOT;
	message("%s: %s", target->command[0], strerror(error));
	return false;
}

bool target_wait_trace(const char *path, unsigned seconds)
{
	const struct timespec pause = {.tv_nsec = 5000000};
	struct timespec now, end;
	bool done = false;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += seconds;
	for (;;) {
		done = !flock(fd, LOCK_SH | LOCK_NB) || errno != EWOULDBLOCK;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (done || now.tv_sec > end.tv_sec ||
		    (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec))
			break;
		nanosleep(&pause, NULL);
	}
	close(fd);
	return done;
}
