/* SPDX-License-Identifier: Apache-2.0
 *
 * generations TOTAL [I:J:TYPE]...
 * Creates objects number 1 to TOTAL, all kept, then makes a stranded pair of
 * each named two.  `generations churn TOTAL` ends each object at once.
 */
#include <stdio.h>
#include <string.h>

#include "shape.h"

#define MAX_PAIRS 16

struct pair {
	long number[2];
	char type[32];
	struct shape *shape[2];
};

static OUT_OF_LINE void strand(struct pair *pair)
{
	shape_hold(pair->shape[0], pair->shape[1], "right");
	shape_hold(pair->shape[1], pair->shape[0], "left");
	shape_drop(pair->shape[0]);
	shape_drop(pair->shape[1]);
}

static OUT_OF_LINE void create(long number, struct pair *pairs, int count)
{
	const char *type = "Filler";
	struct shape **place = NULL, *shape;

	for (int i = 0; i < count; i++)
		for (int side = 0; side < 2; side++)
			if (pairs[i].number[side] == number) {
				type = pairs[i].type;
				place = &pairs[i].shape[side];
			}
	shape = shape_new(type);
	if (place)
		*place = shape;
}

static int churn(long total)
{
	for (long i = 0; i < total; i++)
		shape_end(shape_new("Brief"));
	return 0;
}

int main(int argc, char **argv)
{
	struct pair pairs[MAX_PAIRS];
	long total = argc > 1 ? atol(argv[1]) : 0;
	int count = argc - 2;

	if (argc == 3 && !strcmp(argv[1], "churn"))
		return churn(atol(argv[2]));
	if (total <= 0 || count > MAX_PAIRS)
		return 99;
	memset(pairs, 0, sizeof(pairs));
	for (int i = 0; i < count; i++)
		if (sscanf(argv[i + 2], "%ld:%ld:%31s", &pairs[i].number[0], &pairs[i].number[1],
			   pairs[i].type) != 3)
			return 98;
	for (long i = 1; i <= total; i++)
		create(i, pairs, count);
	for (int i = 0; i < count; i++)
		strand(&pairs[i]);
	return 0;
}
