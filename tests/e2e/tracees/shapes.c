/* SPDX-License-Identifier: Apache-2.0
 *
 * One planted shape per argument; what castaway must say of each is in
 * test_shapes.py.  An unknown argument exits 99.
 */
#include <stdio.h>
#include <string.h>

#include "shape.h"

#define SHAPES(X)         \
	X(nothing)        \
	X(self_loop)      \
	X(pair)           \
	X(double_edge)    \
	X(ring)           \
	X(figure_eight)   \
	X(entrained)      \
	X(two_alike)      \
	X(held)           \
	X(held_by_cycle)  \
	X(released)       \
	X(weak)           \
	X(weak_beside)    \
	X(unlinked)       \
	X(uncounted_link) \
	X(over_unref)     \
	X(unlink_missing) \
	X(ref_ended)      \
	X(freed_block)    \
	X(reused_block)   \
	X(moved_block)    \
	X(mid_block)      \
	X(not_heap)       \
	X(ended_owner)    \
	X(two_kinds)      \
	X(declared_twice)

static struct shape *volatile kept; /* what "something outside" holds in */

static OUT_OF_LINE void plant_nothing(void)
{
	shape_end(shape_new("Alone"));
}

static OUT_OF_LINE void plant_self_loop(void)
{
	struct shape *a = shape_new("Loop");

	shape_hold(a, a, "self");
	shape_drop(a);
}

static OUT_OF_LINE void plant_pair(void)
{
	struct shape *a = shape_new("Left"), *b = shape_new("Right");

	shape_hold(a, b, "right");
	shape_hold(b, a, "left");
	shape_drop(a);
	shape_drop(b);
}

/* Two references in one direction: both own a count. */
static OUT_OF_LINE void plant_double_edge(void)
{
	struct shape *a = shape_new("Left"), *b = shape_new("Right");

	shape_hold(a, b, "first");
	shape_hold(a, b, "second");
	shape_hold(b, a, "back");
	shape_drop(a);
	shape_drop(b);
}

static OUT_OF_LINE void plant_ring(void)
{
	struct shape *node[5];

	for (int i = 0; i < 5; i++)
		node[i] = shape_new("Ring");
	for (int i = 0; i < 5; i++)
		shape_hold(node[i], node[(i + 1) % 5], "next");
	for (int i = 0; i < 5; i++)
		shape_drop(node[i]);
}

/* Two rings that share one object: one component. */
static OUT_OF_LINE void plant_figure_eight(void)
{
	struct shape *middle = shape_new("Middle"), *left = shape_new("Wing"), *right = shape_new("Wing");

	shape_hold(middle, left, "left");
	shape_hold(left, middle, "middle");
	shape_hold(middle, right, "right");
	shape_hold(right, middle, "middle");
	shape_drop(middle);
	shape_drop(left);
	shape_drop(right);
}

/* A pair, and a chain of three that only the pair keeps alive. */
static OUT_OF_LINE void plant_entrained(void)
{
	struct shape *a = shape_new("Left"), *b = shape_new("Right"), *from = b;

	shape_hold(a, b, "right");
	shape_hold(b, a, "left");
	for (int i = 0; i < 3; i++) {
		struct shape *link = shape_new("Chain");

		shape_hold(from, link, "chain");
		shape_drop(link);
		from = link;
	}
	shape_drop(a);
	shape_drop(b);
}

static OUT_OF_LINE void plant_two_alike(void)
{
	for (int i = 0; i < 2; i++)
		plant_pair();
}

/* The creator's reference to one of them stays. */
static OUT_OF_LINE void plant_held(void)
{
	struct shape *a = shape_new("Left"), *b = shape_new("Right");

	shape_hold(a, b, "right");
	shape_hold(b, a, "left");
	shape_drop(b);
	kept = a;
}

/* A stranded pair holds a second pair: that one is entrained, not a finding of its own. */
static OUT_OF_LINE void plant_held_by_cycle(void)
{
	struct shape *a = shape_new("Left"), *b = shape_new("Right");
	struct shape *c = shape_new("Inner"), *d = shape_new("Inner");

	shape_hold(a, b, "right");
	shape_hold(b, a, "left");
	shape_hold(c, d, "twin");
	shape_hold(d, c, "twin");
	shape_hold(b, c, "inner");
	shape_drop(a);
	shape_drop(b);
	shape_drop(c);
	shape_drop(d);
}

/* Cyclic for a while, then taken apart as a correct program does. */
static OUT_OF_LINE void plant_released(void)
{
	struct shape *a = shape_new("Left"), *b = shape_new("Right");

	shape_hold(a, b, "right");
	shape_hold(b, a, "left");
	shape_let_go(b, a, "left");
	shape_let_go(a, b, "right");
	shape_drop(a);
	shape_end(a);
	shape_drop(b);
	shape_end(b);
}

