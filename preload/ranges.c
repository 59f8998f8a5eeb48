/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of address ranges.  Runs in the snapshot child; no libc but mem*.
 */
#include "ranges.h"

#include <string.h>

#include "arena.h"

#define FIRST_COUNT 256u

static bool grow(struct ranges *ranges)
{
	size_t capacity = ranges->capacity ? 2 * ranges->capacity : FIRST_COUNT;
	struct range *more = arena_map(capacity * sizeof(*more));

	if (more == NULL)
		return false;
	if (ranges->count)
		memcpy(more, ranges->ranges, ranges->count * sizeof(*more));
	if (ranges->ranges != NULL)
		arena_unmap(ranges->ranges, ranges->capacity * sizeof(*more));
	ranges->ranges = more;
	ranges->capacity = capacity;
	return true;
}

void ranges_add(struct ranges *ranges, uint64_t start, uint64_t end)
{
	struct range *last = ranges->count ? &ranges->ranges[ranges->count - 1] : NULL;

	if (start >= end)
		return;
	/* Most come in the order of their addresses, many side by side. */
	if (last != NULL && start >= last->start && start <= last->end) {
		last->end = end > last->end ? end : last->end;
		return;
	}
	if (ranges->count == ranges->capacity && !grow(ranges)) {
		ranges->failed = true;
		return;
	}
	ranges->ranges[ranges->count++] = (struct range){start, end};
}

static void sift(struct range *heap, size_t at, size_t count)
{
	for (;;) {
		size_t child = 2 * at + 1;
		struct range swap;

		if (child >= count)
			return;
		if (child + 1 < count && heap[child + 1].start > heap[child].start)
			child++;
		if (heap[at].start >= heap[child].start)
			return;
		swap = heap[at];
		heap[at] = heap[child];
		heap[child] = swap;
		at = child;
	}
}

/* Heap sort: libc's qsort may call malloc. */
static void sort(struct range *heap, size_t count)
{
	for (size_t at = count / 2; at-- > 0;)
		sift(heap, at, count);
	while (count > 1) {
		struct range top = heap[0];

		heap[0] = heap[--count];
		heap[count] = top;
		sift(heap, 0, count);
	}
}

void ranges_sort(struct ranges *ranges)
{
	size_t kept = 0;

	sort(ranges->ranges, ranges->count);
	for (size_t i = 0; i < ranges->count; i++) {
		struct range next = ranges->ranges[i];

		if (kept && next.start <= ranges->ranges[kept - 1].end) {
			if (next.end > ranges->ranges[kept - 1].end)
				ranges->ranges[kept - 1].end = next.end;
		} else {
			ranges->ranges[kept++] = next;
		}
	}
	ranges->count = kept;
}

void ranges_outside(const struct ranges *ranges, uint64_t start, uint64_t end,
		    void (*visit)(void *arg, uint64_t start, uint64_t end), void *arg)
{
	size_t low = 0, high = ranges->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges->ranges[middle].end <= start)
			low = middle + 1;
		else
			high = middle;
	}
	for (; start < end && low < ranges->count && ranges->ranges[low].start < end; low++) {
		if (ranges->ranges[low].start > start)
			visit(arg, start, ranges->ranges[low].start);
		if (ranges->ranges[low].end > start)
			start = ranges->ranges[low].end;
	}
	if (start < end)
		visit(arg, start, end);
}
