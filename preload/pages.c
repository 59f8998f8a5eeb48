/* SPDX-License-Identifier: Apache-2.0
 *
 * Source: Linux, Documentation/admin-guide/mm/pagemap.rst.
 */
#include "pages.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "rawio.h"

#define BATCH 512u
/* Bits of an entry, of which there is one for each page. */
#define PRESENT (UINT64_C(1) << 63)
#define SWAPPED (UINT64_C(1) << 62)

int pages_open(void)
{
	return (int)rawio_open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0);
}

size_t pages_exist(int fd, uint64_t start, size_t count, uint64_t *ret)
{
	uint64_t entries[BATCH];
	size_t done = 0;

	memset(ret, 0, (count + 63) / 64 * sizeof(*ret));
	while (done < count) {
		const size_t most = count - done < BATCH ? count - done : BATCH;
		const long got = RAW_CALL(SYS_pread64, fd, entries, most * sizeof(*entries),
					  (start / PAGES_SIZE + done) * sizeof(*entries));

		if (got < (long)sizeof(*entries))
			break;
		for (size_t i = 0; i < (size_t)got / sizeof(*entries); i++, done++)
			ret[done / 64] |= (uint64_t)((entries[i] & (PRESENT | SWAPPED)) != 0) << done % 64;
	}
	return done;
}
