/* SPDX-License-Identifier: Apache-2.0
 *
 * Carries out object operations that it reads from stdin, one per line, so
 * that a test can play any history and compare with its own oracle:
 *     n I TYPE   new object number I       e I        ends it and frees it
 *     + I        ref                       - I        unref
 *     l I J F    link from I to J in F     u I J F    unlink
 *     w I J F    weak link
 * and prints `I 0xADDRESS` for each new one.
 */
#include <stdio.h>

#include "shape.h"

#define MAX_OBJECTS 100000

static struct shape *objects[MAX_OBJECTS];

static struct shape *object_at(unsigned number)
{
	if (number >= MAX_OBJECTS)
		exit(98);
	return objects[number];
}

static void carry_out(char verb, unsigned i, unsigned j, const char *text)
{
	switch (verb) {
	case 'n':
		objects[i] = shape_new(text);
		printf("%u %p\n", i, (void *)objects[i]);
		break;
	case 'e':
		shape_end(object_at(i));
		objects[i] = NULL;
		break;
	case '+':
		castaway_ref(object_at(i));
		break;
	case '-':
		shape_drop(object_at(i));
		break;
	case 'l':
		castaway_link(object_at(i), object_at(j), text);
		break;
	case 'u':
		castaway_unlink(object_at(i), object_at(j), text);
		break;
	case 'w':
		castaway_weak(object_at(i), object_at(j), text);
		break;
	default:
		exit(97);
	}
}

int main(void)
{
	char line[128], text[64] = "";

	while (fgets(line, sizeof(line), stdin)) {
		unsigned i = 0, j = 0;

		if (line[0] == 'n' ? sscanf(line, "n %u %63s", &i, text) != 2
				   : sscanf(line + 1, " %u %u %63s", &i, &j, text) < 1)
			return 99;
		if (i >= MAX_OBJECTS || j >= MAX_OBJECTS)
			return 98;
		carry_out(line[0], i, j, text);
	}
	return 0;
}
