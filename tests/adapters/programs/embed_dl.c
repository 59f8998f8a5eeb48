/* SPDX-License-Identifier: Apache-2.0
 *
 * A program that opens CPython's library for itself alone, as a plugin does.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const char s_program[] = "import gc; gc.disable()\n"
				"class Knot: pass\n"
				"for _ in range(3):\n"
				"    knot = Knot(); knot.itself = knot\n"
				"del knot\n";

int main(int argc, char **argv)
{
	void *library = argc == 3 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	void (*initialize)(int);
	int (*run)(const char *, void *);
	int (*finalize)(void);

	if (library == NULL)
		return 2;
	*(void **)&initialize = dlsym(library, "Py_InitializeEx");
	*(void **)&run = dlsym(library, "PyRun_SimpleStringFlags");
	*(void **)&finalize = dlsym(library, "Py_FinalizeEx");
	initialize(strcmp(argv[2], "no-signals") != 0);
	run(s_program, NULL);
	if (strcmp(argv[2], "finalize") == 0 || strcmp(argv[2], "close") == 0)
		finalize();
	if (strcmp(argv[2], "close") == 0)
		dlclose(library);
	puts("done");
	return 0;
}
