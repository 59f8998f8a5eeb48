/* SPDX-License-Identifier: Apache-2.0
 *
 * One object whose references are taken and given back in functions of their
 * own, some of them in balance, and two of another type.  With an argument: two
 * that a fork child has from its parent, and what it does first.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

static OUT_OF_LINE long milliseconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* The first event after a while is what the child's trace begins with. */
static OUT_OF_LINE int inherit(const char *first)
{
	struct shape *both = shape_new("Both"), *other = shape_new("Other");
	long until;
	pid_t child;

	shape_hold(both, other, "field");
	keep(both);
	child = fork();
	if (child != 0)
		return waitpid(child, NULL, 0) != child;
	until = milliseconds() + 100;
	while (milliseconds() < until)
		;
	if (!strcmp(first, "ref"))
		keep(both);
	else if (!strcmp(first, "unref"))
		give(both);
	else if (!strcmp(first, "link"))
		castaway_link(both, other, "more");
	else if (!strcmp(first, "unlink"))
		castaway_unlink(both, other, "field");
	else if (!strcmp(first, "end"))
		castaway_object_end(other);
	keep(both);
	printf("%d %p %p %ld\n", (int)getpid(), (void *)both, (void *)other,
	       (long)castaway_getrefcount(both));
	return 0;
}

int main(int argc, char **argv)
{
	struct shape *one;

	if (argc > 1)
		return inherit(argv[1]);
	one = shape_new("Former");
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
