/* SPDX-License-Identifier: Apache-2.0
 *
 * Every reference taken and given back, as a call tree: where the ones that
 * are still outstanding were taken.  A subtree that gave back as many as it
 * took is balanced, and is left out unless asked for.
 *
 * Source of the idea: Mozilla's refcount balancer (tools/rb), whose trees are
 * by function; these are by call site.
 */
#ifndef BALANCE_H
#define BALANCE_H

#include "replay.h"

/* A frame of the call tree, with everything that was called from it. */
struct balance_node {
	uint32_t stack;  /* stack node; 0 = references without a stack */
	uint32_t parent; /* index of the caller; BALANCE_NONE at the bottom */
	uint64_t refs, unrefs;
	uint64_t own_refs, own_unrefs; /* of events with exactly this stack */
};

#define BALANCE_NONE UINT32_MAX

struct balance {
	struct balance_node *nodes; /* callers before what they call, whole subtrees together */
	size_t count;
	uint64_t refs, unrefs; /* births included */
	int64_t counts;        /* of all objects at the moment */
	int64_t before;        /* counts that no event explains: a fork child has them from its parent */
	int64_t unseen;        /* of runtimes that count by themselves: counts that no recorded call
				  explains, or (negative) recorded calls that others undid */
};

/* An object that is alive at the moment. */
struct balance_object {
	uint64_t address;
	int64_t count;
	uint32_t type;
	/* A runtime that counts by itself: born with its block, from `stack`. */
	bool counts_itself;
	uint64_t birth_ticks; /* 0 = not known */
	uint32_t stack;
};
struct balance_object balance_annotated(const struct replay_object *object);

struct balance_options {
	uint64_t until; /* ticks of the moment; UINT64_MAX: the end */
	bool all;       /* balanced subtrees too */
	/* Called now and then with a number of events; false cancels.  May be NULL. */
	bool (*progress)(void *arg, uint64_t events);
	void *progress_arg;
};

/* No duplicates. */
enum error_code balance_run(struct trace *trace, const struct balance_object *objects, size_t count,
			    const struct balance_options *options, struct balance *ret, struct error *error);

void balance_done(struct balance *balance);

#endif
