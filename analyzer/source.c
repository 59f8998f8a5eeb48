/* SPDX-License-Identifier: Apache-2.0
 *
 * Files by pread, and memory.  Only regular files: a FIFO has no size and
 * cannot be read twice, and opening one must not wait for its writer.
 */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct source {
	int fd;               /* -1: memory */
	const uint8_t *bytes; /* memory only */
	uint64_t size;
};

static enum error_code os_failure(struct error *error, int number, const char *what)
{
	error_set(error, ERROR_IO, "%s: %s", what, strerror(number));
	if (error)
		error->os_error = number;
	return ERROR_IO;
}

static enum error_code check_regular(int fd, uint64_t *size, struct error *error)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return os_failure(error, errno, "cannot be read");
	if (S_ISDIR(st.st_mode))
		return os_failure(error, EISDIR, "cannot be read");
	if (!S_ISREG(st.st_mode))
		return error_set(error, ERROR_IO, "not a regular file");
	*size = (uint64_t)st.st_size;
	return ERROR_NONE;
}

static enum error_code source_new(int fd, const uint8_t *bytes, uint64_t size, struct source **ret,
				  struct error *error)
{
	struct source *source = calloc(1, sizeof(*source));

	if (!source)
		return error_set(error, ERROR_MEMORY, "out of memory");
	source->fd = fd;
	source->bytes = bytes;
	source->size = size;
	*ret = source;
	return ERROR_NONE;
}

enum error_code source_open_file(const char *path, struct source **ret, struct error *error)
{
	uint64_t size = 0;
	enum error_code code;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	*ret = NULL;
	if (fd < 0)
		return os_failure(error, errno, "cannot be opened");
	code = check_regular(fd, &size, error);
	if (code == ERROR_NONE)
		code = source_new(fd, NULL, size, ret, error);
	if (code != ERROR_NONE)
		close(fd);
	return code;
}

enum error_code source_open_memory(const void *bytes, size_t size, struct source **ret, struct error *error)
{
	*ret = NULL;
	return source_new(-1, bytes, size, ret, error);
}

uint64_t source_size(const struct source *source)
{
	return source->size;
}

static enum error_code read_file(struct source *source, uint64_t offset, uint8_t *out, size_t size,
				 struct error *error)
{
	while (size > 0) {
		ssize_t got = pread(source->fd, out, size, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return os_failure(error, errno, "cannot be read");
		if (got == 0)
			return error_set_at(error, ERROR_IO, offset,
					    "the file became shorter while it was read");
		out += got;
		offset += (uint64_t)got;
		size -= (size_t)got;
	}
	return ERROR_NONE;
}

enum error_code source_read(struct source *source, uint64_t offset, void *buffer, size_t size,
			    struct error *error)
{
	if (offset > source->size || size > source->size - offset)
		return error_set_at(error, ERROR_IO, offset, "a read of %zu bytes passes the end", size);
	if (source->fd >= 0)
		return read_file(source, offset, buffer, size, error);
	if (size > 0)
		memcpy(buffer, source->bytes + offset, size);
	return ERROR_NONE;
}

void source_free(struct source *source)
{
	if (!source)
		return;
	if (source->fd >= 0)
		close(source->fd);
	free(source);
}
