/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the records of a CPython snapshot go: chunks of a child's, or sections of
 * the target's buffers.
 */
#ifndef CPYTHON_OUT_H
#define CPYTHON_OUT_H

#include "../snapshot_payload.h"
#include "../snapshot_scan.h"
#include "cpython.h"

struct cpython_out {
	struct snapshot_view *view; /* NULL in the target */
	struct payload payload;     /* in the child: OBJECTS, until cpython_out_chunk() */
	struct snapshot snapshot;   /* in the target */
	const char *failure;        /* static; NULL: none yet */
};

bool cpython_out_failed(const struct cpython_out *out);
void cpython_out_limit(struct cpython_out *out, enum castaway_limit limit, uint64_t count,
		       const char *detail);

void cpython_out_object(struct cpython_out *out, const struct snapshot_object *object,
			const struct snapshot_edge *edges, size_t count);
/* Records of another type follow; not for RUNTIME, which is one by itself. */
bool cpython_out_chunk(struct cpython_out *out, enum castaway_chunk_type type);
void cpython_out_type(struct cpython_out *out, const struct snapshot_type *type);
void cpython_out_name(struct cpython_out *out, const struct snapshot_name *name);
void cpython_out_runtime(struct cpython_out *out, const struct snapshot_runtime *runtime);

#endif