/* The back reference is weak; the creator still holds the parent. */
static OUT_OF_LINE void plant_weak(void)
{
	struct shape *a = shape_new("Left"), *b = shape_new("Right");

	shape_hold(a, b, "right");
	castaway_weak(b, a, "left");
	shape_drop(b);
	kept = a;
}

/* A weak link beside the strong cycle changes nothing. */
static OUT_OF_LINE void plant_weak_beside(void)
{
	struct shape *a = shape_new("Left"), *b = shape_new("Right");

	shape_hold(a, b, "right");
	shape_hold(b, a, "left");
	castaway_weak(b, a, "observer");
	shape_drop(a);
	shape_drop(b);
}

/* One side of the cycle was taken away again before the creator let go; the
 * counts say so, and the objects end. */
static OUT_OF_LINE void plant_unlinked(void)
{
	struct shape *a = shape_new("Left"), *b = shape_new("Right");

	shape_hold(a, b, "right");
	shape_hold(b, a, "left");
	shape_let_go(b, a, "left");
	shape_drop(b);
	kept = a;
}

/* Two links that nobody counted: the links explain more than there is. */
static OUT_OF_LINE void plant_uncounted_link(void)
{
	struct shape *a = shape_new("Left"), *b = shape_new("Right");

	castaway_link(a, b, "right");
	castaway_link(a, b, "again");
	castaway_link(b, a, "left");
	castaway_link(b, a, "back");
	kept = a;
}

static OUT_OF_LINE void plant_over_unref(void)
{
	struct shape *a = shape_new("Over");

	shape_drop(a);
	shape_drop(a);
	shape_drop(a);
	shape_end(a);
}

static OUT_OF_LINE void plant_unlink_missing(void)
{
	struct shape *a = shape_new("Left"), *b = shape_new("Right");

	castaway_unlink(a, b, "never");
	shape_end(a);
	shape_end(b);
}

static OUT_OF_LINE void plant_ref_ended(void)
{
	struct shape *a = shape_new("Ended");

	castaway_object_end(a);
	castaway_ref(a);
	free(a);
}

/* The cycle's memory goes without a word to castaway: the objects go with it. */
static OUT_OF_LINE void plant_freed_block(void)
{
	struct shape *a = shape_new("Left"), *b = shape_new("Right");

	shape_hold(a, b, "right");
	shape_hold(b, a, "left");
	shape_drop(a);
	shape_drop(b);
	free(a);
	free(b);
}

/* New life at an old address must not inherit the old one's links. */
static OUT_OF_LINE void plant_reused_block(void)
{
	for (int i = 0; i < 100; i++) {
		plant_freed_block();
		shape_end(shape_new("Fresh"));
	}
	kept = shape_new("Fresh");
}

/* realloc moves the block: the object was at the old place. */
static OUT_OF_LINE void plant_moved_block(void)
{
	struct shape *a = shape_new("Moved");
	struct shape *volatile moved;

	shape_hold(a, a, "self");
	shape_drop(a);
	moved = realloc(a, 1 << 20);
	free(moved);
}

/* Two objects inside one block. */
static OUT_OF_LINE void plant_mid_block(void)
{
	struct shape *both = calloc(2, sizeof(*both));

	if (!both)
		abort();
	castaway_object(&both[0], sizeof(both[0]), "Left");
	castaway_object(&both[1], sizeof(both[1]), "Right");
	shape_hold(&both[0], &both[1], "right");
	shape_hold(&both[1], &both[0], "left");
	shape_drop(&both[0]);
	shape_drop(&both[1]);
}

/* Objects outside the heap. */
static OUT_OF_LINE void plant_not_heap(void)
{
	static struct shape both[2];

	castaway_object(&both[0], sizeof(both[0]), "Left");
	castaway_object(&both[1], sizeof(both[1]), "Right");
	shape_hold(&both[0], &both[1], "right");
	shape_hold(&both[1], &both[0], "left");
	shape_drop(&both[0]);
	shape_drop(&both[1]);
}

/* An owner's links end with it; its target's count does not change by that. */
static OUT_OF_LINE void plant_ended_owner(void)
{
	struct shape *a = shape_new("Left"), *b = shape_new("Right");

	shape_hold(a, b, "right");
	shape_drop(b);
	shape_end(a);
	kept = b;
}

static OUT_OF_LINE void plant_two_kinds(void)
{
	plant_pair();
	plant_ring();
}

/* The second declaration begins a new object at the same place. */
static OUT_OF_LINE void plant_declared_twice(void)
{
	struct shape *a = shape_new("First");

	castaway_object(a, sizeof(*a), "Second");
	shape_end(a);
}

int main(int argc, char **argv)
{
#define X(name)                                         \
	if (argc == 2 && strcmp(argv[1], #name) == 0) { \
		plant_##name();                         \
		return 0;                               \
	}
	SHAPES(X)
#undef X
	fprintf(stderr, "shapes: no such shape\n");
	return 99;
}
