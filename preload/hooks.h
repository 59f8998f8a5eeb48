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
#include <semaphore.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

/* X(name, group, result, parameters) */
#define HOOKS(X)                                                                                             \
	X(malloc, ALLOC, void *, (size_t size))                                                              \
	X(calloc, ALLOC, void *, (size_t count, size_t size))                                                \
	X(realloc, ALLOC, void *, (void *block, size_t size))                                                \
	X(reallocarray, ALLOC, void *, (void *block, size_t count, size_t size))                             \
	X(free, ALLOC, void, (void *block))                                                                  \
	X(cfree, ALLOC, void, (void *block))                                                                 \
	X(free_sized, ALLOC, void, (void *block, size_t size))                                               \
	X(free_aligned_sized, ALLOC, void, (void *block, size_t alignment, size_t size))                     \
	X(posix_memalign, ALLOC, int, (void **ret, size_t alignment, size_t size))                           \
	X(aligned_alloc, ALLOC, void *, (size_t alignment, size_t size))                                     \
	X(memalign, ALLOC, void *, (size_t alignment, size_t size))                                          \
	X(valloc, ALLOC, void *, (size_t size))                                                              \
	X(pvalloc, ALLOC, void *, (size_t size))                                                             \
	X(malloc_usable_size, ALLOC, size_t, (void *block))                                                  \
	X(dlopen, LOADER, void *, (const char *file, int mode))                                              \
	X(dlmopen, LOADER, void *, (long name_space, const char *file, int mode))                            \
	X(dlclose, LOADER, int, (void *handle))                                                              \
	X(__libc_start_main, PROCESS, int,                                                                   \
	  (int (*main_function)(int, char **, char **), int argc, char **argv, void (*init)(void),           \
	   void (*fini)(void), void (*rtld_fini)(void), void *stack_end))                                    \
	X(pthread_create, PROCESS, int,                                                                      \
	  (pthread_t * ret, const pthread_attr_t *attributes, void *(*start)(void *), void *arg))            \
	X(sigaction, PROCESS, int, (int signum, const struct sigaction *action, struct sigaction *former))   \
	X(waitpid, WAIT, pid_t, (pid_t pid, int *status, int options))                                       \
	X(wait4, WAIT, pid_t, (pid_t pid, int *status, int options, struct rusage *usage))                   \
	X(waitid, WAIT, int, (idtype_t type, id_t id, siginfo_t * info, int options))                        \
	X(poll, BLOCKED, int, (struct pollfd * descriptors, nfds_t count, int timeout))                      \
	X(__poll_chk, BLOCKED, int, (struct pollfd * descriptors, nfds_t count, int timeout, size_t size))   \
	X(ppoll, BLOCKED, int,                                                                               \
	  (struct pollfd * descriptors, nfds_t count, const struct timespec *timeout, const sigset_t *mask)) \
	X(__ppoll_chk, BLOCKED, int,                                                                         \
	  (struct pollfd * descriptors, nfds_t count, const struct timespec *timeout, const sigset_t *mask,  \
	   size_t size))                                                                                     \
	X(epoll_wait, BLOCKED, int, (int epoll, struct epoll_event *events, int count, int timeout))         \
	X(epoll_pwait, BLOCKED, int,                                                                         \
	  (int epoll, struct epoll_event *events, int count, int timeout, const sigset_t *mask))             \
	X(epoll_pwait2, BLOCKED, int,                                                                        \
	  (int epoll, struct epoll_event *events, int count, const struct timespec *timeout,                 \
	   const sigset_t *mask))                                                                            \
	X(select, BLOCKED, int,                                                                              \
	  (int count, fd_set *readable, fd_set *writable, fd_set *other, struct timeval *timeout))           \
	X(pselect, BLOCKED, int,                                                                             \
	  (int count, fd_set *readable, fd_set *writable, fd_set *other, const struct timespec *timeout,     \
	   const sigset_t *mask))                                                                            \
	X(nanosleep, BLOCKED, int, (const struct timespec *time, struct timespec *rest))                     \
	X(clock_nanosleep, BLOCKED, int,                                                                     \
	  (clockid_t clock, int flags, const struct timespec *time, struct timespec *rest))                  \
	X(thrd_sleep, BLOCKED, int, (const struct timespec *time, struct timespec *rest))                    \
	X(usleep, BLOCKED, int, (useconds_t time))                                                           \
	X(sleep, BLOCKED, unsigned, (unsigned seconds))                                                      \
	X(pause, BLOCKED, int, (void))                                                                       \
	X(sigsuspend, BLOCKED, int, (const sigset_t *mask))                                                  \
	X(sigwaitinfo, BLOCKED, int, (const sigset_t *set, siginfo_t *info))                                 \
	X(sigtimedwait, BLOCKED, int,                                                                        \
	  (const sigset_t *set, siginfo_t *info, const struct timespec *timeout))                            \
	X(semop, BLOCKED, int, (int id, struct sembuf *operations, size_t count))                            \
	X(semtimedop, BLOCKED, int,                                                                          \
	  (int id, struct sembuf *operations, size_t count, const struct timespec *timeout))                 \
	X(msgrcv, BLOCKED, ssize_t, (int id, void *message, size_t size, long type, int flags))              \
	X(msgsnd, BLOCKED, int, (int id, const void *message, size_t size, int flags))                       \
	X(sem_timedwait, BLOCKED, int, (sem_t * semaphore, const struct timespec *until))                    \
	X(sem_clockwait, BLOCKED, int, (sem_t * semaphore, clockid_t clock, const struct timespec *until))   \
	X(exit, PROCESS, void, (int status))                                                                 \
	X(_exit, PROCESS, void, (int status))                                                                \
	X(_Exit, PROCESS, void, (int status))                                                                \
	X(quick_exit, PROCESS, void, (int status))                                                           \
	X(abort, PROCESS, void, (void))                                                                      \
	X(execve, EXEC, int, (const char *path, char *const argv[], char *const envp[]))                     \
	X(execv, EXEC, int, (const char *path, char *const argv[]))                                          \
	X(execvp, EXEC, int, (const char *file, char *const argv[]))                                         \
	X(execvpe, EXEC, int, (const char *file, char *const argv[], char *const envp[]))                    \
	X(fexecve, EXEC, int, (int fd, char *const argv[], char *const envp[]))                              \
	X(execl, EXEC, int, (const char *path, const char *arg, ...))                                        \
	X(execlp, EXEC, int, (const char *file, const char *arg, ...))                                       \
	X(execle, EXEC, int, (const char *path, const char *arg, ...))

