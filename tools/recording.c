/* SPDX-License-Identifier: Apache-2.0
 *
 * The same expansion as in the preload: %p is the pid, %e the program's name.
 */
#include <errno.h>
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

char *recording_find(const char *pattern, pid_t pid)
{
	char *wanted = expand(pattern, pid, NULL);
	char *path = NULL;
	glob_t found;

	if (wanted && !glob(wanted, 0, NULL, &found)) {
		path = strdup(found.gl_pathv[0]);
		globfree(&found);
	}
	free(wanted);
	return path;
}
