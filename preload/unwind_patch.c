/* SPDX-License-Identifier: Apache-2.0
 *
 * What libunwind does to the process around it, done in ways that a target
 * cannot feel.  Its imports are redirected in its own tables; each replacement
 * acts only for a thread that is inside our walk, for everybody else (the
 * target may use the same library) it is the real function.
 *
 * - It takes the dynamic loader's lock to list modules: ours lists from our
 *   table, for the reason given in modules.h.
 * - It tests addresses by writing to a pipe of its own, whose descriptors the
 *   target may close and open again as something else: ours asks the kernel
 *   without one.
 * - It remembers frames by address for good: ours learns where, to clear that
 *   when a library was unloaded and another may be at its place.
 */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <dlfcn.h>

#include "modules.h"
#include "rawio.h"
#include "unwind.h"

/* libunwind's frame cache of one thread (Gtrace.c), as found in 1.1 to 1.8. */
struct frame_cache {
	uint8_t *frames; /* 16 bytes each; an address of 0 is an empty one */
	size_t log_size;
	size_t used;
};
#define FRAME_SIZE 16u
#define LOG_FIRST  14u
#define LOG_LIMIT  26u

static struct unwind_thread *walking(void)
{
	struct thread *thread = t_guard.thread;

	return thread && thread->in_unwind ? thread->unwind : NULL;
}

static bool in_walk(void)
{
	return t_guard.thread && t_guard.thread->in_unwind;
}

static int patch_dl_iterate_phdr(int (*visit)(struct dl_phdr_info *, size_t, void *), void *arg)
{
	int result;

	if (!in_walk())
		return dl_iterate_phdr(visit, arg);
	result = modules_iterate_phdr(visit, arg);
	/* The first word of its argument is the pc that it looks for. */
	if (result == 0 && modules_discover(*(uintptr_t *)arg))
		result = modules_iterate_phdr(visit, arg);
	return result;
}

static int patch_pipe2(int fds[2], int flags)
{
	if (!in_walk())
		return pipe2(fds, flags);
	errno = EMFILE;
	return -1;
}

/* It only has the pipe that it did not get. */
static ssize_t patch_read(int fd, void *buffer, size_t size)
{
	if (!in_walk() || fd >= 0)
		return read(fd, buffer, size);
	errno = EAGAIN;
	return -1;
}

/* A signal mask is read from the address before the kernel finds that it has
 * nothing to do with it. */
static long readable(uintptr_t address)
{
	long result = RAW_CALL(SYS_rt_sigprocmask, ~0L, address & ~(uintptr_t)7, NULL, 8);

	errno = result == -EFAULT ? EFAULT : 0;
	return result == -EFAULT ? -1 : 1;
}

static long patch_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if (in_walk() && number == SYS_write && (int)a < 0)
		return readable((uintptr_t)b);
	return syscall(number, a, b, c, d, e, f);
}

/* It stores its cache in a thread key right after making it. */
static int patch_pthread_setspecific(pthread_key_t key, const void *value)
{
	struct unwind_thread *own = walking();
	const struct frame_cache *cache = value;

	if (own && cache && cache->frames && ((uintptr_t)cache->frames & 4095) == 0 &&
	    cache->log_size == LOG_FIRST && cache->used == 0)
		memcpy(&own->frames, &value, sizeof(own->frames));
	return pthread_setspecific(key, value);
}

/* Outside a walk this is the end of the thread's cache. */
static int patch_munmap(void *pages, size_t size)
{
	struct thread *thread = t_guard.thread;
	struct unwind_thread *own = thread ? thread->unwind : NULL;
	const struct frame_cache *cache = own ? own->frames : NULL;

	if (cache && !thread->in_unwind && cache->frames == pages)
		own->frames = NULL;
	return munmap(pages, size);
}

void unwind_forget_frames(struct unwind_thread *own)
{
	struct frame_cache *cache = own->frames;

	if (!cache || cache->log_size < LOG_FIRST || cache->log_size > LOG_LIMIT)
		return;
	memset(cache->frames, 0, (size_t)FRAME_SIZE << cache->log_size);
	cache->used = 0;
}

