/* SPDX-License-Identifier: Apache-2.0
 *
 * What exists of a large mapping.  Runs in the snapshot child.  Sanitizers and
 * some runtimes reserve far more than there is memory; to read all of it would
 * take for ever, and would make the pages.
 */
#include "pages.h"
#include "rawio.h"
#include "roots_internal.h"

#define DIRECT_MAX (UINT64_C(16) << 20) /* not worth the question */
#define LARGE_MAX  (UINT64_C(64) << 30)
#define BATCH      512u /* pages */

static void visit_batch(const uint64_t *exist, size_t count, uint64_t start, roots_part visit, void *arg)
{
	size_t first = 0;

	for (size_t i = 0; i <= count; i++) {
		if (i < count && exist[i / 64] >> i % 64 & 1)
			continue;
		if (i > first)
			visit(arg, start + first * PAGES_SIZE, start + i * PAGES_SIZE);
		first = i + 1;
	}
}

uint64_t roots_resident(uint64_t start, uint64_t end, roots_part visit, void *arg)
{
	uint64_t exist[BATCH / 64], from = start & ~(PAGES_SIZE - 1);
	int fd;

	if (end - start > LARGE_MAX)
		return end - start;
	fd = end - start > DIRECT_MAX ? pages_open() : -1;
	if (fd < 0) {
		visit(arg, start, end);
		return 0;
	}
	while (from < end) {
		const size_t left = (size_t)((end - from + PAGES_SIZE - 1) / PAGES_SIZE);
		const size_t count = pages_exist(fd, from, left < BATCH ? left : BATCH, exist);

		if (count == 0)
			break;
		visit_batch(exist, count, from, visit, arg);
		from += count * PAGES_SIZE;
	}
	rawio_close(fd);
	return from < end ? end - from : 0;
}
