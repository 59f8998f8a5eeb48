/* SPDX-License-Identifier: Apache-2.0
 *
 * One trace in memory at a time.
 */
#include "session.h"
#include "cmd.h"
#include "interrupt.h"
#include "message.h"
#include "moment.h"
#include "options.h"
#include "progress.h"

int session_fail(const char *path, const struct error *error)
{
	if (interrupt_pending())
		return EXIT_STATUS_SIGNAL + interrupt_pending();
	return message_error(path, error);
}

struct trace *session_open(const char *path)
{
	struct error error = {0};
	struct trace *trace;

	interrupt_catch();
	if (trace_open_file(path, &trace, &error) == ERROR_NONE)
		return trace;
	session_fail(path, &error);
	return NULL;
}

double session_fraction(const struct trace *trace, uint64_t event)
{
	return trace->has_end && trace->end_events ? (double)event / (double)trace->end_events : 0;
}

int session_events(struct trace *trace, bool quiet, session_see see, void *arg)
{
	struct event_stream *stream;
	struct progress progress;
	struct error error = {0};
	struct event event;
	int more;

	if (event_stream_open(trace, &stream, &error) != ERROR_NONE)
		return session_fail(trace->path, &error);
	progress_begin(&progress);
	progress.enabled = progress.enabled && !quiet;
	while ((more = event_stream_next(stream, &event, &error)) > 0 && !interrupt_pending()) {
		if (event.index % PROGRESS_EVENTS == 0)
			progress_update(&progress, "events", session_fraction(trace, event.index));
		if (!see(&event, arg))
			break;
	}
	progress_end(&progress);
	event_stream_free(stream);
	if (interrupt_pending())
		return EXIT_STATUS_SIGNAL + interrupt_pending();
	return more < 0 ? session_fail(trace->path, &error) : EXIT_STATUS_OK;
}

void session_warn_partial(const struct trace *trace)
{
	bool said = trace->complete;

	for (size_t i = 0; i < trace->limit_count; i++) {
		switch (trace->limits[i].limit) {
		case CASTAWAY_LIMIT_DAMAGED:
		case CASTAWAY_LIMIT_TRUNCATED:
		case CASTAWAY_LIMIT_INCOMPLETE:
		case CASTAWAY_LIMIT_MISSING_CHUNKS:
			message("%s: warning: %s", trace->path, trace_limit_message(trace->limits[i].limit));
			said = true;
			break;
		default:
			break;
		}
	}
	if (!said)
		message("%s: warning: %s", trace->path, trace_limit_message(CASTAWAY_LIMIT_INCOMPLETE));
}

static int visit_moment(struct trace *trace, int snapshot, session_visit visit, void *arg)
{
	struct analysis_options options = g_options.analysis;
	struct progress progress;
	struct error error = {0};
	struct analysis *analysis;
	enum error_code code;
	int status;

	progress_begin(&progress);
	options.snapshot = snapshot;
	options.progress = progress_update;
	options.progress_arg = &progress;
	code = analysis_run(trace, &options, &analysis, &error);
	progress_end(&progress);
	if (code != ERROR_NONE)
		return session_fail(trace->path, &error);
	status = visit(analysis, arg);
	analysis_free(analysis);
	return status;
}

int session_run(const char *path, session_visit visit, void *arg)
{
	struct trace *trace = session_open(path);
	size_t visited = 0;
	int status = EXIT_STATUS_OK;

	if (!trace)
		return interrupt_pending() ? EXIT_STATUS_SIGNAL + interrupt_pending() : EXIT_STATUS_ERROR;
	if (g_options.all_snapshots) {
		for (size_t i = 0; i < trace->snapshot_count && !status; i++) {
			if (!moment_usable(&trace->snapshots[i]) ||
			    (g_options.analysis.confirm && !moment_before(trace, &trace->snapshots[i])))
				continue;
			status = visit_moment(trace, (int)trace->snapshots[i].index, visit, arg);
			visited++;
		}
	}
	if (!visited)
		status = visit_moment(trace, g_options.analysis.snapshot, visit, arg);
	trace_free(trace);
	return status;
}
