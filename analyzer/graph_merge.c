/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks and the objects in them, told from sorted records.  Linear; never
 * prints.
 */
#include "graph_merge.h"

/* The plain block that records are looked for in. */
struct holder {
	uint64_t start, end;
	bool claimed; /* by an object in it */
};

static struct holder hold(const struct graph_node *block, bool claimed)
{
	return (struct holder){block->address, block->address + (block->size ? block->size : 1), claimed};
}

/* Of an address that objects and a block share, the objects come first. */
static void merge_block(struct graph *graph, uint32_t *count, struct holder *holder, uint32_t record,
			uint32_t *kept)
{
	const struct graph_node *block = &graph->node[record];
	bool claimed = *kept && graph->node[*kept - 1].address == block->address;

	*holder = hold(block, claimed);
	if (claimed) {
		count[*kept - 1] += count[record];
		graph->node[*kept - 1].flags |= GRAPH_NODE_IN_BLOCK;
		return;
	}
	graph->node[*kept] = *block;
	count[(*kept)++] = count[record];
}

static void merge_object(struct graph *graph, uint32_t *count, struct holder *holder, uint32_t record,
			 uint32_t *kept)
{
	struct graph_node object = graph->node[record];
	uint32_t edges = count[record];

	if (object.address - holder->start < holder->end - holder->start) {
		object.flags |= GRAPH_NODE_IN_BLOCK;
		if (holder->claimed) {
			object.flags |= GRAPH_NODE_SHARED;
		} else {
			edges += count[--*kept];
			holder->claimed = true;
		}
	}
	graph->node[*kept] = object;
	count[(*kept)++] = edges;
}

/* The first record of an object's address holds: the sort is stable. */
void graph_merge(struct graph *graph, uint32_t *count)
{
	struct holder holder = {0};
	uint32_t kept = 0;

	for (uint32_t i = 0; i < graph->node_count; i++) {
		const struct graph_node *node = &graph->node[i];
		bool repeated = kept && graph->node[kept - 1].address == node->address;

		if (node->flags & GRAPH_NODE_BLOCK)
			merge_block(graph, count, &holder, i, &kept);
		else if (repeated && !(graph->node[kept - 1].flags & GRAPH_NODE_BLOCK))
			graph->repeated++;
		else
			merge_object(graph, count, &holder, i, &kept);
	}
	graph->node_count = kept;
	for (uint32_t i = 0; i < kept; i++)
		graph->block_count += (graph->node[i].flags & GRAPH_NODE_BLOCK) != 0;
}
