/* SPDX-License-Identifier: Apache-2.0
 *
 * diff PAIRS RINGS BUFFERS LATE: strands so many pairs and single rings, and
 * keeps so many buffers of 100 and of 200 bytes.
 */
#include <stdlib.h>

#include "shape.h"

#define KEPT_MAX 64

static void *g_kept[2][KEPT_MAX];

static OUT_OF_LINE void plant_pair(void)
{
	struct shape *first = shape_new("Pair"), *second = shape_new("Pair");

	shape_hold(first, second, "other");
	shape_hold(second, first, "other");
	shape_drop(first);
	shape_drop(second);
}

static OUT_OF_LINE void plant_ring(void)
{
	struct shape *ring = shape_new("Ring");

	shape_hold(ring, ring, "self");
	shape_drop(ring);
}

static OUT_OF_LINE void keep_buffer(int i)
{
	g_kept[0][i] = malloc(100);
}

static OUT_OF_LINE void keep_late(int i)
{
	g_kept[1][i] = malloc(200);
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 1;
	for (int i = 0; i < atoi(argv[1]); i++)
		plant_pair();
	for (int i = 0; i < atoi(argv[2]); i++)
		plant_ring();
	for (int i = 0; i < atoi(argv[3]) && i < KEPT_MAX; i++)
		keep_buffer(i);
	for (int i = 0; i < atoi(argv[4]) && i < KEPT_MAX; i++)
		keep_late(i);
	return 0;
}
