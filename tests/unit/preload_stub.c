/* SPDX-License-Identifier: Apache-2.0
 *
 * Stand-ins for arena.c, emit.c, hook_loader.c, limits.c and thread.c; and, where
 * the test has none, for pages.c.
 */
#include "preload_stub.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "preload/arena.h"
#include "preload/emit.h"
#include "preload/hook_loader.h"
#include "preload/pages.h"
#include "preload/rawio.h"
#include "preload/thread.h"

struct stub_event g_stub_events[STUB_EVENTS_MAX];
uint32_t g_stub_event_count;
struct thread g_stub_threads[STUB_THREADS];
uint64_t g_stub_limits[CASTAWAY_LIMIT_COUNT];

void *arena_map(size_t size)
{
	void *pages =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return pages == MAP_FAILED ? NULL : pages;
}

void arena_unmap(void *pages, size_t size)
{
	munmap(pages, size);
}

void *arena_map_large(size_t size)
{
	return arena_map(size);
}

void *arena_map_once(void **where, size_t size)
{
	void *known = __atomic_load_n(where, __ATOMIC_ACQUIRE), *fresh;

	if (known != NULL)
		return known;
	fresh = arena_map(size);
	if (__atomic_compare_exchange_n(where, &known, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return fresh;
	arena_unmap(fresh, size);
	return known;
}

void *arena_reserve(size_t size)
{
	struct rlimit limit;
	void *pages;

	if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY)
		return NULL;
	pages = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return pages == MAP_FAILED ? NULL : pages;
}

bool arena_commit(void *pages, size_t size)
{
	return mprotect(pages, size, PROT_READ | PROT_WRITE) == 0;
}

void *arena_alloc(size_t size)
{
	return arena_map(size);
}

__attribute__((weak)) int pages_open(void)
{
	return -1;
}

__attribute__((weak)) size_t pages_exist(int fd, uint64_t start, size_t count, uint64_t *ret)
{
	(void)fd, (void)start, (void)count, (void)ret;
	return 0;
}

__attribute__((weak)) void rawio_close(int fd)
{
	(void)fd;
}

void emit_event(struct thread *thread, enum castaway_event opcode, const uint64_t *values)
{
	static const char *const signatures[] = {
#define X(name, number, signature, fields) [number] = signature,
		CASTAWAY_EVENTS(X)
#undef X
	};
	uint32_t index = __atomic_fetch_add(&g_stub_event_count, 1, __ATOMIC_RELAXED);

	if (index >= STUB_EVENTS_MAX)
		return;
	g_stub_events[index].opcode = opcode;
	memcpy(g_stub_events[index].values, values, strlen(signatures[opcode]) * sizeof(*values));
}

void limits_count(enum castaway_limit limit, uint64_t count, const char *detail)
{
	__atomic_add_fetch(&g_stub_limits[limit], count, __ATOMIC_RELAXED);
}

struct thread *thread_first(void)
{
	for (unsigned i = 0; i + 1 < STUB_THREADS; i++)
		g_stub_threads[i].next = &g_stub_threads[i + 1];
	return g_stub_threads;
}

/* Functions of arch_<cpu>.c refer to them. */
void *hook_loader_dlopen(const char *file, int mode)
{
	return NULL;
}

void *hook_loader_dlmopen(long name_space, const char *file, int mode)
{
	return NULL;
}

struct start {
	void (*body)(unsigned index);
	unsigned index;
};

static void *start(void *arg)
{
	const struct start *this = arg;

	this->body(this->index);
	return NULL;
}

void stub_run_threads(unsigned count, void (*body)(unsigned index))
{
	pthread_t threads[STUB_THREADS];
	struct start starts[STUB_THREADS];

	for (unsigned i = 0; i < count; i++) {
		starts[i] = (struct start){body, i};
		pthread_create(&threads[i], NULL, start, &starts[i]);
	}
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

uint64_t stub_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
