/* SPDX-License-Identifier: Apache-2.0
 *
 * The helper's socket for requests from outside.  Runs in the helper: raw
 * system calls; never waits for whoever is at the other end.
 */
#include "control.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "rawio.h"
#include "taker.h"
#include "writer_internal.h"

/* Who connects and says nothing is sent away: it does not just lack a processor. */
#define SILENCE_NS 10000000000u

static struct {
	int listener, peer; /* -1 = none */
	uint64_t since;
	bool asked;
} s_control = {.listener = -1, .peer = -1};

static void close_one(int *fd)
{
	if (*fd >= 0)
		rawio_close(*fd);
	*fd = -1;
}

void control_open(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct rawio_text text;
	long fd = RAW_CALL(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	size_t size;

	s_control.listener = s_control.peer = -1;
	if (fd < 0)
		return;
	rawio_text_begin(&text, address.sun_path + 1, CONTROL_NAME_MAX);
	rawio_text_put(&text, CONTROL_NAME);
	rawio_text_put_number(&text, (uint64_t)g_writer.target);
	size = offsetof(struct sockaddr_un, sun_path) + (size_t)(text.at - address.sun_path);
	s_control.listener = (int)fd;
	if (RAW_CALL(SYS_bind, fd, &address, size) < 0 || RAW_CALL(SYS_listen, fd, 4) < 0)
		close_one(&s_control.listener);
}

/* Only the target's own user, and root. */
static bool may_ask(int fd)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t size = sizeof(peer);

	return RAW_CALL(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       (peer.uid == 0 || peer.uid == (uid_t)RAW_CALL(SYS_geteuid, 0));
}

static void accept_one(void)
{
	long fd = RAW_CALL(SYS_accept4, s_control.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	s_control.peer = (int)fd;
	s_control.asked = false;
	s_control.since = rawio_clock(CLOCK_MONOTONIC);
	if (!may_ask(s_control.peer))
		close_one(&s_control.peer);
}

static void receive(void)
{
	char name[CONTROL_PACKET_MAX + 1];
	long size =
		RAW_CALL(SYS_recvfrom, s_control.peer, name, CONTROL_PACKET_MAX, MSG_DONTWAIT, NULL, NULL);

	if (size <= 0) {
		if (size != -EAGAIN || rawio_clock(CLOCK_MONOTONIC) - s_control.since > SILENCE_NS)
			close_one(&s_control.peer);
		return;
	}
	name[size] = '\0';
	s_control.asked = true;
	taker_request(name);
}

void control_step(void)
{
	if (s_control.listener < 0)
		return;
	if (s_control.peer < 0)
		accept_one();
	if (s_control.peer >= 0 && !s_control.asked)
		receive();
}

void control_answer(const char *failure)
{
	const char *answer = failure != NULL ? failure : "ok";

	if (s_control.peer < 0 || !s_control.asked)
		return;
	(void)RAW_CALL(SYS_sendto, s_control.peer, answer, strlen(answer), MSG_NOSIGNAL | MSG_DONTWAIT, NULL,
		       0);
	close_one(&s_control.peer);
}

void control_close(void)
{
	close_one(&s_control.peer);
	close_one(&s_control.listener);
}
