/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls every entry point of the malloc family once and writes to stdout what
 * a tracer must have seen: `ALLOC address size` and `FREE address`, in order.
 * Two blocks of remarkable sizes mark the begin and the end of that list.
 * Nothing is printed before the end: stdio allocates.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BEGIN_SIZE 98765
#define END_SIZE   98767

static char list[16384];
static size_t list_size;

static void expect(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	list_size += (size_t)vsnprintf(list + list_size, sizeof(list) - list_size, format, arguments);
	va_end(arguments);
}

/* Through a volatile pointer: the compiler must not know what is called. */
static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_calloc)(size_t, size_t) = calloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void *(*volatile do_reallocarray)(void *, size_t, size_t) = reallocarray;
static void (*volatile do_free)(void *) = free;

static void *born(void *block, size_t size)
{
	if (!block)
		_exit(98);
	expect("ALLOC %p %zu\n", block, size);
	return block;
}

static void end(void *block)
{
	if (block)
		expect("FREE %p\n", block);
	do_free(block);
}

static void *resize(void *block, size_t size)
{
	uintptr_t former = (uintptr_t)block;
	void *now = do_realloc(block, size);

	if (former)
		expect("FREE %p\n", (void *)former);
	return born(now, size);
}

static void plain(void)
{
	end(born(do_malloc(1), 1));
	end(born(do_malloc(0), 0));
	end(born(do_malloc(1000000), 1000000));
	end(born(do_calloc(7, 13), 91));
	end(born(do_calloc(0, 5), 0));
	end(NULL);
}

static void aligned(void)
{
	void *block = NULL;

	if (posix_memalign(&block, 256, 300))
		_exit(97);
	end(born(block, 300));
	end(born(aligned_alloc(64, 128), 128));
	end(born(memalign(512, 77), 77));
	end(born(valloc(99), 99));
	end(born(pvalloc(10), 10));
}

static void failures(void)
{
	void *block = born(do_malloc(40), 40), *untouched = (void *)16;

	if (do_malloc(SIZE_MAX / 2) || errno != ENOMEM)
		_exit(96);
	if (do_calloc(SIZE_MAX / 2, 4) || do_reallocarray(NULL, SIZE_MAX / 2, 4))
		_exit(95);
	if (posix_memalign(&untouched, 3, 10) != EINVAL || untouched != (void *)16)
		_exit(94);
	expect("FAILED %p\n", block);
	if (do_realloc(block, SIZE_MAX / 2) || errno != ENOMEM)
		_exit(93);
	end(block);
}

static void resizes(void)
{
	char *block = resize(NULL, 24);

	memset(block, 'x', 24);
	block = resize(block, 100);
	block = resize(block, 300000);
	if (block[0] != 'x' || block[23] != 'x')
		_exit(92);
	block = resize(block, 10);
	block = resize(block, 10);
	expect("FREE %p\n", (void *)block);
	if (do_realloc(block, 0))
		_exit(91);
	block = born(do_reallocarray(NULL, 3, 30), 90);
	end(block);
}

/* New in C23; the C library may not have them yet. */
static void sized(void)
{
	union {
		void *object;
		void (*sized)(void *, size_t);
		void (*aligned)(void *, size_t, size_t);
		void (*plain)(void *);
	} name;
	void *block;

	name.object = dlsym(RTLD_DEFAULT, "free_sized");
	if (name.object) {
		block = born(do_malloc(33), 33);
		expect("FREE %p\n", block);
		name.sized(block, 33);
	}
	name.object = dlsym(RTLD_DEFAULT, "free_aligned_sized");
	if (name.object) {
		block = born(aligned_alloc(64, 192), 192);
		expect("FREE %p\n", block);
		name.aligned(block, 64, 192);
	}
	name.object = dlsym(RTLD_DEFAULT, "cfree");
	if (name.object) {
		block = born(do_malloc(55), 55);
		expect("FREE %p\n", block);
		name.plain(block);
	}
}

static void usable(void)
{
	void *block = born(do_malloc(100), 100);

	if (malloc_usable_size(block) < 100 || malloc_usable_size(NULL) != 0)
		_exit(90);
	memset(block, 1, malloc_usable_size(block));
	end(block);
}

static void leave_some(void)
{
	for (size_t i = 1; i <= 10; i++)
		born(do_malloc(50000 + i), 50000 + i);
}

int main(void)
{
	size_t written = 0;

	do_malloc(BEGIN_SIZE);
	plain();
	aligned();
	failures();
	resizes();
	sized();
	usable();
	leave_some();
	do_malloc(END_SIZE);
	while (written < list_size) {
		ssize_t n = write(1, list + written, list_size - written);

		if (n <= 0)
			return 89;
		written += (size_t)n;
	}
	return 0;
}
