/* SPDX-License-Identifier: Apache-2.0
 *
 * A sorted list of addresses: 8 bytes for each node that was dead.
 */
#include "confirm.h"

#include <stdlib.h>

enum error_code confirm_take(const struct graph *graph, const struct reach *reach, uint64_t ticks,
			     struct confirm *ret, struct error *error)
{
	uint64_t *dead = malloc(((size_t)graph->node_count + 1) * sizeof(*dead));
	size_t count = 0;

	if (!dead)
		return error_set(error, ERROR_MEMORY, "out of memory for the earlier state of %u objects",
				 graph->node_count);
	for (uint32_t i = 0; i < graph->node_count; i++) {
		dead[count] = graph->node[i].address;
		count += reach->state[i] != REACH_HELD;
	}
	*ret = (struct confirm){.ticks = ticks, .dead = dead, .count = count};
	return ERROR_NONE;
}

void confirm_done(struct confirm *confirm)
{
	free(confirm->dead);
	*confirm = (struct confirm){0};
}

static int compare(const void *key, const void *entry)
{
	uint64_t a = *(const uint64_t *)key, b = *(const uint64_t *)entry;

	return a < b ? -1 : a > b;
}

/* One that was in flight may have been freed since, and its memory used again. */
static bool born_since(const struct confirm *confirm, uint64_t address, const struct replay *replay)
{
	const struct replay_block *block = replay_find_block(replay, address);

	return block && block->birth_ticks > confirm->ticks;
}

bool confirm_allows(const struct confirm *confirm, const struct graph_node *node, const struct replay *replay)
{
	return bsearch(&node->address, confirm->dead, confirm->count, sizeof(*confirm->dead), compare) &&
	       !born_since(confirm, node->address, replay);
}
