/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands in the trace around the contents of a snapshot: how it was taken,
 * and how much of it there is.  Runs in the helper.
 */
#include <string.h>
#include <time.h>

#include "control.h"
#include "emit.h"
#include "rawio.h"
#include "rotate.h"
#include "snapshot.h"
#include "taker_internal.h"
#include "writer_internal.h"

#define HEADER_BYTES (REQUEST_NAME_MAX + 128u)

static void write_header(void)
{
	const struct snapshot_header header = {
		.index = g_taker.request.index,
		.reason = g_taker.request.reason,
		.method = g_taker.method,
		.ticks = g_taker.ticks,
		.pause_ns = g_taker.pause_ns,
		.name = g_taker.request.name,
	};
	uint8_t payload[HEADER_BYTES];

	(void)writer_file_chunk(CASTAWAY_CHUNK_SNAPSHOT, 0, payload,
				(size_t)(snapshot_put_header(payload, &header) - payload));
}

static void write_end(void)
{
	const struct snapshot_totals totals = {
		.index = g_taker.request.index,
		.blocks = g_taker.totals.blocks,
		.objects = g_taker.totals.objects,
		.edges = g_taker.totals.exact_edges,
		.scan_edges = g_taker.totals.edges,
		.roots = g_taker.totals.roots,
		.unscanned_bytes = g_taker.totals.unscanned_bytes,
	};
	uint8_t payload[HEADER_BYTES];

	(void)writer_file_chunk(CASTAWAY_CHUNK_SNAPSHOT_END, 0, payload,
				(size_t)(snapshot_put_end(payload, &totals) - payload));
}

static void count_limits(void)
{
	for (uint32_t i = 0; i < g_taker.totals.limits && i < SNAPSHOT_LIMITS_MAX; i++)
		limits_count(g_taker.totals.limit[i].limit, g_taker.totals.limit[i].count,
			     g_taker.totals.limit[i].detail);
}

void taker_write(bool scanned, const char *failure)
{
	if (!scanned) {
		memset(&g_taker.totals, 0, sizeof(g_taker.totals));
		limits_count(CASTAWAY_LIMIT_NO_SNAPSHOT, 1, failure);
		g_taker.method = CASTAWAY_METHOD_EVENTS;
	}
	count_limits();
	write_header();
	write_end();
	if (g_taker.request.reason == CASTAWAY_REASON_ROTATE)
		rotate_end(scanned, rawio_clock(CLOCK_MONOTONIC));
	if (g_taker.from_outside)
		control_answer(scanned ? NULL : failure);
}
