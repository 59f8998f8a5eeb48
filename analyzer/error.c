/* SPDX-License-Identifier: Apache-2.0
 *
 * Filling in a struct error.  Never prints and never allocates, so that it
 * also works when memory is what ran out.
 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(struct error *error, enum error_code code, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

static void fill(struct error *error, enum error_code code, const char *format, va_list args)
{
	memset(error, 0, sizeof(*error));
	error->code = code;
	vsnprintf(error->what, sizeof(error->what), format, args);
}

enum error_code error_set(struct error *error, enum error_code code, const char *format, ...)
{
	va_list args;

	if (!error)
		return code;
	va_start(args, format);
	fill(error, code, format, args);
	va_end(args);
	return code;
}

enum error_code error_set_at(struct error *error, enum error_code code, uint64_t offset, const char *format,
			     ...)
{
	va_list args;

	if (!error)
		return code;
	va_start(args, format);
	fill(error, code, format, args);
	va_end(args);
	error->has_offset = true;
	error->offset = offset;
	return code;
}
