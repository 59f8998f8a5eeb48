/* SPDX-License-Identifier: Apache-2.0
 *
 * The exec family.  An exec that succeeds ends this program's trace, so it is
 * finished before; one that fails must leave everything as it was, so then the
 * trace goes on.  Runs in the target's threads; a vfork child only forwards,
 * and may not allocate: argument lists are gathered on its stack.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "adapters/adapter.h"
#include "config.h"
#include "emit.h"
#include "guard.h"
#include "inherit.h"
#include "process.h"
#include "rawio.h"
#include "resolve.h"
#include "writer.h"

/* Its path is not known here, and not needed: who has another libcastaway.so in
 * the list is traced as well. */
static bool has_preload(char *const envp[])
{
	static const char variable[] = "LD_PRELOAD=";

	for (size_t i = 0; envp != NULL && envp[i] != NULL; i++)
		if (strncmp(envp[i], variable, sizeof(variable) - 1) == 0)
			return strstr(envp[i], "libcastaway") != NULL;
	return false;
}

/* An exec that may succeed ends the trace; true when it was ended. */
static bool end_trace(bool may_succeed, char *const envp[])
{
	struct guard guard;
	bool ended = false;

	if (guard_enter(&guard)) {
		inherit_check_copy();
		/* A child that has shown nothing yet leaves no trace. */
		ended = may_succeed && inherit_is_owner() && !writer_is_pending();
		if (ended) {
			if (g_config.follow && !has_preload(envp))
				limits_count(CASTAWAY_LIMIT_NOT_FOLLOWED, 1,
					     "the program executed another one without LD_PRELOAD");
			adapter_at_exit(CASTAWAY_END_EXEC);
			writer_finish(CASTAWAY_END_EXEC);
		}
	}
	guard_leave(&guard);
	return ended;
}

static int go_on(bool ended, int result)
{
	struct guard guard;

	if (guard_enter(&guard) && ended)
		writer_resume();
	guard_leave(&guard);
	return result;
}

static bool is_executable(const char *path)
{
	return RAW_CALL(SYS_faccessat, AT_FDCWD, path, X_OK) == 0;
}

/* X(name, parameters, arguments, environment, may it succeed) */
#define EXECS(X)                                                                                         \
	X(execve, (const char *path, char *const argv[], char *const envp[]), (path, argv, envp), envp,  \
	  is_executable(path))                                                                           \
	X(execv, (const char *path, char *const argv[]), (path, argv), environ, is_executable(path))     \
	X(execvp, (const char *file, char *const argv[]), (file, argv), environ, true)                   \
	X(execvpe, (const char *file, char *const argv[], char *const envp[]), (file, argv, envp), envp, \
	  true)                                                                                          \
	X(fexecve, (int fd, char *const argv[], char *const envp[]), (fd, argv, envp), envp, true)

#define X(name, parameters, arguments, environment, may_succeed) \
	HOOK_EXPORT int name parameters                          \
	{                                                        \
		bool ended;                                      \
                                                                 \
		(void)resolve_ready();                           \
		ended = end_trace(may_succeed, environment);     \
		return go_on(ended, g_real.name arguments);      \
	}
EXECS(X)
#undef X

static size_t count_arguments(va_list list)
{
	size_t count = 1;

	while (va_arg(list, char *) != NULL)
		count++;
	return count;
}

/* Gathers "arg, ..., NULL" into an array on the caller's stack, as libc does.
 * A macro, because the array must live in the frame of the hook. */
#define GATHER(argv, list, arg)                                              \
	va_list list;                                                        \
	va_start(list, arg);                                                 \
	const size_t argv##_count = count_arguments(list);                   \
	va_end(list);                                                        \
	char **argv = __builtin_alloca((argv##_count + 1) * sizeof(char *)); \
	va_start(list, arg);                                                 \
	argv[0] = (char *)(uintptr_t)arg;                                    \
	for (size_t i = 1; i <= argv##_count; i++)                           \
	argv[i] = va_arg(list, char *)

HOOK_EXPORT int execl(const char *path, const char *arg, ...)
{
	GATHER(argv, list, arg);
	va_end(list);
	return execv(path, argv);
}

HOOK_EXPORT int execlp(const char *file, const char *arg, ...)
{
	GATHER(argv, list, arg);
	va_end(list);
	return execvp(file, argv);
}

HOOK_EXPORT int execle(const char *path, const char *arg, ...)
{
	char *const *envp;

	GATHER(argv, list, arg);
	envp = va_arg(list, char *const *);
	va_end(list);
	return execve(path, argv, envp);
}
