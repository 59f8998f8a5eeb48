/* SPDX-License-Identifier: Apache-2.0
 *
 * g_object_ref() and g_object_unref() in pairs: `gobject CALLS`, at four depths
 * of the stack.  Nothing is allocated meanwhile.
 */
#include <glib-object.h>
#include <stdio.h>
#include <stdlib.h>

enum { OBJECTS = 1024 };

static GObject *s_objects[OBJECTS];

/* What follows the call keeps it from being a jump. */
static __attribute__((noinline)) void pair(unsigned depth, unsigned which)
{
	if (depth > 0)
		pair(depth - 1, which);
	else
		g_object_unref(g_object_ref(s_objects[which % OBJECTS]));
	__asm__ volatile("" ::: "memory");
}

int main(int argc, char **argv)
{
	long calls = argc > 1 ? atol(argv[1]) : 0;
	unsigned random = 1;

	if (calls <= 0) {
		fprintf(stderr, "usage: gobject CALLS\n");
		return 2;
	}
	for (int i = 0; i < OBJECTS; i++)
		s_objects[i] = g_object_new(G_TYPE_OBJECT, NULL);
	for (; calls > 0; calls -= 2) {
		random = random * 1664525u + 1013904223u;
		pair(4 + (random >> 30) * 2, random >> 8);
	}
	for (int i = 0; i < OBJECTS; i++)
		g_object_unref(s_objects[i]);
	return 0;
}
