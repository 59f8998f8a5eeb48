/* SPDX-License-Identifier: Apache-2.0
 *
 * Which pages of a large mapping exist.  Runs in the snapshot child.  Sanitizers
 * and some runtimes reserve far more than there is memory; to read all of it
 * would take for ever, and would make the pages.
 */
#include <fcntl.h>
#include <sys/syscall.h>

#include "rawio.h"
#include "roots_internal.h"

#define PAGE       UINT64_C(4096)
#define DIRECT_MAX (UINT64_C(16) << 20) /* not worth the question */
#define LARGE_MAX  (UINT64_C(64) << 30)
#define BATCH      512u
/* Bits of a /proc/PID/pagemap entry. */
#define PRESENT (UINT64_C(1) << 63)
#define SWAPPED (UINT64_C(1) << 62)

static void visit_batch(const uint64_t *pages, size_t count, uint64_t start, roots_part visit, void *arg)
{
	size_t first = 0;

	for (size_t i = 0; i <= count; i++) {
		if (i < count && pages[i] & (PRESENT | SWAPPED))
			continue;
		if (i > first)
			visit(arg, start + first * PAGE, start + i * PAGE);
		first = i + 1;
	}
}

uint64_t roots_resident(uint64_t start, uint64_t end, roots_part visit, void *arg)
{
	uint64_t pages[BATCH], from = start & ~(PAGE - 1);
	long fd;

	if (end - start > LARGE_MAX)
		return end - start;
	fd = end - start > DIRECT_MAX ? rawio_open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0) : -1;
	if (fd < 0) {
		visit(arg, start, end);
		return 0;
	}
	while (from < end) {
		size_t left = (size_t)((end - from + PAGE - 1) / PAGE), count = left < BATCH ? left : BATCH;
		long got = RAW_CALL(SYS_pread64, fd, pages, count * sizeof(*pages),
				    from / PAGE * sizeof(*pages));

		if (got < (long)sizeof(*pages))
			break;
		count = (size_t)got / sizeof(*pages);
		visit_batch(pages, count, from, visit, arg);
		from += count * PAGE;
	}
	rawio_close((int)fd);
	return from < end ? end - from : 0;
}
