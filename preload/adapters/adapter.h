/* SPDX-License-Identifier: Apache-2.0
 *
 * A runtime is one file (or family of files) here and one line in ADAPTERS.
 * An adapter validates what it finds by structure and degrades to allocations
 * with a limits entry when a check fails; it never guesses.
 */
#ifndef ADAPTER_H
#define ADAPTER_H

#include "../snapshot.h"
#include "../snapshot_scan.h"

struct request;

/* Every member but `name` may be NULL. */
struct adapter {
	const char *name;
	/* In the preload's constructor, before main; guard held. */
	void (*start)(void);
	/* Just before main, with its arguments (the target may still set itself
	 * up); guard held. */
	void (*before_main)(int argc, char **argv);
	/* The process is about to end (exit entry, _exit, destructor, exec); called
	 * with the guard held, in the ending thread, at most once per moment.  An
	 * adapter that took its snapshot already returns at once. */
	void (*at_exit)(enum castaway_end_reason moment);
	/* In a fork child, before any event. */
	void (*after_fork)(void);
	/* The target calls sigaction(), before the real call; guard not held.  A
	 * runtime that resets its handlers when it shuts down is caught here. */
	void (*on_sigaction)(int signum);
	/* The target opens a library (before), has closed one (after); guard held. */
	void (*on_dlopen)(void);
	void (*on_dlclose)(void);
	/* The target calls poll() from `caller`; guard held. */
	void (*on_poll)(uintptr_t caller, int timeout);
	/* Whether only a scan shows what there is of this runtime. */
	bool (*needs_scan)(void);
	/* A thread of the target is about to wait for a heap snapshot that it asked
	 * for; guard held. */
	void (*before_stop)(void);
	/* Around the request that a thread of the target makes for itself: it may be
	 * in a position in which its runtime's objects can be read.  Guard held. */
	void (*hold)(void);
	void (*release)(void);
	/* In the helper, while the threads stand: could the objects be read now? */
	bool (*may_describe)(void);
	/* In the helper, when they could not: a thread of the target that can shall
	 * make this request; no longer, if it is NULL.  False: none ever will. */
	bool (*delegate)(const struct request *request);
	/* In a thread that asks for a snapshot, and in whose position the objects
	 * cannot be read: makes the request from a better one.  False: not done. */
	bool (*take)(const struct request *request);
	/* In the snapshot child, when the heap's blocks are known: writes what the
	 * adapter finds in them.  False when that is not complete. */
	bool (*describe)(struct snapshot_view *view);
};

/* X(name) */
#define ADAPTERS(X) \
	X(gobject)  \
	X(cpython)

#define X(name) extern const struct adapter adapter_##name;
ADAPTERS(X)
#undef X

/* The same moments for all adapters, in the order of the list (adapter.c). */
void adapter_start(void);

/* After dlopen() or dlsym() that may have failed on castaway's behalf. */
void adapter_forget_error(void);
void adapter_before_main(int argc, char **argv);
void adapter_at_exit(enum castaway_end_reason moment);
void adapter_after_fork(void);
void adapter_on_sigaction(int signum);
void adapter_on_dlopen(void);
void adapter_on_dlclose(void);
void adapter_on_poll(uintptr_t caller, int timeout);
void adapter_before_stop(void);
void adapter_hold(void);
void adapter_release(void);
bool adapter_may_describe(void);                      /* all of them */
bool adapter_delegate(const struct request *request); /* any of them */
bool adapter_take(const struct request *request);     /* any of them */
bool adapter_needs_scan(void);
bool adapter_describe(struct snapshot_view *view);

#endif
