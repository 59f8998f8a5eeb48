/* SPDX-License-Identifier: Apache-2.0
 *
 * A program without GLib that has functions of GLib's names: in itself
 * (OWN_SELF), or in a library that it opens for itself alone (OWN_LIBRARY is
 * that library).  Prints what they give.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

void *g_object_ref(void *object);
void g_object_unref(void *object);
int own_result(void);

#if defined(OWN_SELF) || defined(OWN_LIBRARY)
static char g_bytes[8];

void *g_object_ref(void *object)
{
	return (char *)object + 1;
}

void g_object_unref(void *object)
{
	(void)object;
}

int own_result(void)
{
	void *volatile block = malloc(64);
	void *former = block; /* an address, from here on */
	char *result;

	g_object_ref(former);
	free(block);
	g_object_unref(former);
	result = g_object_ref(g_bytes);
	return (int)(result - g_bytes);
}
#endif

#ifndef OWN_LIBRARY
int main(int argc, char **argv)
{
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	int (*result)(void) = NULL;

#ifdef OWN_SELF
	result = own_result;
#else
	if (library != NULL)
		*(void **)&result = dlsym(library, "own_result");
#endif
	if (result == NULL)
		return 1;
	printf("%d\n", result());
	if (library != NULL)
		dlclose(library);
	return 0;
}
#endif
