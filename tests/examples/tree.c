/* SPDX-License-Identifier: Apache-2.0
 *
 * A counted tree whose nodes know their parent, with castaway's annotations.
 * As it stands a node owns its parent: a tree that is let go is stranded.
 * With -DWEAK_PARENT the link to the parent owns nothing, and all is freed.
 */
#include <stdio.h>
#include <stdlib.h>

#include <castaway/castaway.h>

#define MAX_CHILDREN 4

struct node {
	unsigned count;
	struct node *parent;
	struct node *children[MAX_CHILDREN];
	unsigned child_count;
};

static struct node *node_new(void)
{
	struct node *node = calloc(1, sizeof(*node));

	if (!node)
		abort();
	node->count = 1;
	castaway_object(node, sizeof(*node), "node");
	return node;
}

static void node_ref(struct node *node)
{
	node->count++;
	castaway_ref(node);
}

static void node_unref(struct node *node)
{
	castaway_unref(node);
	if (--node->count)
		return;
	for (unsigned i = 0; i < node->child_count; i++) {
		castaway_unlink(node, node->children[i], "children");
#ifdef WEAK_PARENT
		/* A child that somebody else holds outlives its parent. */
		node->children[i]->parent = NULL;
#endif
		node_unref(node->children[i]);
	}
#ifndef WEAK_PARENT
	if (node->parent) {
		castaway_unlink(node, node->parent, "parent");
		node_unref(node->parent);
	}
#endif
	castaway_object_end(node);
	free(node);
}

/* The parent takes over the caller's reference to the child. */
static void node_add(struct node *parent, struct node *child)
{
	parent->children[parent->child_count++] = child;
	castaway_link(parent, child, "children");
	child->parent = parent;
#ifdef WEAK_PARENT
	castaway_weak(child, parent, "parent");
#else
	node_ref(parent);
	castaway_link(child, parent, "parent");
#endif
}

static struct node *build(unsigned depth)
{
	struct node *node = node_new();

	for (unsigned i = 0; depth && i < 2; i++)
		node_add(node, build(depth - 1));
	return node;
}

int main(void)
{
	for (unsigned i = 0; i < 5; i++) {
		struct node *tree = build(2);

		node_ref(tree);
		node_unref(tree);
		node_unref(tree);
	}
	puts("let go of 5 trees of 7 nodes each");
	return 0;
}
