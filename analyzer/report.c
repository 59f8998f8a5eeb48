/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of report formats, and what all of them begin and end with.
 */
#include "report.h"

#include <errno.h>
#include <string.h>

#include "report_model.h"

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

/* Whether all of it was written. */
static enum error_code finish(FILE *out, struct error *error)
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

enum error_code report_write(const struct report_format *format, const struct analysis *analysis,
			     const struct report_options *options, FILE *out, struct error *error)
{
	struct report_model model;
	enum error_code code = report_model_new(&model, analysis, options, error);

	if (code == ERROR_NONE)
		code = format->write(&model, out, error);
	report_model_free(&model);
	return code != ERROR_NONE ? code : finish(out, error);
}
