/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of a trace's snapshots is looked at.
 */
#ifndef MOMENT_H
#define MOMENT_H

#include "trace.h"

/* `index`: of a snapshot, or ANALYSIS_SNAPSHOT_LAST.  *ret is NULL when the
 * last one is asked for and there is none: then the end of the events is all
 * there is. */
enum error_code moment_find(const struct trace *trace, int index, const struct trace_snapshot **ret,
			    struct error *error);

/* The usable one before, with a scan, that can confirm what is found in this
 * one; NULL when there is none. */
const struct trace_snapshot *moment_before(const struct trace *trace, const struct trace_snapshot *snapshot);

/* A program may have no block at all when its memory is looked at. */
bool moment_is_scanned(const struct trace_snapshot *snapshot);

/* Not a fork child's starting state, and not what was cut off. */
bool moment_usable(const struct trace_snapshot *snapshot);

#endif
