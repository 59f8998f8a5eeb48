/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds a snapshot by its number.  Only looks at the table of snapshots.
 */
#include "moment.h"

#include "analysis.h"

bool moment_usable(const struct trace_snapshot *snapshot)
{
	return snapshot->complete && snapshot->reason != CASTAWAY_REASON_INHERIT;
}

static const struct trace_snapshot *last_usable(const struct trace *trace)
{
	for (size_t i = trace->snapshot_count; i-- > 0;) {
		if (moment_usable(&trace->snapshots[i]))
			return &trace->snapshots[i];
	}
	return NULL;
}

enum error_code moment_find(const struct trace *trace, int index, const struct trace_snapshot **ret,
			    struct error *error)
{
	*ret = NULL;
	if (index == ANALYSIS_SNAPSHOT_LAST) {
		*ret = last_usable(trace);
		return ERROR_NONE;
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
