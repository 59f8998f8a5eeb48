/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds a snapshot by its number, or before another.  Only looks at the table of snapshots.
 */
#include "moment.h"

#include "analysis.h"

bool moment_usable(const struct trace_snapshot *snapshot)
{
	return snapshot->complete && snapshot->reason != CASTAWAY_REASON_INHERIT;
}

bool moment_is_scanned(const struct trace_snapshot *snapshot)
{
	if (!snapshot->complete || snapshot->reason == CASTAWAY_REASON_INHERIT)
		return false;
	return (snapshot->blocks && !snapshot->listed) || snapshot->method == CASTAWAY_METHOD_PTRACE ||
	       snapshot->method == CASTAWAY_METHOD_SIGNAL || snapshot->method == CASTAWAY_METHOD_ALONE;
}

/* After destructors is no moment to look for leaks at: what globals held is still
 * in them, and what they let go of is gone. */
static const struct trace_snapshot *last_usable(const struct trace *trace, bool late)
{
	const struct trace_snapshot *last = NULL;

	/* Of two that belong together the first one has the higher number. */
	for (size_t i = 0; i < trace->snapshot_count; i++) {
		const struct trace_snapshot *snapshot = &trace->snapshots[i];

		if (moment_usable(snapshot) && (snapshot->reason == CASTAWAY_REASON_LATE) == late &&
		    (!last || snapshot->ticks >= last->ticks))
			last = snapshot;
	}
	return last;
}

const struct trace_snapshot *moment_before(const struct trace *trace, const struct trace_snapshot *snapshot)
{
	const struct trace_snapshot *best = NULL;

	for (size_t i = 0; i < trace->snapshot_count; i++) {
		const struct trace_snapshot *one = &trace->snapshots[i];

		if (moment_usable(one) && moment_is_scanned(one) && one->reason != CASTAWAY_REASON_LATE &&
		    one->ticks < snapshot->ticks && (!best || one->ticks > best->ticks))
			best = one;
	}
	return best;
}

enum error_code moment_find(const struct trace *trace, int index, const struct trace_snapshot **ret,
			    struct error *error)
{
	*ret = NULL;
	if (index == ANALYSIS_SNAPSHOT_LAST) {
		*ret = last_usable(trace, false);
		return ERROR_NONE;
	}
	if (index == ANALYSIS_SNAPSHOT_LATE) {
		*ret = last_usable(trace, true);
		return *ret ? ERROR_NONE
			    : error_set(error, ERROR_NOT_FOUND, "the trace has no late snapshot");
	}
	for (size_t i = 0; i < trace->snapshot_count; i++) {
		const struct trace_snapshot *snapshot = &trace->snapshots[i];

		if (snapshot->index != (uint32_t)index)
			continue;
		if (!snapshot->complete)
			return error_set(error, ERROR_NOT_FOUND, "snapshot %d was not finished", index);
		if (snapshot->reason == CASTAWAY_REASON_INHERIT)
			return error_set(error, ERROR_NOT_FOUND,
					 "snapshot %d is what fork left, not a moment to look at", index);
		*ret = snapshot;
		return ERROR_NONE;
	}
	return error_set(error, ERROR_NOT_FOUND, "the trace has no snapshot %d", index);
}
