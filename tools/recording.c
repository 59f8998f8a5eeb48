/* SPDX-License-Identifier: Apache-2.0
 *
 * The same expansion as in the preload: %p is the pid, %e the program's name.
 */
#include <castaway/format.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "message.h"
#include "recording.h"

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool recording_may_write(const char *output, bool force)
{
	struct stat status;

	if (lstat(output, &status))
		return true;
	if (!force) {
		message("%s: exists already (--force replaces it)", output);
		return false;
	}
	if (!S_ISREG(status.st_mode)) {
		message("%s: is not a regular file and is not replaced", output);
		return false;
	}
	if (!unlink(output))
		return true;
	message_errno(output, errno);
	return false;
}

char *recording_escape(const char *path)
{
	char *result = malloc(2 * strlen(path) + 1);
	char *out = result;

	for (; result && *path; path++) {
		*out++ = *path;
		if (*path == '%')
			*out++ = '%';
	}
	if (result)
		*out = '\0';
	return result;
}

/* `name` in the current directory: the target may change its own. */
static char *absolute(const char *name)
{
	char *directory = name[0] == '/' ? NULL : getcwd(NULL, 0);
	char *escaped = directory ? recording_escape(directory) : NULL;
	char *result = NULL;

	if (!directory)
		result = strdup(name);
	else if (escaped && asprintf(&result, "%s/%s", escaped, name) < 0)
		result = NULL;
	free(escaped);
	free(directory);
	return result;
}

char *recording_pattern(const char *output, const char *command, bool force)
{
	char *name = NULL, *program = NULL, *pattern = NULL;

	if (output) {
		if (!strchr(output, '%') && !recording_may_write(output, force))
			return NULL;
		pattern = absolute(output);
	} else {
		program = recording_escape(base_name(command));
		if (program && asprintf(&name, "%s.%%p.castaway", program) > 0)
			pattern = absolute(name);
	}
	if (!pattern)
		message("out of memory");
	free(program);
	free(name);
	return pattern;
}

/* Expands `pattern`; with `program` NULL into a glob(7) pattern in which any
 * program matches. */
static char *expand(const char *pattern, pid_t pid, const char *program)
{
	char *path = NULL;
	size_t size;
	FILE *out = open_memstream(&path, &size);

	if (!out)
		return NULL;
	for (const char *at = pattern; *at; at++) {
		char kind = at[0] == '%' ? at[1] : '\0';

		if (kind == 'p')
			fprintf(out, "%ld", (long)pid);
		else if (kind == 'e')
			fputs(program ? program : "*", out);
		else if (kind == '%')
			fputc('%', out);
		else if (!program && strchr("*?[\\", at[0]))
			fprintf(out, "\\%c", at[0]);
		else
			fputc(at[0], out);
		if (kind && strchr("pe%", kind))
			at++;
	}
	if (!fclose(out))
		return path;
	free(path);
	return NULL;
}

char *recording_path(const char *pattern, pid_t pid, const char *program)
{
	return expand(pattern, pid, program);
}

/* The file's header when this is a trace of `pid` that began at `since`
 * (CLOCK_REALTIME, nanoseconds) or later. */
static bool is_wanted(const char *path, pid_t pid, uint64_t since, struct castaway_file_header *header)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	bool whole = fd >= 0 && read(fd, header, sizeof(*header)) == sizeof(*header);

	if (fd >= 0)
		close(fd);
	return whole && !memcmp(header->magic, CASTAWAY_FORMAT_MAGIC, sizeof(header->magic)) &&
	       header->pid == (uint32_t)pid && header->start_realtime_ns >= since;
}

static int compare_starts(const void *a, const void *b)
{
	const struct recording_file *left = a, *right = b;

	return (left->start > right->start) - (left->start < right->start);
}

static bool add_found(struct recording_files *files, const char *path, uint64_t start)
{
	struct recording_file *grown = reallocarray(files->file, files->count + 1, sizeof(*grown));

	if (!grown)
		return false;
	files->file = grown;
	grown[files->count].start = start;
	grown[files->count].path = strdup(path);
	if (!grown[files->count].path)
		return false;
	files->count++;
	return true;
}

/* A name that was taken got a suffix. */
static char *with_suffix(const char *pattern)
{
	char *path = NULL;

	return asprintf(&path, "%s.*", pattern) < 0 ? NULL : path;
}

void recording_find(const char *pattern, pid_t pid, uint64_t since, struct recording_files *ret)
{
	char *name = expand(pattern, pid, NULL);
	char *longer = name ? with_suffix(name) : NULL;
	glob_t found = {0};
	bool some = longer && !glob(name, 0, NULL, &found);

	some = longer && (!glob(longer, some ? GLOB_APPEND : 0, NULL, &found) || some);
	*ret = (struct recording_files){0};
	for (size_t i = 0; some && i < found.gl_pathc; i++) {
		struct castaway_file_header header;

		if (is_wanted(found.gl_pathv[i], pid, since, &header) &&
		    !add_found(ret, found.gl_pathv[i], header.start_realtime_ns))
			break;
	}
	if (ret->count)
		qsort(ret->file, ret->count, sizeof(*ret->file), compare_starts);
	if (some)
		globfree(&found);
	free(longer);
	free(name);
}

void recording_free(struct recording_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		free(files->file[i].path);
	free(files->file);
}
