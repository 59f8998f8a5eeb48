/* SPDX-License-Identifier: Apache-2.0
 *
 * Output files that are never half written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "message.h"
#include "output.h"

static bool is_input(const struct stat *target, char *const *inputs)
{
	struct stat input;

	for (; inputs && *inputs; inputs++)
		if (!stat(*inputs, &input) && input.st_dev == target->st_dev &&
		    input.st_ino == target->st_ino)
			return true;
	return false;
}

/* A symbolic link stays one: what it points to is replaced. */
static char *resolve(const char *path)
{
	char *real = realpath(path, NULL);

	return real ? real : strdup(path);
}

static bool open_temporary(struct output *output)
{
	mode_t mask = umask(0);
	int fd;

	umask(mask);
	if (asprintf(&output->temporary, "%s.XXXXXX", output->target) < 0) {
		output->temporary = NULL;
		return false;
	}
	fd = mkstemp(output->temporary);
	if (fd < 0)
		return false;
	fchmod(fd, 0666 & ~mask);
	output->stream = fdopen(fd, "w");
	if (output->stream)
		return true;
	close(fd);
	unlink(output->temporary);
	return false;
}

bool output_open(struct output *output, const char *path, char *const *inputs)
{
	struct stat status;
	bool exists;
	int error;

	*output = (struct output){.stream = stdout, .name = "standard output"};
	if (!path || !strcmp(path, "-"))
		return true;
	*output = (struct output){.name = path};
	exists = !stat(path, &status);
	if (exists && is_input(&status, inputs)) {
		message("%s: is an input of this command and is not overwritten", path);
		return false;
	}
	if (exists && !S_ISREG(status.st_mode)) {
		output->stream = fopen(path, "we");
	} else {
		output->target = resolve(path);
		if (output->target && open_temporary(output))
			return true;
	}
	error = errno;
	if (output->stream)
		return true;
	free(output->temporary);
	free(output->target);
	message_errno(path, error);
	return false;
}

int output_close(struct output *output, bool keep)
{
	int status = message_finish_output(output->stream, output->name);

	if (output->stream != stdout && fclose(output->stream) && !status)
		status = message_errno(output->name, errno);
	if (output->temporary) {
		if (keep && !status && rename(output->temporary, output->target))
			status = message_errno(output->name, errno);
		if (!keep || status)
			unlink(output->temporary);
	}
	free(output->temporary);
	free(output->target);
	return status;
}
