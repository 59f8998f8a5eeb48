/* SPDX-License-Identifier: Apache-2.0
 *
 * The directory belongs to this process alone (mode 0700).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "castaway/format.h"
#include "cmd.h"
#include "message.h"
#include "recording.h"
#include "traces.h"

#define MAX_SUFFIX 1000

bool traces_create(struct traces *traces, const char *keep)
{
	const char *parent = getenv("TMPDIR");
	const char *slash = keep ? strrchr(keep, '/') : NULL;
	char *made = NULL, *real, *escaped;

	*traces = (struct traces){0};
	if (keep)
		asprintf(&made, "%.*s.castaway-XXXXXX", slash ? (int)(slash + 1 - keep) : 0, keep);
	else
		asprintf(&made, "%s/castaway-XXXXXX", parent && *parent ? parent : "/tmp");
	if (!made || !mkdtemp(made)) {
		message_errno(made ? made : "temporary directory", errno);
		free(made);
		return false;
	}
	real = realpath(made, NULL);
	traces->directory = real ? real : made;
	escaped = recording_escape(traces->directory);
	if (!escaped || asprintf(&traces->pattern, "%s/%%e.%%p.castaway", escaped) < 0)
		traces->pattern = NULL;
	free(escaped);
	if (real)
		free(made);
	if (traces->pattern)
		return true;
	message("out of memory");
	traces_remove(traces);
	return false;
}

/* Who wrote it and when; an unreadable one keeps pid 0. */
static void read_header(struct traces_file *file)
{
	struct castaway_file_header header;
	int fd = open(file->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (pread(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header) &&
	    !memcmp(header.magic, CASTAWAY_FORMAT_MAGIC, sizeof(header.magic))) {
		file->pid = (pid_t)header.pid;
		file->start_ns = header.start_realtime_ns;
	}
	close(fd);
}

static bool add_file(struct traces *traces, const char *name)
{
	struct traces_file file = {0};
	struct traces_file *files = realloc(traces->files, (traces->count + 1) * sizeof(*files));

	if (!files)
		return false;
	traces->files = files;
	if (asprintf(&file.path, "%s/%s", traces->directory, name) < 0)
		return false;
	read_header(&file);
	files[traces->count++] = file;
	return true;
}

static int compare(const void *left, const void *right, void *arg)
{
	const struct traces_file *a = left, *b = right;
	pid_t pid = *(const pid_t *)arg;

	if ((a->pid == pid) != (b->pid == pid))
		return a->pid == pid ? -1 : 1;
	return a->start_ns < b->start_ns ? -1 : a->start_ns > b->start_ns;
}

bool traces_list(struct traces *traces, pid_t pid)
{
	DIR *directory = opendir(traces->directory);
	struct dirent *entry;
	bool done = true;

	if (!directory) {
		message_errno(traces->directory, errno);
		return false;
	}
	while (done && (entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			done = add_file(traces, entry->d_name);
	closedir(directory);
	if (traces->count)
		qsort_r(traces->files, traces->count, sizeof(*traces->files), compare, &pid);
	if (!done)
		message("out of memory");
	return done;
}

/* The program's name, as the preload put it into the file's name. */
static char *program_name(const struct traces_file *file)
{
	const char *name = strrchr(file->path, '/') + 1;
	char tail[48];
	const char *end;

	snprintf(tail, sizeof(tail), ".%ld.castaway", (long)file->pid);
	end = strstr(name, tail);
	return end ? strndup(name, (size_t)(end - name)) : strdup(name);
}

/* Renames without replacing anything: FILE, else FILE.PID, FILE.PID.2 ... as
 * the preload itself would.  *ret is the name that it got. */
static int move(const struct traces_file *file, const char *wanted, char **ret)
{
	for (unsigned i = 0; i < MAX_SUFFIX; i++) {
		char *path = NULL;
		int length = i < 2 ? asprintf(&path, i ? "%s.%ld" : "%s", wanted, (long)file->pid)
				   : asprintf(&path, "%s.%ld.%u", wanted, (long)file->pid, i);

		if (length < 0)
			return ENOMEM;
		*ret = path;
		if (!renameat2(AT_FDCWD, file->path, AT_FDCWD, path, RENAME_NOREPLACE))
			return 0;
		if (errno != EEXIST)
			return errno;
		free(path);
	}
	*ret = NULL;
	return EEXIST;
}

int traces_keep(struct traces *traces, const char *keep)
{
	for (size_t i = 0; i < traces->count; i++) {
		char *program = program_name(&traces->files[i]);
		char *wanted = program ? recording_path(keep, traces->files[i].pid, program) : NULL;
		char *path = NULL;
		int error = wanted ? move(&traces->files[i], wanted, &path) : ENOMEM;

		if (!error)
			message_note("%s is in %s", i ? "the trace of a child" : "the trace", path);
		else
			message_errno(path ? path : keep, error);
		free(program);
		free(wanted);
		free(path);
		if (error)
			return EXIT_STATUS_ERROR;
	}
	return EXIT_STATUS_OK;
}

void traces_remove(struct traces *traces)
{
	DIR *directory = opendir(traces->directory);
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory)
		closedir(directory);
	rmdir(traces->directory);
	for (size_t i = 0; i < traces->count; i++)
		free(traces->files[i].path);
	free(traces->files);
	free(traces->pattern);
	free(traces->directory);
	*traces = (struct traces){0};
}
