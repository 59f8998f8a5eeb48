/* SPDX-License-Identifier: Apache-2.0
 *
 * A runtime is one file (or family of files) here and one line in ADAPTERS.
 * An adapter validates what it finds by structure and degrades to allocations
 * with a limits entry when a check fails; it never guesses.
 */
#ifndef ADAPTER_H
#define ADAPTER_H

#include "../snapshot.h"

struct adapter {
	const char *name;
	/* In the preload's constructor, before main; guard held. */
	void (*start)(void);
	/* Just before main, with its arguments (the target may still set itself
	 * up).  May be NULL. */
	void (*before_main)(int argc, char **argv);
	/* The process is about to end (exit entry, _exit, destructor); called with
	 * the guard held, in the ending thread, at most once per moment.  An
	 * adapter that took its snapshot already returns at once.  May be NULL. */
	void (*at_exit)(enum castaway_end_reason moment);
	/* In a fork child, before any event.  May be NULL. */
	void (*after_fork)(void);
};

/* X(name) */
#define ADAPTERS(X) X(cpython)

#define X(name) extern const struct adapter adapter_##name;
ADAPTERS(X)
#undef X

#endif
