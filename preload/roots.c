/* SPDX-License-Identifier: Apache-2.0
 *
 * Roots of the heap.  Runs in the snapshot child, on a copy of the target's
 * memory that nobody changes.
 *
 * Everything writable is a root, except what would be a false one; each of
 * these has hidden stranded structures:
 *   - the heap itself: only live blocks are looked at, as blocks;
 *   - below a thread's stack pointer (and its red zone, unless it sits in a
 *     system call: then nothing is alive there);
 *   - stacks of dead threads, which glibc keeps for the next thread;
 *   - the arena's bins in libc's data, whose pointers to free chunks lie in the
 *     last word of the block before;
 *   - castaway's own memory.
 */
#include "roots.h"

#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "arena.h"
#include "modules.h"
#include "ranges.h"
#include "rawio.h"
#include "resolve.h"
#include "roots_internal.h"

#define PAGE_SIZE_   4096u
#define RED_ZONE     128u
#define COPY_SIZE    (64u << 10)
#define GLIBC_THREAD 4096u /* a thread's descriptor is smaller than that */

struct walk {
	const struct scan_index *index;
	const struct maps *maps;
	const struct stopped_thread *threads;
	size_t count;
	struct ranges excluded;
	roots_sink sink;
	void *arg;
	uint8_t *copy;
	uint64_t unread;
	/* Of the range that is being scanned: */
	enum castaway_root_kind kind;
	uint32_t where;
	uint64_t start;
	bool is_libc;
};

/* glibc writes a free chunk's address as that of its header, 8 bytes before the
 * end of the block in front of it. */
static bool is_next_chunk(const struct walk *walk, const struct scan_hit *hit)
{
	uint64_t size = walk->index->blocks[hit->to].size;
	uint64_t usable = size <= 24 ? 24 : ((size + 23) & ~UINT64_C(15)) - 8;

	return hit->interior == usable - 8;
}

static void found(void *arg, const struct scan_hit *hits, size_t count)
{
	struct walk *walk = arg;

	for (size_t i = 0; i < count; i++) {
		const struct scan_hit *hit = &hits[i];
		struct root_hit root = {walk->kind, walk->where, walk->start + hit->offset, hit->to,
					hit->interior};

		if (!walk->is_libc || !is_next_chunk(walk, hit))
			walk->sink(walk->arg, &root);
	}
}

/* Through a copy by the kernel: a mapped file may have become shorter than its
 * mapping, and reading there would kill the child. */
static void scan_part(void *arg, uint64_t start, uint64_t end)
{
	struct walk *walk = arg;

	start = (start + walk->index->step - 1) & ~(walk->index->step - 1);
	while (start + 8 <= end) {
		size_t size = end - start < COPY_SIZE ? end - start : COPY_SIZE;
		struct iovec local = {walk->copy, size}, remote = {(void *)(uintptr_t)start, size};
		long got = RAW_CALL(SYS_process_vm_readv, rawio_pid(), &local, 1, &remote, 1, 0);

		if (got < 8) {
			uint64_t next = (start + PAGE_SIZE_) & ~(uint64_t)(PAGE_SIZE_ - 1);

			walk->unread += (next < end ? next : end) - start;
			start = next;
			continue;
		}
		walk->start = start;
		scan_range(walk->index, 0, walk->copy, walk->copy + got, found, walk);
		/* To the first word that was not whole. */
		start += ((uint64_t)got & ~UINT64_C(7)) - (8 - walk->index->step);
	}
}

static bool guarded_below(const struct walk *walk, const struct maps_entry *entry)
{
	const struct maps_entry *below = entry > walk->maps->entries ? entry - 1 : NULL;

	return entry->kind == MAPS_STACK || (below != NULL && below->end == entry->start && !below->readable);
}

/* What lies below the stack pointer is dead; how far down, the mapping tells,
 * if it is a stack of its own (a coroutine's may be anywhere). */
static void exclude_below(struct walk *walk, const struct stopped_thread *thread)
{
	const struct maps_entry *entry = maps_find(walk->maps, thread->sp);
	uint64_t low = thread->sp - (thread->in_syscall ? 0 : RED_ZONE);

	if (entry != NULL && entry->kind != MAPS_FILE && entry->kind != MAPS_HEAP &&
	    guarded_below(walk, entry))
		ranges_add(&walk->excluded, entry->start, low);
}

static bool lives(const struct walk *walk, uintptr_t descriptor)
{
	for (size_t i = 0; i < walk->count; i++) {
		/* Without its registers a thread may be anybody. */
		if (walk->threads[i].tls == descriptor || walk->threads[i].tls == 0)
			return true;
	}
	return false;
}

/* A stack in glibc's cache still carries its descriptor, which points to
 * itself; memory that was unmapped and is used for something else does not. */
static void exclude_dead_stack(struct walk *walk, uintptr_t descriptor)
{
	const struct maps_entry *entry = maps_find(walk->maps, descriptor);
	uint64_t end = (descriptor + GLIBC_THREAD) & ~(uint64_t)(PAGE_SIZE_ - 1);
	const uintptr_t *head = (const uintptr_t *)descriptor;

	if (entry == NULL || entry->kind != MAPS_ANONYMOUS || !entry->readable || lives(walk, descriptor))
		return;
	if (descriptor + 3 * sizeof(*head) > entry->end || head[0] != descriptor || head[2] != descriptor)
		return;
	if (!guarded_below(walk, entry))
		return;
	/* Its second word leads to the loader's record of thread-local storage,
	 * which waits with the stack for the next thread. */
	ranges_add(&walk->excluded, entry->start, descriptor);
	ranges_add(&walk->excluded, descriptor + 2 * sizeof(*head), end < entry->end ? end : entry->end);
}

