/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks that are kept, each in its way.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>

#include "leaks.h"

static void *volatile s_initialized = (void *)&g_kept; /* .data and not .bss */
static void *volatile s_array[4];
static __thread void *volatile t_kept;
static __thread struct node *volatile t_list;

void globals(void)
{
	static struct node *volatile local;

	g_kept = make(3001);
	s_initialized = make(3002);
	local = make(3003);
	local->next = make(3004);
	s_array[2] = (char *)make(3005) + 1000;
}

void tls(void)
{
	t_kept = make(3011);
	t_list = make(3012);
	t_list->next = make(3013);
}

void thread_keys(void)
{
	pthread_key_t key;

	/* The first 32 are in the thread's descriptor, the others in a table. */
	for (unsigned i = 0; i < 40; i++) {
		if (pthread_key_create(&key, NULL) != 0 || pthread_setspecific(key, make(3021 + i)) != 0)
			abort();
	}
}

void mapped(void)
{
	void **region = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (region == MAP_FAILED)
		abort();
	region[777] = make(3081);
}

void large(void)
{
	void **block = make(40 << 20);

	block[4000000] = make(3091);
	g_kept = block;
}

/* Opened libraries: the loader's own records, and their thread-local storage. */
void opened(void)
{
	void *library = dlopen(getenv("LEAKS_PLUGIN"), RTLD_NOW);
	void (*keep)(void *) = library != NULL ? (void (*)(void *))dlsym(library, "plugin_keep") : NULL;

	if (keep == NULL)
		abort();
	keep(make(3101));
}
