/* SPDX-License-Identifier: Apache-2.0
 *
 * One line on stderr, in one write, so that lines of a traced program do not
 * mix with it.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "cmd.h"
#include "message.h"

static bool g_quiet;

static void print_line(const char *format, va_list arguments)
{
	char line[4096] = "castaway: ";
	size_t start = strlen(line);
	size_t length;

	/* The last byte stays free for the newline. */
	vsnprintf(line + start, sizeof(line) - start - 1, format, arguments);
	length = strlen(line);
	for (size_t i = start; i < length; i++)
		if (iscntrl((unsigned char)line[i]))
			line[i] = '?';
	line[length] = '\n';
	fwrite(line, 1, length + 1, stderr);
}

void message(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_line(format, arguments);
	va_end(arguments);
}

void message_note(const char *format, ...)
{
	va_list arguments;

	if (g_quiet)
		return;
	va_start(arguments, format);
	print_line(format, arguments);
	va_end(arguments);
}

void message_set_quiet(bool quiet)
{
	g_quiet = quiet;
}

bool message_quiet(void)
{
	return g_quiet;
}

int message_usage(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_line(format, arguments);
	va_end(arguments);
	return EXIT_STATUS_ERROR;
}

int message_error(const char *file, const struct error *error)
{
	const char *reason = error->os_error ? strerror(error->os_error) : "";
	const char *what = error->what[0] ? error->what : reason;

	/* Text of the operating system is added once, if `what` lacks it. */
	if (!reason[0] || strstr(what, reason))
		reason = NULL;
	if (error->has_offset)
		message("%s: %s%s%s (at offset %llu)", file, what, reason ? ": " : "", reason ? reason : "",
			(unsigned long long)error->offset);
	else
		message("%s: %s%s%s", file, what, reason ? ": " : "", reason ? reason : "");
	return EXIT_STATUS_ERROR;
}

int message_errno(const char *file, int error_number)
{
	message("%s: %s", file, strerror(error_number));
	return EXIT_STATUS_ERROR;
}

int message_finish_output(FILE *stream, const char *name)
{
	errno = 0;
	if (!fflush(stream) && !ferror(stream))
		return EXIT_STATUS_OK;
	if (errno == EPIPE)
		return EXIT_STATUS_OK;
	return message_errno(name, errno ? errno : EIO);
}
