/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes a container's restrictions for a command: seccomp filters.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "snapshots.h"

#define NUMBER    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define ARGUMENT0 BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]))
#define DENY(e)   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (e))
#define ALLOW     BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static int install(struct sock_filter *code, unsigned short length)
{
	struct sock_fprog program = {length, code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int deny_ptrace(void)
{
	struct sock_filter code[] = {NUMBER, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
				     DENY(EPERM), ALLOW};

	return install(code, sizeof(code) / sizeof(*code));
}

/* clone3's flags lie in memory: libc falls back to clone. */
static int deny_fork(void)
{
	struct sock_filter code[] = {
		NUMBER,
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		DENY(ENOSYS),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fork, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
		ARGUMENT0,
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_VM, 1, 0),
		DENY(EPERM),
		ALLOW,
	};

	return install(code, sizeof(code) / sizeof(*code));
}

int snapshots_filter(const char *kind, char **command)
{
	if (strcmp(kind, "clone") ? deny_ptrace() : deny_fork())
		return 254;
	execv(command[0], command);
	return 253;
}
