/* SPDX-License-Identifier: Apache-2.0
 *
 * `castaway snapshot PID`: asks a process that is being traced for a snapshot
 * of its heap, and returns when it is in the trace.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "message.h"
#include "options.h"
#include "preload/control.h"

#define PATIENCE_SECONDS 120
#define START_MS         500
#define START_TRIES      25

/* What is wrong lies with the process, not with the command line. */
#define STATUS_FAILED 1

static const char *g_name;

static const struct option_row g_rows[] = {
	{"name", 'n', "NAME", option_text, &g_name, "a name for the snapshot, as reports show it"},
	{0},
};

static const struct option_row *const g_tables[] = {g_rows, options_output_rows, NULL};

static const struct option_set g_set = {
	.command = "snapshot",
	.operands = "PID",
	.summary = "Takes a snapshot of a process that castaway records. Exits with 1 when it could not be\n"
		   "taken, with 2 when the process is not recorded, or with --scan=no.",
	.tables = g_tables,
};

static bool is_own(int fd, long pid)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t size = sizeof(peer);
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld", pid);
	/* Whoever sits behind the name must be the process's own user, or root. */
	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && !stat(path, &st) &&
	       (peer.uid == st.st_uid || peer.uid == 0);
}

/* -1 when nothing of castaway's is there. */
static int reach_once(long pid)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
	int length = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, CONTROL_NAME "%ld", pid);
	size_t size = offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (const struct sockaddr *)&address, (socklen_t)size) && is_own(fd, pid))
		return fd;
	close(fd);
	return -1;
}

/* A process that has just begun may not have its socket yet. */
static int reach(long pid)
{
	const struct timespec pause = {.tv_nsec = START_MS * 1000000l / START_TRIES};
	int fd = reach_once(pid);

	for (int i = 0; fd < 0 && i < START_TRIES && (!kill((pid_t)pid, 0) || errno == EPERM); i++) {
		nanosleep(&pause, NULL);
		fd = reach_once(pid);
	}
	return fd;
}

static int ask(int fd, long pid)
{
	char answer[CONTROL_PACKET_MAX + 1];
	const char *name = g_name && *g_name ? g_name : "request";
	ssize_t size = send(fd, name, strlen(name), MSG_NOSIGNAL);

	if (size >= 0)
		size = recv(fd, answer, sizeof(answer) - 1, 0);
	if (size <= 0) {
		message("process %ld: %s", pid,
			size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)
				? "the snapshot takes too long; it may still be written"
				: "it ended, or refused, before the snapshot was written");
		return STATUS_FAILED;
	}
	answer[size] = '\0';
	if (strcmp(answer, "ok")) {
		message("process %ld: no snapshot: %s", pid, answer);
		return STATUS_FAILED;
	}
	message_note("process %ld: the snapshot '%s' is in its trace", pid, name);
	return EXIT_STATUS_OK;
}

int cmd_snapshot(int argc, char **argv)
{
	int status, fd, first = options_parse(&g_set, argc, argv, &status);
	uint64_t pid;

	if (first < 0)
		return status;
	if (argc - first != 1 || !option_parse_number(argv[first], &pid) || pid == 0 || pid > INT32_MAX)
		return message_usage("snapshot: expected one process id (see castaway snapshot --help)");
	if (g_name && strlen(g_name) >= CONTROL_PACKET_MAX)
		return message_usage("snapshot: the name is too long");
	fd = reach((long)pid);
	if (fd < 0) {
		message("process %s is not recorded by castaway, or with --scan=no, or belongs to somebody "
			"else",
			argv[first]);
		return EXIT_STATUS_ERROR;
	}
	status = ask(fd, (long)pid);
	close(fd);
	return status;
}
