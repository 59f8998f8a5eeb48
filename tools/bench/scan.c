/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast words of memory become pointers to blocks: `scan [MIB [PERCENT
 * [RUNS]]]`.  Fills MIB (1024) with small blocks of mixed sizes, as an allocator
 * would lay them out; PERCENT (20) of their words point to any block, a quarter
 * of these into its middle, the rest are zeros, small and large numbers.  Each
 * run reads all the words, then scans them.  Prints for each run seconds to
 * read, to build the index and to scan, and in the first line blocks and bytes.
 * tools/bench/snapshot builds it with the library's own scan.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "preload/arena.h"
#include "preload/hook_loader.h"
#include "preload/scan.h"

#define HEADER 8u

struct heap {
	struct scan_block *blocks;
	uint32_t count, capacity;
	uint64_t bytes;
};

static uint64_t s_random = 88172645463325252u;

static uint64_t draw(uint64_t limit)
{
	s_random ^= s_random << 13;
	s_random ^= s_random >> 7;
	s_random ^= s_random << 17;
	return s_random % limit;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The scan's memory is the library's arena; here any mapping does. */
void *arena_map(size_t size)
{
	void *pages =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return pages != MAP_FAILED ? pages : NULL;
}

void *arena_map_large(size_t size)
{
	void *pages = arena_map(size);

	if (pages != NULL)
		(void)madvise(pages, size, MADV_HUGEPAGE);
	return pages;
}

/* Other functions of arch.h refer to these; nobody opens a library here. */
void *hook_loader_dlopen(const char *file, int mode)
{
	(void)file, (void)mode;
	return NULL;
}

void *hook_loader_dlmopen(long name_space, const char *file, int mode)
{
	(void)name_space, (void)file, (void)mode;
	return NULL;
}

/* Blocks of 8 to 240 bytes, and now and then a gap as a freed one leaves. */
static void lay_out(struct heap *heap, uint64_t bytes)
{
	uint8_t *at = arena_map(bytes + bytes / 2);

	heap->capacity = (uint32_t)(bytes / 64);
	heap->blocks = arena_map(heap->capacity * sizeof(*heap->blocks));
	if (at == NULL || heap->blocks == NULL)
		exit(1);
	at += 2 * HEADER;
	while (heap->bytes < bytes && heap->count < heap->capacity) {
		uint64_t size = 16 + draw(15) * 16 - draw(2) * 8;

		if (draw(8) == 0)
			at += (draw(8) + 1) * 16;
		heap->blocks[heap->count++] = (struct scan_block){.address = (uintptr_t)at, .size = size};
		heap->bytes += size;
		at += (size + HEADER + 15) & ~UINT64_C(15);
	}
}

static uint64_t word(const struct heap *heap, unsigned percent)
{
	uint64_t kind = draw(100);
	const struct scan_block *to = &heap->blocks[draw(heap->count)];

	if (kind < percent)
		return to->address + (draw(4) == 0 ? to->size / 2 & ~UINT64_C(7) : 0);
	if (kind < 60)
		return 0;
	return kind < 85 ? draw(65536) : draw(UINT64_MAX);
}

static void fill(const struct heap *heap, unsigned percent)
{
	for (uint32_t i = 0; i < heap->count; i++) {
		uint64_t *words = (uint64_t *)(uintptr_t)heap->blocks[i].address;

		for (uint64_t j = 0; j < heap->blocks[i].size / 8; j++)
			words[j] = word(heap, percent);
	}
}

static uint64_t read_all(const struct heap *heap)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < heap->count; i++) {
		const uint64_t *words = (const uint64_t *)(uintptr_t)heap->blocks[i].address;

		for (uint64_t j = 0; j < heap->blocks[i].size / 8; j++)
			sum += words[j];
	}
	return sum;
}

static void count_hit(void *arg, const struct scan_hit *hits, size_t count)
{
	uint64_t *sums = arg;

	sums[0] += count;
	for (size_t i = 0; i < count; i++)
		sums[1] += hits[i].to + hits[i].interior + hits[i].offset;
}

static void build(struct scan_index *index, const struct heap *heap)
{
	if (!scan_index_begin(index, heap->count, false))
		exit(1);
	for (uint32_t i = 0; i < heap->count; i++) {
		if (!scan_index_add(index, heap->blocks[i].address, heap->blocks[i].size, 0))
			exit(1);
	}
}

int main(int argc, char **argv)
{
	uint64_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 1024;
	unsigned percent = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 20;
	unsigned long runs = argc > 3 ? strtoul(argv[3], NULL, 10) : 5;
	struct heap heap = {0};
	struct scan_index index;
	double start, built;

	lay_out(&heap, mib << 20);
	fill(&heap, percent);
	start = now();
	build(&index, &heap);
	built = now() - start;
	printf("%u %llu\n", heap.count, (unsigned long long)heap.bytes);
	for (unsigned long i = 0; i < runs; i++) {
		uint64_t sums[3] = {0};
		double read, scanned;

		start = now();
		sums[2] = read_all(&heap);
		read = now();
		scan_blocks(&index, 0, index.count, count_hit, sums);
		scanned = now();
		printf("%.4f %.4f %.4f %llu %llx\n", read - start, built, scanned - read,
		       (unsigned long long)sums[0], (unsigned long long)(sums[1] ^ sums[2]));
	}
	return 0;
}
