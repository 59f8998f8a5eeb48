/* SPDX-License-Identifier: Apache-2.0
 *
 * `limits KIND [LIBRARY]`: what castaway cannot see.  Built a second time with a
 * malloc of its own.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef OWN_MALLOC
static char s_pool[1 << 20] __attribute__((aligned(16)));
static size_t s_used;

void *malloc(size_t size)
{
	void *block = s_pool + s_used;

	s_used += (size + 15) & ~(size_t)15;
	return s_used <= sizeof(s_pool) ? block : NULL;
}

void *calloc(size_t count, size_t size)
{
	return malloc(count * size);
}

void *realloc(void *block, size_t size)
{
	void *moved = malloc(size);

	return block != NULL && moved != NULL ? memcpy(moved, block, size) : moved;
}

void free(void *block)
{
	(void)block;
}
#endif

/* Four pages of a file that has one: to touch the others is SIGBUS. */
static int beyond_the_file(void)
{
	int fd = memfd_create("limits", 0);

	if (fd < 0 || ftruncate(fd, 4 * 4096) != 0 ||
	    mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
		return 1;
	return ftruncate(fd, 4096) != 0;
}

int main(int argc, char **argv)
{
	if (argc < 2 || malloc(100) == NULL)
		return 2;
	if (strcmp(argv[1], "deepbind") == 0)
		return dlopen(argv[2], RTLD_NOW | RTLD_DEEPBIND) == NULL;
	if (strcmp(argv[1], "namespace") == 0)
		return dlmopen(LM_ID_NEWLM, argv[2], RTLD_NOW) == NULL;
	if (strcmp(argv[1], "base") == 0)
		return dlmopen(LM_ID_BASE, argv[2], RTLD_NOW) == NULL;
	if (strcmp(argv[1], "unread") == 0)
		return beyond_the_file();
	return 0;
}
