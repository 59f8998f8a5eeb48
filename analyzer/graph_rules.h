/* SPDX-License-Identifier: Apache-2.0
 *
 * What adapters know of the pointers that the scan found (FORMAT.md,
 * EDGE_RULES), by the address of the pointer or of the block.
 */
#ifndef GRAPH_RULES_H
#define GRAPH_RULES_H

#include "trace.h"

struct graph_rule {
	uint64_t address;
	uint64_t owner; /* of a KEPT_BY or HOLDS rule: address of a block */
	/* Of such a rule: numbers of the blocks, what is kept and who keeps it. */
	uint32_t block, owner_block;
	uint8_t strength; /* of a POINTER rule: enum castaway_strength */
};

/* Sorted by address; of several about the same one the first holds. */
struct graph_rules {
	struct graph_rule *pointer, *kept, *held;
	size_t pointer_count, kept_count, held_count;
};

/* `address`: of the snapshot's `count` blocks, in order; a rule about blocks with
 * what is no block is dropped.   A damaged chunk is used as far as it can be
 * read: a rule that is missing makes more look held. */
enum error_code graph_rules_read(struct trace *trace, const struct trace_snapshot *snapshot,
				 const uint64_t *address, uint32_t count, struct graph_rules *ret,
				 struct error *error);
void graph_rules_done(struct graph_rules *rules);

/* Of the pointer at an address to a block at `target`; CASTAWAY_UNKNOWN when
 * nothing is known of it. */
enum castaway_strength graph_rules_strength(const struct graph_rules *rules, uint64_t pointer,
					    uint64_t target);

/* Whether a KEPT_BY rule says who keeps the block at this address. */
bool graph_rules_is_kept(const struct graph_rules *rules, uint64_t address);

/* Whether a pointer outside of the blocks may hold its target. */
bool graph_rules_holds(const struct graph_rules *rules, uint64_t pointer);

#endif
