/* SPDX-License-Identifier: Apache-2.0
 *
 * Which pages of the own memory exist.  To read one that was never written to
 * costs a page fault, and much of what is reserved never is.
 */
#ifndef PAGES_H
#define PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGES_SIZE UINT64_C(4096)

/* A file descriptor, or less than 0: the kernel does not tell.  To be closed with
 * rawio_close(). */
int pages_open(void);

/* Of `count` pages from the one at `start` on: a bit for each that has contents,
 * swapped out or not, the first in the lowest bit of ret[0].  Returns of how many
 * this is known; 0: of none. */
size_t pages_exist(int fd, uint64_t start, size_t count, uint64_t *ret);

#endif
