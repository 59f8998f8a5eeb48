/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks the live questions of the annotation header and prints the answers;
 * test_gc_command.py asks the trace the same.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "shape.h"

static int print_address(void *object, void *arg)
{
	(void)arg;
	printf(" 0x%" PRIxPTR, (uintptr_t)object);
	return 0;
}

static void print_objects(int generation)
{
	printf("objects %d", generation);
	castaway_gc_get_objects(generation, print_address, NULL);
	printf("\n");
}

static void print_object(const char *name, struct shape *shape)
{
	printf("address %s 0x%" PRIxPTR "\n", name, (uintptr_t)shape);
	printf("refcount %s %ld\n", name, (long)castaway_getrefcount(shape));
	printf("referrers %s", name);
	castaway_gc_get_referrers(shape, print_address, NULL);
	printf("\nreferents %s", name);
	castaway_gc_get_referents(shape, print_address, NULL);
	printf("\n");
}

static void print_numbers(void)
{
	struct castaway_gc_stats stats[3];
	size_t counts[3];

	castaway_gc_get_count(counts);
	printf("count %zu %zu %zu\n", counts[0], counts[1], counts[2]);
	castaway_gc_get_stats(stats);
	for (int i = 0; i < 3; i++)
		printf("stats %d %ld %ld %ld %ld\n", i, (long)stats[i].live, (long)stats[i].collections,
		       (long)stats[i].examined, (long)stats[i].promoted);
	printf("frozen %zu\n", castaway_gc_get_freeze_count());
}

/* Two that hold each other, `first` the other one twice; nobody else does. */
static struct shape *strand_pair(const char *type)
{
	struct shape *first = shape_new(type), *second = shape_new(type);

	shape_hold(first, second, "next");
	shape_hold(first, second, "other");
	shape_hold(second, first, "next");
	castaway_weak(second, first, "weak");
	shape_drop(second);
	shape_drop(first);
	return first;
}

int main(void)
{
	struct shape *old, *young, *owner, *ended;

	strand_pair("Frozen");
	castaway_gc_freeze();
	castaway_gc_set_threshold(5, 1, 1);
	old = strand_pair("Old");
	/* Births 6 and 12 start passes; what is born from then on stays in generation 0. */
	for (int i = 0; i < 9; i++)
		shape_new("New");
	young = strand_pair("Young");
	owner = shape_new("Owner");
	shape_hold(owner, shape_new("Owned"), "next");
	ended = shape_new("Ended");
	shape_end(ended);
	for (int generation = -1; generation < 3; generation++)
		print_objects(generation);
	print_object("old", old);
	print_object("young", young);
	print_object("owner", owner);
	print_numbers();
	return 0;
}
