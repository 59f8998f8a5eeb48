/* SPDX-License-Identifier: Apache-2.0
 *
 * The merged event stream of a trace: all threads, in the order of time.
 */
#ifndef EVENT_H
#define EVENT_H

#include "trace.h"

struct event {
	uint64_t index; /* position in the merged stream, from 0 */
	uint64_t ticks;
	uint32_t thread;
	uint8_t opcode; /* enum castaway_event */
	uint8_t field_count;
	uint64_t field[CASTAWAY_EVENT_MAX_FIELDS]; /* in signature order; `i` fields as two's complement */
};

/* Static description of an opcode, from CASTAWAY_EVENTS; NULL for unknown ones. */
struct event_description {
	const char *name;      /* "ALLOC" */
	const char *signature; /* "bns" */
	const char *fields;    /* "block,size,stack" */
};
const struct event_description *event_describe(uint8_t opcode);

struct event_stream;

enum error_code event_stream_open(struct trace *trace, struct event_stream **ret, struct error *error);

/* Returns 1 and fills `event`, 0 at the end, negative enum error_code on
 * failure.  Damaged parts are skipped and counted in the trace's limits. */
int event_stream_next(struct event_stream *stream, struct event *event, struct error *error);

void event_stream_free(struct event_stream *stream);

#endif
