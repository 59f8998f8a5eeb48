/* SPDX-License-Identifier: Apache-2.0
 *
 * From a trace file to its analysis, as the shared options ask for it: opens,
 * runs, shows progress, prints errors.
 */
#ifndef SESSION_H
#define SESSION_H

#include "analysis.h"
#include "event.h"

/* Sees one analysis; returns an exit status, 0 to go on. */
typedef int (*session_visit)(struct analysis *analysis, void *arg);

/* Calls `visit` for the moment asked for, or for each with --snapshot=all.
 * Returns the exit status: the first that is not 0, or the error's. */
int session_run(const char *path, session_visit visit, void *arg);

/* Opens a trace or prints why not; NULL = failed. */
struct trace *session_open(const char *path);

/* Sees one event; false = that was the last one wanted. */
typedef bool (*session_see)(const struct event *event, void *arg);

/* Shows the events of a trace in the order of time.  `quiet`: without progress.
 * Returns an exit status. */
int session_events(struct trace *trace, bool quiet, session_see see, void *arg);

/* How far an event is into the trace, for progress; 0 when nobody counted. */
double session_fraction(const struct trace *trace, uint64_t event);

/* Says on stderr what a damaged or unfinished trace lacks: for output that has
 * no place for it.  After the events were read, as damage may show only then. */
void session_warn_partial(const struct trace *trace);

/* Prints an error of the analyzer and returns the exit status for it. */
int session_fail(const char *path, const struct error *error);

#endif
