/* SPDX-License-Identifier: Apache-2.0
 *
 * What several report formats need to know and struct analysis does not say
 * directly: names of enums, places in a stack, one cycle of a structure.
 */
#ifndef REPORT_MODEL_H
#define REPORT_MODEL_H

#include "report.h"

struct report_model {
	const struct analysis *analysis;
	const struct report_options *options;
	/* Per node of the graph, for the structure in hand: 0 = not in it,
	 * REPORT_ENTRAINED, or 1 + its index in the members. */
	uint32_t *place;
	uint32_t kinds; /* of the edges that can be part of its cycle, for graph_is() */
};
#define REPORT_ENTRAINED UINT32_MAX

enum error_code report_model_new(struct report_model *model, const struct analysis *analysis,
				 const struct report_options *options, struct error *error);
void report_model_free(struct report_model *model);

/* Takes a structure in hand, and lets it go again.  One at a time. */
void report_model_enter(struct report_model *model, const struct structure *structure);
void report_model_leave(struct report_model *model, const struct structure *structure);

/* One step of a cycle: an edge (index in graph->edge) from a node. */
struct report_step {
	uint32_t from, edge;
};

/* A shortest cycle of the structure in hand through the edge that the advice
 * names (through any edge when there is none).  *ret is malloc'ed; returns the
 * number of steps, 0 when there is no cycle of owning edges. */
size_t report_model_cycle(const struct report_model *model, const struct finding *finding,
			  struct report_step **ret);

/* Whether the edge can be part of the cycle of the structure in hand. */
bool report_model_inner(const struct report_model *model, const struct graph_edge *edge);

/* NULL where nothing is known. */
const char *report_model_type(const struct report_model *model, uint32_t node);
/* The type, "block", or what else a reader can be told. */
/* What the program itself calls an object; NULL: nothing, or not known. */
const char *report_model_own_name(const struct report_model *model, uint32_t node);
const char *report_model_name(const struct report_model *model, uint32_t node);
const char *report_model_field(const struct report_model *model, uint32_t from,
			       const struct graph_edge *edge);
bool report_model_offset(const struct graph_edge *edge, int64_t *ret);
/* Where its reference was taken; 0 = not known. */
uint32_t report_model_edge_stack(const struct report_model *model, const struct graph_edge *edge);
bool report_model_survived(const struct report_model *model, uint32_t node, uint32_t *ret);

/* Nanoseconds since the start of the trace; false when its clock is not calibrated. */
bool report_model_time(const struct report_model *model, uint64_t ticks, uint64_t *ret);
bool report_model_started(const struct report_model *model, char text[static 40]); /* RFC 3339, UTC */
bool report_model_events(const struct report_model *model, uint64_t *ret);
bool report_model_dropped(const struct report_model *model, uint64_t *ret);

const char *report_model_reason(const struct trace_snapshot *snapshot);
const char *report_model_method(const struct trace_snapshot *snapshot);
const char *report_model_status(enum castaway_runtime_status status);
const char *report_model_opcode(uint8_t opcode, char text[static 32]); /* "unref", "object-end" */
const char *report_model_misuse(enum replay_misuse_kind kind);         /* "ref-unknown" ... */

/* The types of the members, each once, at most three: "Parent, Child". */
char *report_model_label(const struct report_model *model, const struct structure *structure);

/* Something that the report could not see or say. */
struct report_limit {
	const char *code, *message, *detail; /* detail: NULL = none */
	uint64_t count;
};

/* The limit with this index: those of the trace, then those of the look-up of
 * names, so this comes after the last stack.  Returns false at the end. */
bool report_model_limit(const struct report_model *model, size_t index, struct report_limit *ret);
char *report_model_limit_text(const struct report_limit *limit); /* "3 x message: detail"; malloc'ed */

#endif
