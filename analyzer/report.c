/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of report formats.
 */
#include "report.h"

#include <errno.h>
#include <string.h>

const struct report_format *report_find(const char *name)
{
	static const struct report_format *const formats[] = {
#define X(name) &report_##name,
		REPORT_FORMATS(X)
#undef X
	};

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	return NULL;
}

enum error_code report_finish(FILE *out, struct error *error)
{
	enum error_code code;

	errno = 0;
	if (fflush(out) == 0 && !ferror(out))
		return ERROR_NONE;
	code = error_set(error, ERROR_IO, "the report could not be written");
	if (error != NULL)
		error->os_error = errno;
	return code;
}
