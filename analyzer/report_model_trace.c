/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of the report model that concerns the trace itself: times, totals,
 * names, and the list of what was not seen.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "report_place.h"

/* One point relates ticks of the time-stamp counter to a moment, two to a speed. */
bool report_model_time(const struct report_model *model, uint64_t ticks, uint64_t *ret)
{
	const struct trace *trace = model->analysis->trace;

	*ret = 0;
	if (trace->header.clock_source != CASTAWAY_CLOCK_MONOTONIC && trace->clock_count < 2)
		return false;
	*ret = trace_time_ns(trace, ticks);
	return true;
}

bool report_model_started(const struct report_model *model, char text[static 40])
{
	uint64_t ns = model->analysis->trace->header.start_realtime_ns;
	time_t seconds = (time_t)(ns / 1000000000u);
	struct tm tm;
	size_t length;

	if (ns == 0 || gmtime_r(&seconds, &tm) == NULL)
		return false;
	length = strftime(text, 24, "%Y-%m-%dT%H:%M:%S", &tm);
	if (length == 0)
		return false;
	snprintf(text + length, 40 - length, ".%06uZ", (unsigned)(ns % 1000000000u / 1000));
	return true;
}

bool report_model_events(const struct report_model *model, uint64_t *ret)
{
	const struct analysis *analysis = model->analysis;

	*ret = 0;
	if (analysis->trace->has_end)
		*ret = analysis->trace->end_events;
	else if (analysis->replay != NULL)
		*ret = replay_event_count(analysis->replay);
	else
		return false;
	return true;
}

bool report_model_dropped(const struct report_model *model, uint64_t *ret)
{
	const struct trace *trace = model->analysis->trace;
	bool known = trace->has_end;

	*ret = trace->has_end ? trace->end_dropped : 0;
	for (size_t i = 0; i < trace->limit_count; i++)
		if (trace->limits[i].limit == CASTAWAY_LIMIT_DROPPED_EVENTS) {
			known = true;
			if (trace->limits[i].count > *ret)
				*ret = trace->limits[i].count;
		}
	return known;
}

/* ---- names ---------------------------------------------------------------- */

const char *report_model_reason(const struct trace_snapshot *snapshot)
{
	if (snapshot == NULL)
		return NULL;
	switch (snapshot->reason) {
#define X(name, constant, number)        \
	case CASTAWAY_REASON_##constant: \
		return name;
		CASTAWAY_REASONS(X)
#undef X
	}
	return NULL;
}

const char *report_model_method(const struct trace_snapshot *snapshot)
{
	if (snapshot == NULL)
		return "events";
	switch (snapshot->method) {
	case CASTAWAY_METHOD_EVENTS:
		return "events";
	case CASTAWAY_METHOD_PTRACE:
		return "ptrace";
	case CASTAWAY_METHOD_SIGNAL:
		return "signal";
	case CASTAWAY_METHOD_INPLACE:
		return "inplace";
	case CASTAWAY_METHOD_ALONE:
		return "alone";
	}
	return NULL;
}

const char *report_model_status(enum castaway_runtime_status status)
{
	switch (status) {
	case CASTAWAY_STATUS_EXACT:
		return "exact";
	case CASTAWAY_STATUS_RULES:
		return "rules";
	case CASTAWAY_STATUS_OFF:
		break;
	}
	return "off";
}

const char *report_model_opcode(uint8_t opcode, char text[static 32])
{
	const struct event_description *description = event_describe(opcode);
	size_t length = 0;

	if (description == NULL)
		return "event";
	for (const char *c = description->name; *c != '\0' && length < 31; c++)
		text[length++] = (char)(*c == '_' ? '-' : tolower((unsigned char)*c));
	text[length] = '\0';
	return text;
}

const char *report_model_misuse(enum replay_misuse_kind kind)
{
	switch (kind) {
	case REPLAY_REF_UNKNOWN:
		return "ref-unknown";
	case REPLAY_UNREF_UNKNOWN:
		return "unref-unknown";
	case REPLAY_BELOW_ZERO:
		return "below-zero";
	case REPLAY_UNLINK_MISSING:
		return "unlink-missing";
	case REPLAY_LINK_UNKNOWN:
		return "link-unknown";
	case REPLAY_END_UNKNOWN:
		return "end-unknown";
	case REPLAY_DECLARED_TWICE:
		return "declared-twice";
	}
	return "unknown";
}

/* ---- limits --------------------------------------------------------------- */

bool report_model_limit(const struct report_model *model, size_t index, struct report_limit *ret)
{
	const struct trace *trace = model->analysis->trace;
	struct symbols_statistics names = {0};

	if (index < trace->limit_count) {
		const struct trace_limit *limit = &trace->limits[index];

		*ret = (struct report_limit){
			.code = trace_limit_code(limit->limit),
			.message = trace_limit_message(limit->limit),
			.detail = limit->detail != NULL && *limit->detail != '\0' ? limit->detail : NULL,
			.count = limit->count,
		};
		return true;
	}
	index -= trace->limit_count;
	if (model->analysis->symbols != NULL)
		symbols_statistics(model->analysis->symbols, &names);
	if (names.missing > 0 && index-- == 0) {
		*ret = (struct report_limit){
			"no-symbols", "modules of which no file with the right build id was found here",
			names.first_missing, names.missing};
		return true;
	}
	if (names.unverified > 0 && index == 0) {
		*ret = (struct report_limit){
			"unverified-module",
			"modules without a build id: names come from the file at their path", NULL,
			names.unverified};
		return true;
	}
	return false;
}

char *report_model_limit_text(const struct report_limit *limit)
{
	return report_place_format("%" PRIu64 " x %s%s%s", limit->count, limit->message,
				   limit->detail != NULL ? ": " : "",
				   limit->detail != NULL ? limit->detail : "");
}
