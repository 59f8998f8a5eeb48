/* SPDX-License-Identifier: Apache-2.0
 *
 * Findings and leaks as strings, for the formats that quote the text report.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "report_text.h"

char *report_text_of_finding(const struct report_model *model, size_t number, const struct finding *finding)
{
	struct report_text report = {.model = *model};
	char *text = NULL;
	size_t size;

	report.out.out = open_memstream(&text, &size);
	if (report.out.out == NULL)
		return NULL;
	report_text_finding(&report, number, finding);
	fclose(report.out.out);
	return text;
}

char *report_text_of_leak(const struct report_model *model, const struct leak *leak)
{
	struct report_text report = {.model = *model};
	char *text = NULL;
	size_t size;

	report.out.out = open_memstream(&text, &size);
	if (report.out.out == NULL)
		return NULL;
	report_text_leak(&report, leak);
	fclose(report.out.out);
	return text;
}

char *report_text_line(const struct report_model *model, const struct finding *finding)
{
	char *label = report_model_label(model, &model->analysis->structures[finding->representative]);
	char objects[TEXTOUT_NUMBER], bytes[TEXTOUT_NUMBER];
	char *text = report_place_format("%" PRIu32 " x %s: %s, %s%s%s", finding->count, label ? label : "?",
					 textout_plural(finding->objects, "object", "objects", objects),
					 textout_size(finding->bytes, bytes),
					 finding->advice.present ? "; " : "", finding->advice.action);

	free(label);
	return text;
}

char *report_text_leak_line(const struct report_model *model, const struct leak *leak)
{
	const char *type = trace_text(model->analysis->trace, leak->type);
	char blocks[TEXTOUT_NUMBER], bytes[TEXTOUT_NUMBER];

	return report_place_format("%" PRIu64 " x %s: %s, %s", leak->count, *type ? type : "block",
				   textout_plural(leak->blocks, "block", "blocks", blocks),
				   textout_size(leak->bytes, bytes));
}
