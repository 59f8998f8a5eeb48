/* SPDX-License-Identifier: Apache-2.0
 *
 * One kind of leak, and stacks.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "report_text.h"

void report_text_stack(struct report_text *report, unsigned indent, uint32_t stack)
{
	size_t max = report->model.options->max_frames;
	struct symbols_frame *frames;
	size_t count = report_place_stack(&report->model, stack, &frames);

	for (size_t at = 0; at < count && (max == 0 || at < max); at++) {
		char *text = report_place_describe(&frames[at]);

		textout_put(&report->out, "%*s%s\n", (int)indent, "", text != NULL ? text : "?");
		free(text);
	}
	if (max > 0 && count > max)
		textout_put(&report->out, "%*s... and %zu more frames\n", (int)indent, "", count - max);
	free(frames);
}

void report_text_leak(struct report_text *report, const struct leak *leak)
{
	const char *type = trace_text(report->model.analysis->trace, leak->type);
	char size[TEXTOUT_NUMBER], direct[TEXTOUT_NUMBER], times[TEXTOUT_NUMBER];
	char *place = report_place(&report->model, leak->stack);

	textout_put(&report->out, "  %s  %" PRIu64 " x  %s, %s, allocated in %s  [%016" PRIx64 "]\n",
		    verdict_name(leak->verdict), leak->count, *type != '\0' ? type : "block",
		    textout_size(leak->direct_bytes, direct), place != NULL ? place : "an unknown place",
		    leak->fingerprint);
	if (leak->verdict == VERDICT_OVER_REFERENCED)
		textout_put(&report->out, "      %" PRId64 " %s, but nothing points to it any more\n",
			    leak->refcount, leak->refcount == 1 ? "count is left" : "counts are left");
	if (leak->blocks > leak->count)
		textout_put(&report->out, "      keeps %s more, %s\n",
			    textout_plural(leak->blocks - leak->count, "block", "blocks", times),
			    textout_size(leak->bytes - leak->direct_bytes, size));
	report_text_stack(report, 6, leak->stack);
	free(place);
	place = report_place(&report->model, leak->taken);
	if (place != NULL) {
		textout_put(&report->out, "      the reference that nobody gave back was taken in %s\n",
			    place);
		report_text_stack(report, 6, leak->taken);
	}
	free(place);
}
