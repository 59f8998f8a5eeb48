/* SPDX-License-Identifier: Apache-2.0
 *
 * Records into the child's file or the target's buffers.  Runs where
 * cpython_snapshot.c runs.
 */
#include "cpython_out.h"

#include "../emit.h"

static const char s_no_memory[] = "cpython: no memory for a snapshot";

bool cpython_out_failed(const struct cpython_out *out)
{
	return out->failure != NULL || (out->view != NULL ? out->payload.failed : out->snapshot.failed);
}

void cpython_out_limit(struct cpython_out *out, enum castaway_limit limit, uint64_t count, const char *detail)
{
	if (out->view != NULL)
		snapshot_view_limit(out->view, limit, count, detail);
	else if (count > 0)
		limits_count(limit, count, detail);
}

void cpython_out_object(struct cpython_out *out, const struct snapshot_object *object,
			const struct snapshot_edge *edges, size_t count)
{
	struct payload *payload = &out->payload;

	if (out->view == NULL) {
		snapshot_object(&out->snapshot, object, edges, count);
	} else if (payload_room(payload, SNAPSHOT_OBJECT_BYTES(count))) {
		payload->at = snapshot_put_object(payload->at, object, edges, count, &payload->last_address);
		out->view->totals->objects++;
		out->view->totals->exact_edges += count;
	}
}

bool cpython_out_chunk(struct cpython_out *out, enum castaway_chunk_type type)
{
	if (out->view != NULL &&
	    (!payload_end(&out->payload) || !payload_begin(&out->payload, out->view->snapshot, type)))
		out->failure = s_no_memory;
	return out->failure == NULL;
}

void cpython_out_type(struct cpython_out *out, const struct snapshot_type *type)
{
	if (out->view == NULL)
		snapshot_type(&out->snapshot, type);
	else if (payload_room(&out->payload, SNAPSHOT_TYPE_BYTES))
		out->payload.at = snapshot_put_type(out->payload.at, type);
}

void cpython_out_name(struct cpython_out *out, const struct snapshot_name *name)
{
	struct payload *payload = &out->payload;

	if (out->view == NULL)
		snapshot_name(&out->snapshot, name);
	else if (payload_room(payload, SNAPSHOT_NAME_BYTES))
		payload->at = snapshot_put_name(payload->at, name, &payload->last_address);
}

void cpython_out_runtime(struct cpython_out *out, const struct snapshot_runtime *runtime)
{
	struct payload payload;

	if (out->view == NULL) {
		snapshot_runtime(&out->snapshot, runtime);
		return;
	}
	if (payload_begin(&payload, out->view->snapshot, CASTAWAY_CHUNK_RUNTIME)) {
		payload.at = snapshot_put_runtime(payload.at, runtime);
		if (payload_end(&payload))
			return;
	}
	out->failure = s_no_memory;
}
