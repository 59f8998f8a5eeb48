/* SPDX-License-Identifier: Apache-2.0
 *
 * The questions of Python's gc module, asked of one moment of a trace: which
 * objects there are, who refers to whom, and what a collection would find.
 * Objects that no collector tracks have no record of their own; they are known
 * as targets of references only.
 */
#ifndef QUERY_H
#define QUERY_H

#include "graph.h"
#include "trial.h"

struct query {
	struct trace *trace; /* borrowed */
	struct replay *replay;
	struct graph *graph;
	const struct trace_snapshot *snapshot; /* NULL: the end of the events */
};

/* `index`: of a snapshot, or ANALYSIS_SNAPSHOT_LAST. */
enum error_code query_open(struct trace *trace, int index, struct query *ret, struct error *error);
void query_done(struct query *query); /* also after a failure */

/* Whether `node` is an object of one of the runtimes (a bit each; 0 = all). */
bool query_is_object(const struct query *query, uint32_t node, uint32_t runtimes);

/* What each runtime's own collector would find, asked for objects of
 * `generation` and younger.  Objects of another runtime are external to it. */
enum error_code query_collect(const struct query *query, int generation, uint32_t runtimes, struct trial *ret,
			      struct error *error);

/* One owning reference, seen from the object that was asked about. */
struct query_reference {
	uint64_t address; /* the other end */
	uint32_t node;    /* GRAPH_NONE: no object with a record */
	uint32_t field;   /* string id */
};

enum query_direction {
	QUERY_REFERRERS, /* a referrer's references follow each other */
	QUERY_REFERENTS, /* in the order of the object's traversal */
};

/* ERROR_NOT_FOUND: nothing at this moment is there, or (referents) it has no
 * record.  *ret is malloc'ed.  Permanent objects refer to nothing for
 * QUERY_REFERRERS: Python's collector does not look at them either. */
enum error_code query_references(const struct query *query, uint64_t address, enum query_direction direction,
				 struct query_reference **ret, size_t *count, struct error *error);

/* A collector's numbers.  Of the two pairs at the end the first is Python's,
 * the second that of annotated objects, whose passes free nothing. */
struct query_generation {
	uint64_t objects, count, threshold, collections;
	uint64_t collected, uncollectable;
	uint64_t examined, promoted;
};

struct query_runtime {
	enum castaway_runtime runtime;
	bool enabled;
	bool passes_only; /* has examined and promoted, not the other pair */
	uint64_t frozen;
	struct query_generation generation[3];
};

#define QUERY_MAX_RUNTIMES 32u

/* Fills at most QUERY_MAX_RUNTIMES entries. */
enum error_code query_runtimes(const struct query *query, struct query_runtime *runtimes, size_t *count,
			       struct error *error);

#endif
