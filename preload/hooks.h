/* SPDX-License-Identifier: Apache-2.0
 *
 * The one list of functions that castaway puts itself in front of.  It makes
 * the table of the real ones (resolve.h) and the list that the exports of the
 * built library are checked against (tests/abi).  The other exports are the
 * castaway_* entry points of castaway.h.
 *
 * To add one: a line here, the hook in hook_<group>.c, a line in exports.map.
 */
#ifndef HOOKS_H
#define HOOKS_H

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* X(name, group, result, parameters) */
#define HOOKS(X)                                                                                           \
	X(malloc, ALLOC, void *, (size_t size))                                                            \
	X(calloc, ALLOC, void *, (size_t count, size_t size))                                              \
	X(realloc, ALLOC, void *, (void *block, size_t size))                                              \
	X(reallocarray, ALLOC, void *, (void *block, size_t count, size_t size))                           \
	X(free, ALLOC, void, (void *block))                                                                \
	X(cfree, ALLOC, void, (void *block))                                                               \
	X(free_sized, ALLOC, void, (void *block, size_t size))                                             \
	X(free_aligned_sized, ALLOC, void, (void *block, size_t alignment, size_t size))                   \
	X(posix_memalign, ALLOC, int, (void **ret, size_t alignment, size_t size))                         \
	X(aligned_alloc, ALLOC, void *, (size_t alignment, size_t size))                                   \
	X(memalign, ALLOC, void *, (size_t alignment, size_t size))                                        \
	X(valloc, ALLOC, void *, (size_t size))                                                            \
	X(pvalloc, ALLOC, void *, (size_t size))                                                           \
	X(malloc_usable_size, ALLOC, size_t, (void *block))                                                \
	X(dlopen, LOADER, void *, (const char *file, int mode))                                            \
	X(dlmopen, LOADER, void *, (long name_space, const char *file, int mode))                          \
	X(dlclose, LOADER, int, (void *handle))                                                            \
	X(__libc_start_main, PROCESS, int,                                                                 \
	  (int (*main_function)(int, char **, char **), int argc, char **argv, void (*init)(void),         \
	   void (*fini)(void), void (*rtld_fini)(void), void *stack_end))                                  \
	X(pthread_create, PROCESS, int,                                                                    \
	  (pthread_t * ret, const pthread_attr_t *attributes, void *(*start)(void *), void *arg))          \
	X(sigaction, PROCESS, int, (int signum, const struct sigaction *action, struct sigaction *former)) \
	X(waitpid, WAIT, pid_t, (pid_t pid, int *status, int options))                                     \
	X(wait4, WAIT, pid_t, (pid_t pid, int *status, int options, struct rusage *usage))                 \
	X(waitid, WAIT, int, (idtype_t type, id_t id, siginfo_t * info, int options))                      \
	X(poll, POLL, int, (struct pollfd * descriptors, nfds_t count, int timeout))                       \
	X(exit, PROCESS, void, (int status))                                                               \
	X(_exit, PROCESS, void, (int status))                                                              \
	X(_Exit, PROCESS, void, (int status))                                                              \
	X(quick_exit, PROCESS, void, (int status))                                                         \
	X(abort, PROCESS, void, (void))                                                                    \
	X(execve, EXEC, int, (const char *path, char *const argv[], char *const envp[]))                   \
	X(execv, EXEC, int, (const char *path, char *const argv[]))                                        \
	X(execvp, EXEC, int, (const char *file, char *const argv[]))                                       \
	X(execvpe, EXEC, int, (const char *file, char *const argv[], char *const envp[]))                  \
	X(fexecve, EXEC, int, (int fd, char *const argv[], char *const envp[]))                            \
	X(execl, EXEC, int, (const char *path, const char *arg, ...))                                      \
	X(execlp, EXEC, int, (const char *file, const char *arg, ...))                                     \
	X(execle, EXEC, int, (const char *path, const char *arg, ...))

/* The hooks themselves: same names and types as what they stand before. */
#define X(name, group, result, parameters) result name parameters;
HOOKS(X)
#undef X

#define HOOK_EXPORT __attribute__((visibility("default"), noinline))

#endif
