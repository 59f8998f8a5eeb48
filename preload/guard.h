/* SPDX-License-Identifier: Apache-2.0
 *
 * The re-entrancy guard.  While it is held, hooks of this thread only forward:
 * what castaway, libunwind or the dynamic loader allocate on our behalf is not
 * the target's.  It nests (saves and restores the former value) and it saves
 * errno, so every hook body is
 *
 *     struct guard guard;
 *     if (guard_enter(&guard)) { ... record ...; }
 *     guard_leave(&guard);
 */
#ifndef GUARD_H
#define GUARD_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct thread;

/* Initial-exec: a lazily allocated TLS block would call malloc. */
#define GUARD_TLS __attribute__((tls_model("initial-exec")))

struct guard_state {
	struct thread *thread; /* NULL until this thread's first event */
	int *error;            /* where this thread's errno is, once known */
	union {
		struct {
			uint32_t depth;
			uint32_t told; /* the blocks that come and go now are recorded by who asks for them */
		};
		uint64_t both; /* to set them at once */
	};
};
extern __thread struct guard_state t_guard GUARD_TLS;

/* Set once everything is ready, cleared for good when tracing stops. */
extern bool g_tracing;

struct guard {
	int saved_errno;
	bool entered;
};

/* libc tells the place of errno by a call, which costs more than the rest of
 * this file. */
static inline int *guard_errno(void)
{
	if (__builtin_expect(t_guard.error == NULL, 0))
		t_guard.error = &errno;
	return t_guard.error;
}

static inline bool guard_enter(struct guard *guard)
{
	guard->entered =
		__builtin_expect(__atomic_load_n(&g_tracing, __ATOMIC_ACQUIRE) && t_guard.depth == 0, 1);
	if (guard->entered)
		guard->saved_errno = *guard_errno();
	t_guard.depth++;
	return guard->entered;
}

static inline void guard_leave(struct guard *guard)
{
	t_guard.depth--;
	if (guard->entered)
		*guard_errno() = guard->saved_errno;
}

/* Around a request for memory, or its end, that an adapter records itself: it need
 * not be noted as castaway's own.  Only where the guard is not held. */
static inline void guard_begin_told(void)
{
	t_guard.both = ((const struct guard_state){.depth = 1, .told = 1}).both;
}

static inline void guard_end_told(void)
{
	t_guard.both = 0;
}

/* Around what the dynamic loader does on castaway's behalf: it may free blocks of
 * the target, whose deaths must be seen.  Not where events are being written. */
static inline unsigned guard_suspend(void)
{
	unsigned depth = t_guard.depth;

	t_guard.depth = 0;
	return depth;
}

static inline void guard_resume(unsigned depth)
{
	t_guard.depth = depth;
}

#endif
