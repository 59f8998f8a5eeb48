/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of a replay, for the files that make it up: replay.c (time and
 * queries), replay_apply.c (blocks and the events' meaning), replay_objects.c
 * (annotated objects), replay_links.c, replay_runtime.c (objects of runtimes
 * that count by themselves), replay_passes.c (generations),
 * replay_inherit.c (what a fork child starts with).
 */
#ifndef REPLAY_STATE_H
#define REPLAY_STATE_H

#include <stdlib.h>

#include "address_table.h"
#include "object_pages.h"
#include "replay.h"
#include "trace_internal.h"

struct object_record {
	struct replay_object object; /* its first member is the key */
	struct page_object place;
	uint32_t *buckets; /* replay_links.c; NULL for few links */
	uint32_t bucket_mask;
	bool inherited_frozen;
};

/* The last FREE of a thread, for as long as it may turn out to have been the
 * begin of a realloc that failed. */
struct last_free {
	uint64_t thread;
	struct replay_block block;
	bool valid;
	struct object_record *objects; /* that ended with it; own their links */
	size_t object_count, object_capacity;
};

struct misuse_key {
	uint64_t key;
	size_t index;
};

#define REPLAY_AHEAD 32u

struct replay {
	struct trace *trace;
	struct event_stream *stream;
	/* Events [applied, read) of the stream, in a ring. */
	struct event ahead[REPLAY_AHEAD];
	uint64_t applied, read;
	bool at_end;
	enum error_code failed; /* of the stream, behind the last event read */
	struct error failure;
	bool inherited;                     /* of a fork child, whose passes count on from its parent's */
	uint64_t begin;                     /* time of the inherited state, else 0 */
	const struct trace_snapshot *state; /* that was loaded: of a trace without events (events=live) */
	uint64_t now;

	struct address_table blocks; /* struct replay_block */
	uint64_t block_bytes;
	struct address_table objects; /* struct object_record */
	struct object_pages pages;
	struct address_table last_frees; /* struct last_free */
	struct last_free *last_free;     /* of the thread of the last FREE */
	struct replay_generations generations[CASTAWAY_DOMAIN_COUNT];
	bool passes_changed;

	/* Objects born before this event are permanent, or once were. */
	uint64_t frozen_until, thawed_until;
	bool unfrozen; /* once, in this trace */
	bool freeze_changed;

	struct replay_misuse *misuses;
	size_t misuse_count, misuse_capacity;
	struct address_table misuse_index;
	struct replay_layout *layouts;
	size_t layout_count, layout_capacity;
	struct address_table layout_index;    /* struct misuse_key, by type */
	struct address_table runtime_objects; /* replay_runtime.c */

	uint64_t unknown_frees, bad_events;

	/* Sorted views, made when asked for. */
	void **block_view, **object_view;
};

/* The next event, NULL at the end or at a failure of the stream. */
const struct event *replay_peek(struct replay *replay);

/* All of these: ERROR_NONE or ERROR_MEMORY. */

enum error_code replay_apply(struct replay *replay, const struct event *event);
enum error_code replay_add_block(struct replay *replay, const struct replay_block *block);

/* objects */
struct object_record *replay_object_record(const struct replay *replay, uint64_t address);
enum error_code replay_add_object(struct replay *replay, uint64_t address, struct object_record **ret);
void replay_end_object(struct replay *replay, struct object_record *record);
/* Ends the objects that start in the block; `parked` (may be NULL) keeps them. */
enum error_code replay_end_objects_in(struct replay *replay, const struct replay_block *block,
				      struct last_free *parked);
enum error_code replay_unpark_objects(struct replay *replay, struct last_free *parked);
void replay_drop_parked(struct last_free *parked);
enum error_code replay_object_event(struct replay *replay, const struct event *event);
enum error_code replay_misuse_add(struct replay *replay, const struct event *event,
				  enum replay_misuse_kind kind, uint64_t address, uint32_t stack,
				  uint32_t type);

/* objects of runtimes that count by themselves */
void replay_runtime_init(struct replay *replay);
enum error_code replay_runtime_event(struct replay *replay, const struct event *event);

/* links */
enum error_code links_add(struct object_record *owner, const struct replay_link *link);
bool links_remove(struct object_record *owner, uint64_t target, uint32_t field); /* the newest */
void links_keep_if(struct object_record *owner, bool (*keep)(void *arg, const struct replay_link *link),
		   void *arg);
void links_free(struct object_record *owner);

/* generations */
void passes_init(struct replay *replay);
void passes_free(struct replay *replay);
enum error_code passes_add(struct replay *replay, const struct event *event);
/* A birth or death of an annotated object. */
void passes_count_object(struct replay *replay, bool born);
void passes_start_at(struct replay_generations *g, uint64_t number);
uint32_t passes_now(const struct replay *replay, enum castaway_domain domain);
enum error_code passes_finish(struct replay *replay); /* prepares replay_generation_of */
void passes_control(struct replay *replay, const struct event *event);

enum error_code replay_inherit(struct replay *replay, struct error *error);
/* In a trace of events=live: the state becomes that of the last snapshot until `ticks`. */
enum error_code replay_load_state(struct replay *replay, uint64_t ticks, struct error *error);
void replay_clear_state(struct replay *replay); /* no blocks, no objects */

#endif
