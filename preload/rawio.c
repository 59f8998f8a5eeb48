/* SPDX-License-Identifier: Apache-2.0
 *
 * Raw input and output.  Runs anywhere in the target's process and in the
 * helper; never touches errno, stdio or the heap.
 */
#include "rawio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

long rawio_open(const char *path, int flags, unsigned mode)
{
	return RAW_CALL(SYS_openat, AT_FDCWD, path, flags, mode);
}

void rawio_close(int fd)
{
	(void)RAW_CALL(SYS_close, fd);
}

long rawio_write(int fd, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	while (size > 0) {
		long n = RAW_CALL(SYS_write, fd, at, size);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? -EIO : n;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

long rawio_read_file(const char *path, void *ret, size_t size)
{
	long fd = rawio_open(path, O_RDONLY | O_CLOEXEC, 0);
	size_t used = 0;

	if (fd < 0)
		return fd;
	while (used < size) {
		long n = RAW_CALL(SYS_read, fd, (char *)ret + used, size - used);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	rawio_close((int)fd);
	return (long)used;
}

uint64_t rawio_clock(int clock)
{
	struct timespec now = {0};

	(void)RAW_CALL(SYS_clock_gettime, clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

pid_t rawio_pid(void)
{
	return (pid_t)RAW_CALL(SYS_getpid, 0);
}

pid_t rawio_tid(void)
{
	return (pid_t)RAW_CALL(SYS_gettid, 0);
}

long rawio_futex_wait(const uint32_t *word, uint32_t expected, uint64_t timeout_ns)
{
	struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / 1000000000u),
		.tv_nsec = (long)(timeout_ns % 1000000000u),
	};

	return RAW_CALL(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, &timeout);
}

void rawio_futex_wake(const uint32_t *word)
{
	(void)RAW_CALL(SYS_futex, word, FUTEX_WAKE_PRIVATE, 0x7fffffff);
}

void rawio_text_begin(struct rawio_text *text, char *buffer, size_t size)
{
	*text = (struct rawio_text){.at = buffer, .end = buffer + size};
	*text->at = '\0';
}

void rawio_text_put(struct rawio_text *text, const char *string)
{
	size_t length = strlen(string);

	if (length >= (size_t)(text->end - text->at)) {
		length = (size_t)(text->end - text->at) - 1;
		text->full = true;
	}
	memcpy(text->at, string, length);
	text->at += length;
	*text->at = '\0';
}

void rawio_text_put_number(struct rawio_text *text, uint64_t number)
{
	char digits[24];
	char *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do {
		*--at = (char)('0' + number % 10);
		number /= 10;
	} while (number != 0);
	rawio_text_put(text, at);
}

void rawio_complain(const char *const *parts)
{
	char line[5120];
	struct rawio_text text;

	/* One byte is kept for the newline. */
	rawio_text_begin(&text, line, sizeof(line) - 1);
	rawio_text_put(&text, "castaway: ");
	for (; *parts != NULL; parts++)
		rawio_text_put(&text, *parts);
	*text.at++ = '\n';
	(void)rawio_write(2, line, (size_t)(text.at - line));
}

const char *rawio_reason(long error)
{
	switch (error < 0 ? -error : error) {
	case EACCES:
	case EPERM:
		return "permission denied";
	case ENOENT:
		return "no such directory";
	case ENOTDIR:
		return "a part of the path is not a directory";
	case EEXIST:
		return "the file exists";
	case EISDIR:
		return "it is a directory";
	case EROFS:
		return "read-only file system";
	case ENOSPC:
	case EDQUOT:
		return "no space left";
	case EFBIG:
		return "file size limit reached";
	case EMFILE:
	case ENFILE:
		return "too many open files";
	case ENAMETOOLONG:
		return "name too long";
	default:
		return "input/output error";
	}
}