/* X(function) */
#define PATCHES(X)             \
	X(dl_iterate_phdr)     \
	X(pipe2)               \
	X(read)                \
	X(syscall)             \
	X(pthread_setspecific) \
	X(munmap)

static const struct {
	const char *name;
	void *function;
} k_patches[] = {
#define X(function) {#function, (void *)patch_##function},
	PATCHES(X)
#undef X
};

struct dynamic {
	uintptr_t bias;
	const Elf64_Sym *symbols;
	const char *strings;
	struct {
		const Elf64_Rela *at;
		size_t size;
	} relocations[2];
};

/* The loader has already made these addresses absolute. */
static void dynamic_read(const struct link_map *map, struct dynamic *ret)
{
	*ret = (struct dynamic){.bias = map->l_addr};
	for (const Elf64_Dyn *d = map->l_ld; d->d_tag != DT_NULL; d++) {
		switch (d->d_tag) {
		case DT_SYMTAB:
			ret->symbols = (const Elf64_Sym *)d->d_un.d_ptr;
			break;
		case DT_STRTAB:
			ret->strings = (const char *)d->d_un.d_ptr;
			break;
		case DT_JMPREL:
			ret->relocations[0].at = (const Elf64_Rela *)d->d_un.d_ptr;
			break;
		case DT_PLTRELSZ:
			ret->relocations[0].size = d->d_un.d_val;
			break;
		case DT_RELA:
			ret->relocations[1].at = (const Elf64_Rela *)d->d_un.d_ptr;
			break;
		case DT_RELASZ:
			ret->relocations[1].size = d->d_un.d_val;
			break;
		default:
			break;
		}
	}
}

/* Full RELRO makes the slot read-only: it is given back as it was found. */
static void slot_write(void **slot, void *function, bool writable)
{
	void *page = (void *)((uintptr_t)slot & ~(uintptr_t)4095);

	if (!writable && RAW_CALL(SYS_mprotect, page, 4096, PROT_READ | PROT_WRITE) != 0)
		return;
	__atomic_store_n(slot, function, __ATOMIC_RELEASE);
	if (!writable)
		(void)RAW_CALL(SYS_mprotect, page, 4096, PROT_READ);
}

struct relro {
	uintptr_t low, high, bias;
};

static int relro_find(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct relro *relro = arg;

	if (info->dlpi_addr != relro->bias)
		return 0;
	for (unsigned i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_GNU_RELRO) {
			relro->low = relro->bias + info->dlpi_phdr[i].p_vaddr;
			relro->high = relro->low + info->dlpi_phdr[i].p_memsz;
		}
	return 1;
}

void unwind_patch(void *known)
{
	struct relro relro = {0};
	struct link_map *map;
	struct dynamic dynamic;
	Dl_info info;

	if (!dladdr1(known, &info, (void **)&map, RTLD_DL_LINKMAP) || !map)
		return;
	dynamic_read(map, &dynamic);
	relro.bias = map->l_addr;
	modules_refresh();
	modules_iterate_phdr(relro_find, &relro);
	if (!dynamic.symbols || !dynamic.strings)
		return;
	for (unsigned table = 0; table < 2; table++) {
		const Elf64_Rela *r = dynamic.relocations[table].at;

		for (size_t i = 0; r && i < dynamic.relocations[table].size / sizeof(*r); i++) {
			const char *name =
				dynamic.strings + dynamic.symbols[ELF64_R_SYM(r[i].r_info)].st_name;
			uintptr_t slot = dynamic.bias + r[i].r_offset;

			if (ELF64_R_TYPE(r[i].r_info) != R_X86_64_JUMP_SLOT &&
			    ELF64_R_TYPE(r[i].r_info) != R_X86_64_GLOB_DAT)
				continue;
			for (size_t k = 0; k < sizeof(k_patches) / sizeof(k_patches[0]); k++)
				if (strcmp(name, k_patches[k].name) == 0)
					slot_write((void **)slot, k_patches[k].function,
						   slot < relro.low || slot >= relro.high);
		}
	}
}
