/* SPDX-License-Identifier: Apache-2.0
 *
 * The object graph at one moment, in compressed sparse rows: edges of node i
 * are edge[first[i]] .. edge[first[i + 1] - 1].  A multigraph: duplicates and
 * self-edges are kept, because each of them owns a count.
 * Memory: 40 bytes per node + 4 for its row, 12 bytes per edge, 24 per root.
 *
 * With a scan of the memory (FORMAT.md: BLOCKS, SCAN_EDGES, ROOTS) every live
 * block is a node: by the objects in it or, without one, as a plain block.
 * What the scan found are edges of unknown strength that own no count.
 */
#ifndef GRAPH_H
#define GRAPH_H

#include "replay.h"

struct graph_node {
	uint64_t address;
	uint64_t size;
	int64_t refcount;
	uint32_t type;  /* string id */
	uint32_t stack; /* allocation */
	uint32_t birth_pass;
	uint16_t thread : 15;
	uint16_t untracked : 1; /* its runtime's collector does not know of it */
	uint8_t runtime;
	uint8_t flags; /* GRAPH_NODE_* */
};

#define GRAPH_THREAD_MAX 0x7fffu

#define GRAPH_NODE_GENERATION  0x03u /* 0..2; 3 = permanent: never a candidate, external */
#define GRAPH_NODE_RECYCLED    0x04u /* allocation site may be older */
#define GRAPH_NODE_BIRTH_KNOWN 0x08u /* birth_pass is meaningful */
#define GRAPH_NODE_COUNTED     0x10u /* refcount is meaningful */
#define GRAPH_NODE_BLOCK       0x20u /* no object: a plain block */
#define GRAPH_NODE_SHARED      0x40u /* lies in the same block as the node before it */
#define GRAPH_NODE_IN_BLOCK    0x80u /* an object in a block that the scan knows */

struct graph_edge {
	uint32_t to;
	uint32_t field_flags; /* string id << 8 | CASTAWAY_EDGE_* byte */
	uint32_t detail;      /* stack node if flag STACK, else offset if flag OFFSET: an int32_t */
};

/* Something of the target's own that points to a node: see FORMAT.md, ROOTS. */
struct graph_root {
	uint64_t address; /* of the pointer, or number of the register */
	uint32_t where;   /* kernel tid or module number */
	uint32_t node;
	uint8_t kind; /* enum castaway_root_kind, or an unknown one */
};

/* What instances of a type do not tell their collector (FORMAT.md, TYPES). */
struct graph_trait {
	uint32_t type, traits, base;
};

/* What the program itself calls an object. */
struct graph_name {
	uint32_t node, name; /* name: string id */
};

struct graph {
	const struct trace *trace;
	struct graph_node *node; /* sorted by address */
	uint32_t *first;         /* node_count + 1 */
	struct graph_edge *edge;
	uint32_t node_count;
	uint32_t edge_count; /* less than 2^31 */
	/* Edge targets that are no node (leaves: objects that no collector tracks). */
	uint64_t leaf_edges;
	uint64_t repeated; /* records of an object that is a node already; the first one holds */
	struct graph_root *root;
	size_t root_count;
	uint32_t block_count;      /* nodes that are plain blocks */
	struct graph_trait *trait; /* by type */
	size_t trait_count;
	struct graph_name *name; /* by node */
	size_t name_count;
	bool scanned; /* all memory was looked at: what nothing leads to, nothing reaches */
};

#define GRAPH_NONE UINT32_MAX

/* Builds nodes and edges from the annotated objects of `replay` and, when
 * `snapshot` is not NULL, from the OBJECTS chunks of that snapshot and its scan;
 * allocation stacks, threads and birth passes of snapshot objects come from the
 * replay's blocks.  `replay` must stand at the moment of the snapshot.  A link's stack
 * is where the owner's field was set; the castaway_ref beside it took the count. */
enum error_code graph_build(struct trace *trace, struct replay *replay, const struct trace_snapshot *snapshot,
			    struct graph **ret, struct error *error);

void graph_free(struct graph *graph);

uint32_t graph_find(const struct graph *graph, uint64_t address); /* GRAPH_NONE */

uint32_t graph_name(const struct graph *graph, uint32_t node);                   /* string id, 0: none */
const struct graph_trait *graph_trait(const struct graph *graph, uint32_t type); /* NULL: none */

static inline enum castaway_strength graph_strength(const struct graph_edge *edge)
{
	return (enum castaway_strength)(edge->field_flags & CASTAWAY_EDGE_STRENGTH);
}

/* An edge that takes part in the pass: it owns one count, and it is no guess. */
static inline bool graph_owns(const struct graph_edge *edge)
{
	return !(edge->field_flags & (CASTAWAY_EDGE_STRENGTH | CASTAWAY_EDGE_SCANNED));
}

/* Sets of edges: a bit per strength and origin. */
#define GRAPH_EDGE_KINDS(strength) (1u << (strength) | 1u << ((strength) | CASTAWAY_EDGE_SCANNED))
#define GRAPH_OWNING               (1u << CASTAWAY_STRONG)
#define GRAPH_EXACT                ((1u << CASTAWAY_EDGE_SCANNED) - 1)
/* Found by scanning, and taken for owners: the counts leave room for them (hidden.h). */
#define GRAPH_INFERRED (1u << (CASTAWAY_STRONG | CASTAWAY_EDGE_SCANNED))
/* What may keep its target: all but weak and borrowed ones. */
#define GRAPH_HOLDING (GRAPH_EDGE_KINDS(CASTAWAY_STRONG) | GRAPH_EDGE_KINDS(CASTAWAY_UNKNOWN))

static inline bool graph_is(const struct graph_edge *edge, uint32_t kinds)
{
	return kinds >> (edge->field_flags & (CASTAWAY_EDGE_STRENGTH | CASTAWAY_EDGE_SCANNED)) & 1;
}

/* Of a pointer in its object; below 0 in an object's private data, which lies
 * before it in its block. */
static inline uint32_t graph_offset(int64_t offset)
{
	int64_t kept = offset > INT32_MAX ? INT32_MAX : offset;

	return (uint32_t)(int32_t)(kept < INT32_MIN ? INT32_MIN : kept);
}

static inline bool graph_is_strong(const struct graph_edge *edge)
{
	return graph_strength(edge) == CASTAWAY_STRONG;
}

/* Per node, how many references lead to it that are known to own a count, exact
 * ones and scanned ones that an adapter knows; malloc'ed.  NULL without memory,
 * and where there are none. */
uint32_t *graph_count_strong(const struct graph *graph);

/* Of an object whose counts are all accounted for by these (`strong` may be NULL),
 * every other pointer is a stale word, or of somebody who borrows. */
bool graph_is_accounted_for(const struct graph *graph, const uint32_t *strong, uint32_t node);

static inline uint32_t graph_field(const struct graph_edge *edge)
{
	return edge->field_flags >> 8;
}

#endif
