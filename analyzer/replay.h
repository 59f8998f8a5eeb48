/* SPDX-License-Identifier: Apache-2.0
 *
 * Events to state: which blocks live, which annotated objects with which
 * counts and links, how far each domain's generations have come.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include "event.h"

struct replay_block {
	uint64_t address, size;
	uint64_t birth_ticks;
	uint32_t stack, birth_pass, thread;
	uint8_t runtime;
};

struct replay_link {
	uint64_t target; /* address */
	uint32_t field, stack;
	uint64_t event; /* index of the LINK event; 0 for inherited ones */
	bool weak;
	uint32_t next, previous; /* replay_links.c's own */
};

struct replay_object {
	uint64_t address, size;
	int64_t count;
	uint32_t type, stack, birth_pass, thread;
	uint64_t birth_event, birth_ticks;
	bool frozen;
	bool inherited;            /* from a state that the trace holds, not from events */
	bool oldest;               /* was frozen once: in generation 2, whatever its birth pass says */
	struct replay_link *links; /* in no particular order */
	uint32_t link_count, link_capacity;
};

enum replay_misuse_kind {
	REPLAY_REF_UNKNOWN, /* ref of an object that was never declared or has ended */
	REPLAY_UNREF_UNKNOWN,
	REPLAY_BELOW_ZERO,
	REPLAY_UNLINK_MISSING,
	REPLAY_LINK_UNKNOWN, /* link from or to an unknown object */
	REPLAY_END_UNKNOWN,
	REPLAY_DECLARED_TWICE,
};

struct replay_misuse {
	enum replay_misuse_kind kind;
	uint64_t address, event, ticks, count; /* count: same kind, same stack */
	uint32_t stack, thread, type;
};
const char *replay_misuse_text(enum replay_misuse_kind kind);

struct replay_pass {
	uint8_t generation;
	uint64_t examined, promoted, ticks; /* all 0: a pass that was not recorded */
};

/* castaway_layout: where objects of a type keep their count. */
struct replay_layout {
	uint32_t type; /* string id */
	uint32_t count_offset, count_width;
	int64_t count_bias;
};

struct replay_generations {
	struct replay_pass *passes;
	size_t count;
	uint64_t first; /* number of passes[0]: a fork child counts on from its parent */
	uint64_t threshold[3];
	/* Objects: births less deaths since the last pass, and younger passes since
	 * one of the older generations.  Below 0 while a birth is yet to come. */
	int64_t counter[3];
	bool enabled;
	/* For replay_generation_of: which passes reached beyond generation 0, and
	 * how many before each were full ones. */
	uint32_t *old_passes;
	size_t old_count;
	uint32_t *full_before; /* count + 1 */
	size_t capacity, old_capacity, full_capacity;
};

struct replay;

enum error_code replay_new(struct trace *trace, struct replay **ret, struct error *error);

/* Applies all events with ticks <= `ticks` (UINT64_MAX: all).  May be called
 * again with a later time. */
enum error_code replay_run(struct replay *replay, uint64_t ticks, struct error *error);

void replay_free(struct replay *replay); /* NULL is fine */

/* State at the moment.  Pointers stay valid until the next replay_run. */
const struct replay_block *replay_find_block(const struct replay *replay,
					     uint64_t address); /* start address */
/* Time of the state that a fork child's trace begins with, else 0: what earlier
 * events did is in it. */
uint64_t replay_begin(const struct replay *replay);

const struct replay_object *replay_find_object(const struct replay *replay, uint64_t address);
/* The object that `link` points to, or NULL when that one has ended: links that
 * point at an ended object stay with their owner, and must not count for
 * another object that was born at the same address. */
const struct replay_object *replay_link_target(const struct replay *replay, const struct replay_link *link);
size_t replay_block_count(const struct replay *replay);
uint64_t replay_block_bytes(const struct replay *replay);

/* Sorted by address; NULL with *count 0 when there are none.  The arrays
 * belong to the replay. */
const struct replay_block *const *replay_blocks(struct replay *replay, size_t *count, struct error *error);
const struct replay_object *const *replay_objects(struct replay *replay, size_t *count, struct error *error);
const struct replay_misuse *replay_misuses(const struct replay *replay, size_t *count);
const struct replay_generations *replay_generations(const struct replay *replay, enum castaway_domain domain);
/* One per type, in no particular order. */
const struct replay_layout *replay_layouts(const struct replay *replay, size_t *count);
uint64_t replay_event_count(const struct replay *replay);
uint64_t replay_now(const struct replay *replay); /* ticks of the last event applied */

/* Generation (0..2) of something born at `birth_pass`, and (may be NULL) how
 * many passes examined it since, and it outlived. */
unsigned replay_generation_of(const struct replay_generations *g, uint32_t birth_pass, uint32_t *survived);

#endif
