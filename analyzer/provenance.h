/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the references were taken that keep the findings alive, of runtimes that
 * count by themselves (GObject, GStreamer).  Their counts are those of the
 * memory; the recorded calls only say where they come from, and some calls are
 * not seen (those inside the runtime's own library).
 *
 * Each recorded unref is matched with the reference that it most probably gave
 * back: the one that was taken nearest to it in the call tree.  What is left is
 * outstanding, and is given to the pointers that hold the object, again by the
 * nearness of the call stacks and by the names of types and functions.  So
 * single places are likely, not proven; the numbers are exact.
 */
#ifndef PROVENANCE_H
#define PROVENANCE_H

#include "analysis.h"

/* Fills in analysis->acquired, and of findings and leaks what the calls say:
 * evidence.recorded, evidence.unseen, stranded_at where nothing else has, and
 * leak.taken.  One walk over the events when there is anything to explain. */
enum error_code provenance_run(struct analysis *analysis, struct error *error);

/* Stack node of where the reference was taken that this edge (index in
 * graph->edge) holds; 0 = not known. */
uint32_t provenance_acquired(const struct analysis *analysis, uint32_t edge);

/* When the block of each object was allocated, by snapshot records: 0 where it
 * is not known.  `node` is sorted. */
enum error_code provenance_births(struct trace *trace, struct replay *replay,
				  const struct trace_snapshot *snapshot, const struct graph *graph,
				  const uint32_t *node, size_t count, uint64_t *ret, struct error *error);

#endif
