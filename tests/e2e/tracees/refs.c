/* SPDX-License-Identifier: Apache-2.0
 *
 * One object whose references are taken and given back in functions of their
 * own, some of them in balance, and two of another type.
 */
#include <stdio.h>

#include "shape.h"

static OUT_OF_LINE void borrow(struct shape *shape)
{
	castaway_ref(shape);
	castaway_unref(shape);
}

static OUT_OF_LINE void keep(struct shape *shape)
{
	castaway_ref(shape);
}

static OUT_OF_LINE void give(struct shape *shape)
{
	castaway_unref(shape);
}

/* Keeps two and gives one back. */
static OUT_OF_LINE void keep_more(struct shape *shape)
{
	keep(shape);
	keep(shape);
	give(shape);
}

/* All in balance, if not in one place. */
static OUT_OF_LINE void balanced(struct shape *shape)
{
	keep(shape);
	borrow(shape);
	give(shape);
}

static OUT_OF_LINE struct shape *again(struct shape *old, const char *type)
{
	castaway_object_end(old);
	castaway_object(old, sizeof(*old), type);
	return old;
}

int main(void)
{
	struct shape *one = shape_new("Former");

	/* Of the object before, at the same address. */
	for (int i = 0; i < 5; i++)
		keep(one);
	one = again(one, "Counted");
	for (int i = 0; i < 3; i++)
		balanced(one);
	keep_more(one);
	give(one);
	keep(shape_new("Pair"));
	shape_new("Pair");
	printf("%p\n", (void *)one);
	return 0;
}
