/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames and times; escaping is left to textout and jsontext.
 */
#include <inttypes.h>
#include <time.h>

#include "text.h"

void text_frame(struct textout *out, const struct symbols_frame *frame)
{
	if (frame->function)
		textout_put(out, "%s", frame->function);
	else
		textout_put(out, "%s+0x%" PRIx64, frame->module ? frame->module : "?", frame->offset);
	if (frame->file && frame->line)
		textout_put(out, " (%s:%" PRIu32 ")", frame->file, frame->line);
	else if (frame->file)
		textout_put(out, " (%s)", frame->file);
}

void text_frame_json(struct jsontext *json, const struct symbols_frame *frame)
{
	jsontext_object(json, NULL, JSONTEXT_FLAT);
	jsontext_string(json, "function", frame->function);
	jsontext_string(json, "file", frame->file);
	if (frame->line)
		jsontext_count(json, "line", frame->line);
	else
		jsontext_null(json, "line");
	jsontext_string(json, "module", frame->module);
	jsontext_address(json, "offset", frame->offset);
	jsontext_string(json, "build_id", frame->build_id);
	jsontext_string(json, "language", frame->language);
	jsontext_object_end(json);
}

const char *text_time(uint64_t realtime_ns, char buffer[static TEXT_TIME])
{
	time_t seconds = (time_t)(realtime_ns / 1000000000u);
	char date[40];
	struct tm parts;

	if (!gmtime_r(&seconds, &parts) || !strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts))
		return "unknown";
	snprintf(buffer, TEXT_TIME, "%s.%03uZ", date, (unsigned)(realtime_ns / 1000000u % 1000u));
	return buffer;
}
