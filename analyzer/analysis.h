/* SPDX-License-Identifier: Apache-2.0
 *
 * The pass: from a trace to findings.  Order: replay, graph, trial deletion,
 * strongly connected components, source components with what only they keep
 * alive, fingerprints, grouping, explanation.  The result is a model that
 * report_*.c write down; nothing here formats text.
 */
#ifndef ANALYSIS_H
#define ANALYSIS_H

#include "graph.h"
#include "symbols.h"

enum verdict {
	VERDICT_STRANDED,
	VERDICT_LIKELY_STRANDED,
	VERDICT_OVER_REFERENCED,
	VERDICT_LEAKED,
	VERDICT_LATENT,
	VERDICT_COUNT
};
const char *verdict_name(enum verdict verdict); /* "stranded", "likely-stranded", ... */
bool verdict_parse(const char *name, enum verdict *ret);

struct analysis_options {
	int snapshot;   /* index; ANALYSIS_SNAPSHOT_LAST by default */
	int generation; /* limit the pass to generations <= this; 2 by default */
	uint32_t min_survived;
	bool latent;
	bool leaks;
	uint32_t runtimes; /* bit per enum castaway_runtime; 0 = all */
	/* Globs on "runtime:type", on the type, or on the path or file name of the module that allocated it:
	 * one member that matches is enough.  NULL-terminated, may be NULL. */
	const char *const *only;
	const char *const *ignore;
	bool instances; /* keep every structure's addresses (--members=all) */
	bool retained;  /* fill analysis->retained */
	/* Of what was found by scanning, only what was dead at the moment before too. */
	bool confirm;
	struct symbols_options symbols;
	/* Called now and then with 0..1; return false to cancel.  May be NULL. */
	bool (*progress)(void *arg, const char *phase, double fraction);
	void *progress_arg;
};
#define ANALYSIS_SNAPSHOT_LAST (-1) /* before the teardown */
#define ANALYSIS_SNAPSHOT_LATE (-2) /* after destructors */
void analysis_options_default(struct analysis_options *options);

/* One structure: a source component and what only it keeps alive.  Arrays are
 * node numbers of the graph. */
struct structure {
	uint32_t *members;
	uint32_t member_count;
	uint32_t *entrained;
	uint32_t entrained_count;
	uint64_t member_bytes, entrained_bytes;
	/* Memory that hangs on it besides: plain blocks, and what they alone lead to. */
	uint32_t block_count;
	uint64_t block_bytes;
	uint64_t fingerprint;
	uint32_t survived; /* the least of its members; GRAPH_NONE = not known */
	enum verdict verdict;
	bool scanned;     /* judged by scanned pointers, not by counts */
	bool inferred;    /* judged by counts, with scanned pointers taken for owners */
	uint32_t culprit; /* over-referenced: the member with too many counts; GRAPH_NONE = not known */
};

struct evidence {
	int64_t refcounts; /* of the members together */
	int64_t explained_inside, explained_outside, unexplained;
	const char *reachable_via; /* "none", "weak", "borrowed" */
	const char *edges;         /* "exact", "scanned", "mixed" */
	/* Of members whose runtime counts by itself: their counts, how many of those a
	 * recorded call (or the birth) explains, and by how much the recorded calls
	 * and the counts differ, because others were not seen. */
	int64_t counted_by_runtime, recorded, unseen;
};

struct break_advice {
	bool present;
	uint32_t from_type, field, to_type; /* string ids */
	uint32_t edge_from, edge;           /* a representative: node, and index in graph->edge */
	char action[200];                   /* "make `type.field` weak" */
	char reason[240];
};

struct stranding {
	bool present;
	uint64_t event, ticks;
	uint32_t thread, stack, object; /* object: node */
	uint8_t opcode;                 /* what happened: UNREF, LINK, OBJECT_END */
};

/* All structures of one fingerprint. */
struct finding {
	uint64_t fingerprint;
	enum verdict verdict;
	uint32_t first, count;   /* in analysis->structures, sorted by fingerprint */
	uint32_t representative; /* index in analysis->structures */
	uint64_t objects, bytes; /* totals, entrained included */
	uint64_t entrained_objects, entrained_bytes, blocks; /* blocks: of the bytes, those of no object */
	struct evidence evidence;                            /* of the representative */
	struct break_advice advice;
	struct stranding stranded_at;
};

/* Blocks or objects that nothing reaches and no cycle explains. */
struct leak {
	uint64_t fingerprint;
	enum verdict verdict;   /* LEAKED or OVER_REFERENCED */
	uint64_t count;         /* blocks that nothing points to: direct leaks */
	uint64_t blocks, bytes; /* with those that only they lead to */
	uint64_t direct_bytes;  /* of `count` */
	uint32_t type, stack;
	uint32_t node;  /* an example */
	uint32_t taken; /* stack node of its reference that nobody has; 0 = not known */
	int64_t refcount;
};

/* Where the reference was taken that an edge holds (provenance.h). */
struct acquired {
	uint32_t edge, stack;
};

struct generation_row {
	uint64_t objects, collections, promoted, threshold, stranded_objects;
	uint64_t count; /* the collector's current counter */
};

struct runtime_row {
	enum castaway_runtime runtime;
	char *version, *note;
	enum castaway_runtime_status status;
	uint64_t objects;
	bool enabled;
	uint64_t frozen;
	struct generation_row generation[3];
};

struct analysis_summary {
	uint64_t blocks, bytes, objects, edges, roots;
	uint64_t references; /* of the edges, those that are known exactly */
	bool scanned;        /* else roots, over_referenced and leaked_* are not known */
	uint64_t structures, stranded_structures, stranded_objects, stranded_bytes;
	uint64_t likely_stranded_structures, over_referenced, leaked_blocks, leaked_bytes;
};

struct slots;

/* By what a structure was found. */
enum analysis_pool {
	ANALYSIS_POOL_STRANDED,
	ANALYSIS_POOL_LATENT,
	ANALYSIS_POOL_LOST,
	ANALYSIS_POOL_HIDDEN,
	ANALYSIS_POOL_COUNT
};

struct analysis {
	struct trace *trace; /* borrowed */
	struct replay *replay;
	struct graph *graph;
	struct symbols *symbols;
	const struct trace_snapshot *snapshot; /* NULL: from events alone */
	const struct trace_snapshot *earlier;  /* the moment that confirms it; NULL = none */
	uint64_t ticks;                        /* the moment */
	struct structure *structures;
	size_t structure_count;
	struct finding *findings; /* worst first: verdict, then bytes */
	size_t finding_count;
	struct leak *leaks;
	size_t leak_count;
	struct generation_row generations[3];
	struct runtime_row *runtimes;
	size_t runtime_count;
	struct analysis_summary summary;
	bool instances;
	struct slots *slots;       /* NULL: nothing was inferred */
	struct acquired *acquired; /* by edge */
	size_t acquired_count;
	uint64_t *retained; /* per node: bytes that it alone keeps, of what is dead; NULL unless asked for */
	uint32_t inexact;   /* objects with more references than counts; also in the trace's limits */
	uint32_t *pools[ANALYSIS_POOL_COUNT]; /* back the arrays of the structures */
};

/* Borrows `trace`, which must outlive the analysis. */
enum error_code analysis_run(struct trace *trace, const struct analysis_options *options,
			     struct analysis **ret, struct error *error);
void analysis_free(struct analysis *analysis);

#endif