/* Of libgobject and libgstreamer, which the target may have or not: they are
 * looked up when they are first called (hook_gobject.c), not with the others.
 * X(name, library, result, parameters) */
#define GOBJECT_HOOKS(X)                                                                           \
	X(g_object_ref, GOBJECT, void *, (void *object))                                           \
	X(g_object_unref, GOBJECT, void, (void *object))                                           \
	X(g_object_ref_sink, GOBJECT, void *, (void *object))                                      \
	X(g_clear_object, GOBJECT, void, (void **object))                                          \
	X(g_object_add_toggle_ref, GOBJECT, void, (void *object, void *notify, void *data))        \
	X(g_object_remove_toggle_ref, GOBJECT, void, (void *object, void *notify, void *data))     \
	X(g_object_weak_ref, GOBJECT, void, (void *object, void *notify, void *data))              \
	X(g_object_weak_unref, GOBJECT, void, (void *object, void *notify, void *data))            \
	X(g_object_add_weak_pointer, GOBJECT, void, (void *object, void **pointer))                \
	X(g_object_remove_weak_pointer, GOBJECT, void, (void *object, void **pointer))             \
	X(g_weak_ref_get, GOBJECT, void *, (void *reference))                                      \
	X(g_value_dup_object, GOBJECT, void *, (const void *value))                                \
	X(g_closure_ref, GOBJECT, void *, (void *closure))                                         \
	X(g_closure_unref, GOBJECT, void, (void *closure))                                         \
	X(g_signal_connect_data, GOBJECT, unsigned long,                                           \
	  (void *object, const char *signal, void *handler, void *data, void *destroy, int flags)) \
	X(g_signal_connect_object, GOBJECT, unsigned long,                                         \
	  (void *object, const char *signal, void *handler, void *data, int flags))                \
	X(g_signal_connect_closure, GOBJECT, unsigned long,                                        \
	  (void *object, const char *signal, void *closure, int after))                            \
	X(g_signal_connect_closure_by_id, GOBJECT, unsigned long,                                  \
	  (void *object, unsigned id, unsigned detail, void *closure, int after))                  \
	X(g_signal_handler_disconnect, GOBJECT, void, (void *object, unsigned long handler))       \
	X(gst_mini_object_ref, GSTREAMER, void *, (void *object))                                  \
	X(gst_mini_object_unref, GSTREAMER, void, (void *object))                                  \
	X(gst_mini_object_replace, GSTREAMER, int, (void **place, void *object))                   \
	X(gst_mini_object_take, GSTREAMER, int, (void **place, void *object))                      \
	X(gst_clear_mini_object, GSTREAMER, void, (void **place))

/* The hooks themselves: same names and types as what they stand before. */
#define X(name, group, result, parameters) result name parameters;
HOOKS(X)
GOBJECT_HOOKS(X)
#undef X

#define HOOK_EXPORT __attribute__((visibility("default"), noinline))

#endif
