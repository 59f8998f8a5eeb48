/* SPDX-License-Identifier: Apache-2.0
 *
 * Waits for any kind of child.  The helper is a clone of the target that lives
 * as long as it does: a program that waits with __WALL or __WCLONE until there
 * is no child left would wait forever.  So where the helper is the only child,
 * such a wait says that there is none.  Runs in the target's threads; plain
 * waits are only forwarded.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inherit.h"
#include "rawio.h"
#include "resolve.h"
#include "writer.h"

#define TASKS     "/proc/self/task/"
#define PATH_SIZE (sizeof(TASKS) + 32)
#define LOOKS_MAX 3

struct entry {
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

enum found {
	FOUND_OTHERS, /* or nobody can say: the kernel has no lists of children */
	FOUND_ONLY,   /* the helper at most */
	FOUND_CHANGE, /* a thread has ended; its children are another thread's now */
};

static void put_path(char path[PATH_SIZE], const char *tid, const char *file)
{
	struct rawio_text text;

	rawio_text_begin(&text, path, PATH_SIZE);
	rawio_text_put(&text, TASKS);
	rawio_text_put(&text, tid);
	rawio_text_put(&text, file);
}

/* A thread may end between the list of threads and a look at it. */
static bool thread_is_gone(const char *tid)
{
	char path[PATH_SIZE];
	long result;

	put_path(path, tid, "");
	result = RAW_CALL(SYS_faccessat, AT_FDCWD, path, F_OK);
	return result == -ENOENT || result == -ESRCH;
}

static enum found look_at_thread(const char *tid, pid_t helper)
{
	char path[PATH_SIZE], children[64], expected[32];
	struct rawio_text text;
	long size;

	put_path(path, tid, "/children");
	rawio_text_begin(&text, expected, sizeof(expected));
	rawio_text_put_number(&text, (uint64_t)helper);
	rawio_text_put(&text, " ");
	size = rawio_read_file(path, children, sizeof(children) - 1);
	if (size < 0)
		return size == -ESRCH || thread_is_gone(tid) ? FOUND_CHANGE : FOUND_OTHERS;
	children[size] = '\0';
	return size == 0 || strcmp(children, expected) == 0 ? FOUND_ONLY : FOUND_OTHERS;
}

static enum found look(pid_t helper)
{
	long fd = rawio_open(TASKS, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	char entries[1024] __attribute__((aligned(8)));
	enum found found = fd >= 0 ? FOUND_ONLY : FOUND_OTHERS;
	long size;

	while (found != FOUND_OTHERS && (size = RAW_CALL(SYS_getdents64, fd, entries, sizeof(entries))) > 0) {
		const struct entry *entry;

		for (long at = 0; found != FOUND_OTHERS && at < size; at += entry->length) {
			enum found here = FOUND_ONLY;

			entry = (const struct entry *)(const void *)(entries + at);
			if (entry->name[0] != '.')
				here = look_at_thread(entry->name, helper);
			if (here != FOUND_ONLY)
				found = here;
		}
	}
	if (fd >= 0)
		rawio_close((int)fd);
	return found;
}

/* While threads end, children may move to a thread that was looked at before.  They
 * move to the oldest, so that they are there at the next look. */
static bool has_only(pid_t helper)
{
	enum found found = FOUND_CHANGE;

	for (unsigned i = 0; i < LOOKS_MAX && found == FOUND_CHANGE; i++)
		found = look(helper);
	return found != FOUND_OTHERS;
}

/* Would this wait see nothing but the helper? */
static bool sees_only_helper(bool any, int options)
{
	const pid_t helper = writer_helper_pid();

	if (!any || ((unsigned)options & (__WALL | (unsigned)__WCLONE)) == 0 || helper == 0 ||
	    !inherit_is_owner() || !has_only(helper))
		return false;
	errno = ECHILD;
	return true;
}

HOOK_EXPORT pid_t waitpid(pid_t pid, int *status, int options)
{
	(void)resolve_ready();
	return sees_only_helper(pid == -1, options) ? -1 : g_real.waitpid(pid, status, options);
}

HOOK_EXPORT pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
	(void)resolve_ready();
	return sees_only_helper(pid == -1, options) ? -1 : g_real.wait4(pid, status, options, usage);
}

HOOK_EXPORT int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
	(void)resolve_ready();
	return sees_only_helper(type == P_ALL, options) ? -1 : g_real.waitid(type, id, info, options);
}
