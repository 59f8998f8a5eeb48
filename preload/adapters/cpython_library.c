/* SPDX-License-Identifier: Apache-2.0
 *
 * CPython in a library that a program opened with dlopen(), and whose names
 * the rest of the program does not see.  Runs in the target's threads, outside
 * of its allocations.  No reference to the library is kept: the program may
 * close it.
 */
#include "cpython.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#include "../resolve.h"

struct search {
	char path[4096];
	uintptr_t base;
};
static struct search s_found;

static int look_at(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *search = arg;
	const char *name = strrchr(info->dlpi_name, '/');
	size_t length = strlen(info->dlpi_name);

	name = name != NULL ? name + 1 : info->dlpi_name;
	if (strncmp(name, "libpython3.", 11) != 0 || length >= sizeof(search->path))
		return 0;
	memcpy(search->path, info->dlpi_name, length + 1);
	search->base = info->dlpi_addr;
	return 1;
}

bool cpython_library_find(void)
{
	struct search search = {.base = 0};
	bool loaded = false;
	void *handle;

	if (dl_iterate_phdr(look_at, &search) == 0 || search.base == s_found.base)
		return false;
	s_found = search;
	handle = g_real.dlopen(search.path, RTLD_NOLOAD | RTLD_LAZY);
	if (handle != NULL) {
		loaded = cpython_layout_load(handle);
		g_real.dlclose(handle);
	}
	return loaded;
}

bool cpython_library_is_there(void)
{
	struct search search = {.base = 0};

	if (s_found.base == 0 || (dl_iterate_phdr(look_at, &search) != 0 && search.base == s_found.base))
		return true;
	s_found.base = 0;
	return false;
}
