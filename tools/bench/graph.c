/* SPDX-License-Identifier: Apache-2.0
 *
 * A random graph: `graph NODES`.  Counted nodes with 0 to 3 references to
 * others, all made first, then linked, then let go: about half of them stay in
 * cycles.  Many blocks that live at once, few and short stacks.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { EDGES = 3 };

struct node {
	unsigned count, edges;
	struct node *edge[EDGES];
	struct node *next; /* to be dropped */
};

static uint64_t s_random = 88172645463325252u;

static uint64_t draw(uint64_t limit)
{
	s_random ^= s_random << 13;
	s_random ^= s_random >> 7;
	s_random ^= s_random << 17;
	return s_random % limit;
}

static __attribute__((noinline)) struct node *make(void)
{
	struct node *node = calloc(1, sizeof(*node));

	if (node == NULL)
		exit(1);
	node->count = 1;
	return node;
}

/* Without recursion: a chain may be as long as there are nodes. */
static __attribute__((noinline)) void drop(struct node *node)
{
	struct node *pending = NULL;

	for (;;) {
		if (--node->count == 0) {
			node->next = pending;
			pending = node;
		}
		while (pending != NULL && pending->edges == 0) {
			node = pending;
			pending = node->next;
			free(node);
		}
		if (pending == NULL)
			return;
		node = pending->edge[--pending->edges];
	}
}

int main(int argc, char **argv)
{
	size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	struct node **nodes = calloc(count, sizeof(*nodes));

	if (count == 0 || nodes == NULL) {
		fprintf(stderr, "usage: graph NODES\n");
		return 2;
	}
	for (size_t i = 0; i < count; i++)
		nodes[i] = make();
	for (size_t i = 0; i < count; i++) {
		for (uint64_t edges = draw(EDGES + 1); edges > 0; edges--) {
			struct node *to = nodes[draw(count)];

			to->count++;
			nodes[i]->edge[nodes[i]->edges++] = to;
		}
	}
	for (size_t i = 0; i < count; i++)
		drop(nodes[i]);
	free(nodes);
	return 0;
}
