/* SPDX-License-Identifier: Apache-2.0
 *
 * Input and output without libc: raw system calls that return -errno, and
 * bounded text building.  Usable in the helper process, in a vfork child, in
 * signal handlers and before constructors.
 */
#ifndef RAWIO_H
#define RAWIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "arch.h"

#define RAW_CALL(number, ...) RAW_CALL_(number, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define RAW_CALL_(number, a, b, c, d, e, f, ...) \
	arch_syscall(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

long rawio_open(const char *path, int flags, unsigned mode);
void rawio_close(int fd);
/* All of it, in spite of EINTR and partial writes; 0 or -errno. */
long rawio_write(int fd, const void *bytes, size_t size);
/* Up to size bytes of a (proc) file; the count or -errno. */
long rawio_read_file(const char *path, void *ret, size_t size);
uint64_t rawio_clock(int clock); /* nanoseconds */
pid_t rawio_pid(void);
pid_t rawio_tid(void);

/* Sleeps while *word == expected; 0, -EAGAIN, -EINTR or -ETIMEDOUT.  All tasks
 * that share the memory may take part. */
long rawio_futex_wait(const uint32_t *word, uint32_t expected, uint64_t timeout_ns);
void rawio_futex_wake(const uint32_t *word);

/* Text into a fixed buffer, always NUL-terminated; `full` sticks. */
struct rawio_text {
	char *at, *end;
	bool full;
};
void rawio_text_begin(struct rawio_text *text, char *buffer, size_t size);
void rawio_text_put(struct rawio_text *text, const char *string);
void rawio_text_put_number(struct rawio_text *text, uint64_t number);

/* One line on stderr: "castaway: " and the parts (the list ends with NULL). */
void rawio_complain(const char *const *parts);
/* "No space left on device" for ENOSPC and so on; for a few numbers only. */
const char *rawio_reason(long error);

#endif