static void exclude_dead_stacks(struct walk *walk)
{
	for (size_t i = 0; i < roots_thread_count(); i++) {
		if (roots_thread(i) != 0)
			exclude_dead_stack(walk, roots_thread(i));
	}
}

static void exclude_own(struct walk *walk)
{
	uint64_t start, end;

	for (size_t i = 0; arena_range(i, &start, &end); i++)
		ranges_add(&walk->excluded, start, end);
	/* What the loader allocated before there was an allocator is the target's. */
	roots_own_data(&start, &end);
	ranges_add(&walk->excluded, start, (uintptr_t)g_resolve_boot);
	ranges_add(&walk->excluded, (uintptr_t)g_resolve_boot + RESOLVE_BOOT_SIZE, end);
	ranges_add(&walk->excluded, (uintptr_t)walk->copy, (uintptr_t)walk->copy + COPY_SIZE);
	ranges_add(&walk->excluded, walk->maps->gone_start, walk->maps->gone_end);
}

/* Memory of the heap, which is excluded; what lives there now as a block is one. */
static void scan_hidden(struct walk *walk)
{
	uint64_t start, end;

	walk->kind = CASTAWAY_ROOT_MEMORY;
	walk->where = 0;
	walk->is_libc = false;
	for (size_t i = 0; roots_hidden(i, &start, &end); i++) {
		if (start != end && scan_find(walk->index, start) == SCAN_NONE &&
		    maps_readable(walk->maps, start, end))
			scan_part(walk, start, end);
	}
}

static void scan_registers(struct walk *walk, const struct stopped_thread *thread)
{
	walk->kind = CASTAWAY_ROOT_REGISTER;
	walk->where = (uint32_t)thread->tid;
	for (uint32_t i = 0; i < thread->register_count; i++) {
		uint64_t value = thread->registers[i] & walk->index->mask;
		uint32_t to = scan_find(walk->index, value);
		struct root_hit hit = {walk->kind, walk->where, i, to, 0};

		if (to == SCAN_NONE)
			continue;
		hit.interior = value - walk->index->blocks[to].address;
		walk->sink(walk->arg, &hit);
	}
}

/* Above a thread's descriptor and the stack below it lies its static TLS. */
static void classify(struct walk *walk, const struct maps_entry *entry)
{
	walk->kind = CASTAWAY_ROOT_MEMORY;
	walk->where = 0;
	for (size_t i = 0; i < walk->count; i++) {
		const struct stopped_thread *thread = &walk->threads[i];

		if (thread->sp >= entry->start && thread->sp < entry->end) {
			walk->kind = CASTAWAY_ROOT_STACK;
			walk->where = (uint32_t)thread->tid;
			return;
		}
		if (thread->tls >= entry->start && thread->tls < entry->end) {
			walk->kind = CASTAWAY_ROOT_TLS;
			walk->where = (uint32_t)thread->tid;
		}
	}
	if (walk->kind == CASTAWAY_ROOT_TLS)
		return;
	walk->where = modules_of_data(entry->start);
	if (walk->where != 0)
		walk->kind = CASTAWAY_ROOT_MODULE;
}

/* The part of a module's data that the loader protects when it has relocated it:
 * its own tables are there, and pointers that constructors left. */
static bool is_relro(const struct walk *walk, const struct maps_entry *entry)
{
	const struct maps_entry *next = entry + 1;
	uint32_t module;

	if (entry->kind != MAPS_FILE || next == walk->maps->entries + walk->maps->count ||
	    next->start != entry->end || !next->writable)
		return false;
	module = modules_of_data(entry->start);
	return module != 0 && modules_of_data(next->start) == module;
}

/* Between what is excluded, of memory that nothing backs. */
static void scan_existing(void *arg, uint64_t start, uint64_t end)
{
	struct walk *walk = arg;

	walk->unread += roots_resident(start, end, scan_part, walk);
}

static void scan_entry(struct walk *walk, const struct maps_entry *entry)
{
	if (!entry->readable || entry->kind == MAPS_SPECIAL || (!entry->writable && !is_relro(walk, entry)))
		return;
	classify(walk, entry);
	walk->is_libc = walk->kind == CASTAWAY_ROOT_MODULE && roots_is_libc(entry->start, entry->end);
	ranges_outside(&walk->excluded, entry->start, entry->end,
		       entry->kind == MAPS_ANONYMOUS && !entry->shared ? scan_existing : scan_part, walk);
}

uint64_t roots_scan(const struct scan_index *index, const struct maps *maps,
		    const struct stopped_thread *threads, size_t count, roots_sink sink, void *arg)
{
	struct walk walk = {
		.index = index, .maps = maps, .threads = threads, .count = count, .sink = sink, .arg = arg};

	walk.copy = arena_map(COPY_SIZE);
	if (walk.copy == NULL)
		return UINT64_MAX;
	exclude_own(&walk);
	roots_exclude_heap(index, maps, &walk.excluded);
	exclude_dead_stacks(&walk);
	for (size_t i = 0; i < count; i++)
		exclude_below(&walk, &threads[i]);
	if (walk.excluded.failed)
		return UINT64_MAX;
	ranges_sort(&walk.excluded);
	for (size_t i = 0; i < count; i++)
		scan_registers(&walk, &threads[i]);
	for (size_t i = 0; i < maps->count; i++)
		scan_entry(&walk, &maps->entries[i]);
	scan_hidden(&walk);
	return walk.unread;
}
