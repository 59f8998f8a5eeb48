/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the preload is, and whether a program can take it.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "config.h"
#include "locate.h"
#include "message.h"

#define LIBRARY            "libcastaway.so"
#define MAX_INTERPRETERS   4
#define MAX_PROGRAM_HEADER 256

static bool own_directory(char *directory, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", directory, size - 1);
	char *slash;

	if (length <= 0)
		return false;
	directory[length] = '\0';
	slash = strrchr(directory, '/');
	if (!slash)
		return false;
	*slash = '\0';
	return true;
}

static bool find_library(char *path, size_t size)
{
	const char *given = getenv("CASTAWAY_LIBRARY");
	char directory[PATH_MAX], candidate[PATH_MAX + 128];
	static const char *const beside[] = {"../preload/" LIBRARY, CASTAWAY_LIBDIR_FROM_BINDIR "/" LIBRARY};

	if (given && *given) {
		snprintf(path, size, "%s", given);
		return access(path, R_OK) == 0;
	}
	for (size_t i = 0; i < 2 && own_directory(directory, sizeof(directory)); i++) {
		snprintf(candidate, sizeof(candidate), "%s/%s", directory, beside[i]);
		if (access(candidate, R_OK) == 0) {
			snprintf(path, size, "%s", candidate);
			return true;
		}
	}
	snprintf(path, size, "%s", CASTAWAY_LIBDIR "/" LIBRARY);
	return access(path, R_OK) == 0;
}

bool locate_library(char *path, size_t size)
{
	char real[PATH_MAX];

	if (!find_library(path, size)) {
		message("%s: %s (CASTAWAY_LIBRARY can name another one)", path, strerror(errno));
		return false;
	}
	/* The target may change its directory before it executes a child. */
	if (realpath(path, real))
		snprintf(path, size, "%s", real);
	if (strpbrk(path, ": ")) {
		message("%s: a path with a colon or a blank cannot be preloaded", path);
		return false;
	}
	return true;
}

/* As execvp searches; false when there is no such file. */
static bool search_path(const char *command, char *path, size_t size)
{
	const char *list = getenv("PATH");

	if (strchr(command, '/') || !list) {
		snprintf(path, size, "%s", command);
		return access(path, X_OK) == 0;
	}
	while (*list) {
		size_t length = strcspn(list, ":");

		snprintf(path, size, "%.*s%s%s", (int)length, list, length ? "/" : "./", command);
		if (access(path, X_OK) == 0)
			return true;
		list += length;
		list += *list == ':';
	}
	return false;
}

/* Replaces `path` by the interpreter of a script; false when it is no script. */
static bool follow_script(char *path, size_t size, const unsigned char *head)
{
	const char *line = (const char *)head + 2;
	size_t length;

	if (head[0] != '#' || head[1] != '!')
		return false;
	line += strspn(line, " \t");
	length = strcspn(line, " \t\n");
	if (!length || length >= size)
		return false;
	snprintf(path, size, "%.*s", (int)length, line);
	return true;
}

/* Why the dynamic linker will not preload into this ELF file; NULL = it will. */
static const char *elf_obstacle(int fd, const unsigned char *head)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	memcpy(&header, head, sizeof(header));
	if (memcmp(head, ELFMAG, SELFMAG) != 0)
		return NULL;
#if defined(__x86_64__)
	if (head[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64)
		return "is a program for another machine";
#endif
	for (unsigned i = 0; i < header.e_phnum && i < MAX_PROGRAM_HEADER; i++) {
		off_t offset = (off_t)(header.e_phoff + i * sizeof(segment));

		if (pread(fd, &segment, sizeof(segment), offset) != (ssize_t)sizeof(segment))
			return NULL;
		if (segment.p_type == PT_INTERP)
			return NULL;
	}
	return "is statically linked";
}

static const char *mode_obstacle(int fd)
{
	struct stat status;

	if (fstat(fd, &status))
		return NULL;
	if ((status.st_mode & S_ISUID && status.st_uid != getuid()) ||
	    (status.st_mode & S_ISGID && status.st_gid != getgid()))
		return "is set-user-id or set-group-id";
	if (getuid() && fgetxattr(fd, "security.capability", NULL, 0) > 0)
		return "has file capabilities";
	return NULL;
}

void locate_warn_untraceable(const char *command)
{
	char path[PATH_MAX];
	bool found = search_path(command, path, sizeof(path));

	for (unsigned i = 0; found && i < MAX_INTERPRETERS; i++) {
		_Alignas(Elf64_Ehdr) unsigned char head[256] = {0};
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		const char *obstacle;

		if (fd < 0)
			return;
		found = read(fd, head, sizeof(head) - 1) > 0;
		obstacle = found ? elf_obstacle(fd, head) : NULL;
		/* The mode of a script does not count. */
		if (!obstacle && head[0] != '#')
			obstacle = mode_obstacle(fd);
		close(fd);
		if (obstacle)
			message_note("%s: warning: %s and cannot be traced; it runs as it is", path,
				     obstacle);
		found = found && !obstacle && follow_script(path, sizeof(path), head);
	}
}
