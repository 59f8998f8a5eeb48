/* SPDX-License-Identifier: Apache-2.0
 *
 * Opens the library named by its argument, lets it plant a pair, and closes it
 * again, so that its code is gone when the trace ends.
 */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
	union {
		void *object;
		void (*function)(void);
	} plant;

	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 99;
	}
	plant.object = dlsym(library, "plugin_plant");
	if (!plant.object)
		return 98;
	plant.function();
	return dlclose(library) ? 97 : 0;
}
