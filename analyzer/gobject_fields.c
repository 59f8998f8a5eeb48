/* SPDX-License-Identifier: Apache-2.0
 *
 * One look through the table per reference.  Never prints.
 */
#include "gobject_fields.h"

#include <stddef.h>
#include <string.h>

static const struct rule {
	const char *type;
	int32_t offset;
	const char *name;
	struct python_advice advice;
} rules[] = {
#define X(type, offset, name, rank, action, why) {type, offset, name, {PYTHON_##rank, action, why}},
	GOBJECT_FIELDS(X)
#undef X
};

static const struct rule *find(const struct graph *graph, uint32_t from, const struct graph_edge *edge)
{
	const struct graph_node *owner = &graph->node[from];
	const char *type = trace_text(graph->trace, owner->type);

	if (owner->runtime != CASTAWAY_RUNTIME_GOBJECT || !(edge->field_flags & CASTAWAY_EDGE_OFFSET) ||
	    edge->field_flags & CASTAWAY_EDGE_STACK)
		return NULL;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		bool any = strcmp(rules[i].type, "*") == 0;

		if (rules[i].offset == (int32_t)edge->detail && (any || strcmp(rules[i].type, type) == 0))
			return &rules[i];
	}
	return NULL;
}

const char *gobject_field_name(const struct graph *graph, uint32_t from, const struct graph_edge *edge)
{
	const struct rule *rule = find(graph, from, edge);

	return rule ? rule->name : NULL;
}

bool gobject_field_advice(const struct graph *graph, uint32_t from, const struct graph_edge *edge,
			  struct python_advice *ret)
{
	const struct rule *rule = find(graph, from, edge);

	if (rule)
		*ret = rule->advice;
	return rule != NULL;
}
