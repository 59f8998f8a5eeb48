/* SPDX-License-Identifier: Apache-2.0
 *
 * Stacks as people read them: without castaway's own frames, without what the
 * C library does before main, and with the one frame picked out that says
 * where in the program it was.
 */
#include "report_place.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How modules begin whose frames are machinery: the caller of these is the place. */
static const char *const c_library[] = {"libc.so", "libc-"};
static const char *const machinery[] = {
	"ld-linux",   "libstdc++.so", "libglib-2.0.so", "libgobject-2.0.so", "libgstreamer-1.0.so",
	"libpthread", "libpython",
};

/* Everything below (outside of) one of these is the start of the program or
 * of the thread. */
static const char *const starters[] = {
	"__libc_start_call_main", "__libc_start_main", "_start", "start_thread", "clone3", "clone",
};

const char *report_place_base(const char *path)
{
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;

	return slash != NULL ? slash + 1 : path;
}

static bool begins_as(const char *module, const char *const *names, size_t count)
{
	for (size_t i = 0; module != NULL && i < count; i++)
		if (strncmp(module, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static bool is_c_library(const struct symbols_frame *frame)
{
	return begins_as(report_place_base(frame->module), c_library,
			 sizeof(c_library) / sizeof(c_library[0]));
}

static bool is_machinery(const struct symbols_frame *frame)
{
	const char *module = report_place_base(frame->module);

	/* Functions of its headers that were inlined into the program. */
	if (frame->file != NULL && strstr(frame->file, "/glib-2.0/") != NULL)
		return true;
	if (is_c_library(frame) || begins_as(module, machinery, sizeof(machinery) / sizeof(machinery[0])))
		return true;
	return frame->function != NULL && strncmp(frame->function, "operator new", 12) == 0;
}

static bool is_starter(const struct symbols_frame *frame)
{
	for (size_t i = 0; frame->function != NULL && i < sizeof(starters) / sizeof(starters[0]); i++)
		if (strcmp(frame->function, starters[i]) == 0)
			return true;
	return false;
}

char *report_place_format(const char *format, ...)
{
	va_list arguments;
	char *text = NULL;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	return text;
}

char *report_place_describe(const struct symbols_frame *frame)
{
	const char *module = report_place_base(frame->module);
	const char *file = report_place_base(frame->file);

	if (frame->function != NULL && file != NULL && frame->line > 0)
		return report_place_format("%s at %s:%u", frame->function, file, frame->line);
	if (frame->function != NULL && module != NULL)
		return report_place_format("%s in %s", frame->function, module);
	if (frame->function != NULL)
		return strdup(frame->function);
	if (file != NULL && frame->line > 0)
		return report_place_format("%s:%u", file, frame->line);
	if (module != NULL)
		return report_place_format("%s+0x%" PRIx64, module, frame->offset);
	return report_place_format("0x%" PRIx64, frame->offset);
}

/* A line of a script says more than the interpreter that ran it. */
size_t report_place_pick(const struct symbols_frame *frames, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (frames[i].language != NULL && strcmp(frames[i].language, "python") == 0)
			return i;
	for (size_t i = 0; i < count; i++)
		if (!is_machinery(&frames[i]) && !is_starter(&frames[i]) && frames[i].function != NULL)
			return i;
	return 0;
}

/* Without the C library's debug symbols its part of a start has no name. */
static bool is_nameless_start(const struct symbols_frame *frame)
{
	return frame->function == NULL && is_c_library(frame);
}

size_t report_place_stack(const struct report_model *model, uint32_t stack, struct symbols_frame **ret)
{
	size_t count = 0, shown = 0;

	*ret = NULL;
	if (stack != 0 && model->analysis->symbols != NULL)
		count = symbols_program_stack(model->analysis->symbols, stack, 0, ret);
	while (shown < count && !is_starter(&(*ret)[shown]))
		shown++;
	while (shown > 1 && is_nameless_start(&(*ret)[shown - 1]))
		shown--;
	return shown;
}

char *report_place(const struct report_model *model, uint32_t stack)
{
	struct symbols_frame *frames = NULL;
	size_t count = 0;
	char *text = NULL;

	if (stack != 0 && model->analysis->symbols != NULL)
		count = symbols_program_stack(model->analysis->symbols, stack, 64, &frames);
	if (count > 0)
		text = report_place_describe(&frames[report_place_pick(frames, count)]);
	free(frames);
	return text;
}
