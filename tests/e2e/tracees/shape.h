/* SPDX-License-Identifier: Apache-2.0
 *
 * What the annotated tracees share.  Objects here are only declared and
 * counted, never really freed by their count: the shapes are planted on
 * purpose, and each function that plants one is kept out of line because the
 * tests look for its name in stacks.
 */
#ifndef SHAPE_H
#define SHAPE_H

#include <stdlib.h>

#include "castaway/castaway.h"

#define OUT_OF_LINE __attribute__((noinline, noclone, unused))

struct shape {
	struct shape *next, *other;
	long payload[4];
};

static OUT_OF_LINE struct shape *shape_new(const char *type)
{
	struct shape *shape = (struct shape *)calloc(1, sizeof(*shape));

	if (!shape)
		abort();
	castaway_object(shape, sizeof(*shape), type);
	return shape;
}

/* One counted reference from owner to target. */
static OUT_OF_LINE void shape_hold(struct shape *owner, struct shape *target, const char *field)
{
	castaway_ref(target);
	castaway_link(owner, target, field);
}

static OUT_OF_LINE void shape_let_go(struct shape *owner, struct shape *target, const char *field)
{
	castaway_unlink(owner, target, field);
	castaway_unref(target);
}

static OUT_OF_LINE void shape_end(struct shape *shape)
{
	castaway_object_end(shape);
	free(shape);
}

/* The creator's reference; never inlined, so that it is a frame of its own. */
static OUT_OF_LINE void shape_drop(struct shape *shape)
{
	castaway_unref(shape);
}

#endif
