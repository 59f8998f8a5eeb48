/* SPDX-License-Identifier: Apache-2.0
 *
 * The trace file and who writes it.  A helper process made by clone(CLONE_VM)
 * without CLONE_THREAD or CLONE_FILES shares the target's memory but not its
 * thread group, file table, signals or session: the target cannot see, signal,
 * wait for, or close the file under it; it outlives a SIGKILL of the target
 * and then still writes what the buffers hold.  Target threads never write:
 * they hand over full buffers, and wait at most WRITER_PATIENCE_MS for a free
 * one before they drop (and count) events.  Where the helper cannot be made
 * (seccomp), the threads write themselves.
 *
 * The helper runs on raw system calls, its own stack and its own TLS block: it
 * must not call into libc beyond mem* and must not touch errno.
 */
#ifndef WRITER_H
#define WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "castaway/format.h"

#define WRITER_BUFFER_SIZE (256u << 10) /* of a section */
#define WRITER_PATIENCE_MS 200

/* One unit of output.  Event buffers (columns.h) are filled by a thread and may be
 * flushed in parts (the helper writes events [flushed, filled) while the thread
 * appends); section buffers (snapshots) are written once, whole. */
struct buffer {
	uint8_t *columns[CASTAWAY_COLUMN_COUNT]; /* events: where each goes on; owner only until it is full */
	uint32_t filled; /* events, release-stored by the owner after each; a section's bytes */
	uint32_t state;
	uint64_t serial;
	uint64_t base_ticks;
	uint32_t thread;
	uint16_t chunk_type;
	uint32_t capacity; /* of a section */
	uint8_t *bytes;
	uint8_t *own_bytes; /* a section that outgrows them has others */
	uint32_t flushed;   /* writer only */
	uint32_t flushed_bytes[CASTAWAY_COLUMN_COUNT];
} __attribute__((aligned(64)));

/* Opens the file (0600, O_EXCL|O_NOFOLLOW) and starts the helper. */
bool writer_start(void);

/* A free event buffer, or NULL: drop. */
struct buffer *writer_take(uint32_t thread);
/* Hands a full (or last) buffer over. */
void writer_give(struct buffer *buffer);
/* At g_clock_deadline, between two events. */
void writer_tick(void);

/* A section under construction: payload bytes of one chunk.  Waits for memory
 * and for the helper as long as it makes progress: for snapshots, which must
 * be whole. */
struct section {
	struct buffer *buffer;
	uint16_t type;
	bool failed;
	bool direct; /* set before: to the file at once, in the snapshot's child and in the helper */
};
void section_begin(struct section *section, enum castaway_chunk_type type);
/* Room for `size` more bytes (<= 32 KiB), or NULL.  `*end` style: write at the
 * returned pointer, then section_commit with the end. */
uint8_t *section_reserve(struct section *section, size_t size);
void section_commit(struct section *section, const uint8_t *end);
/* Bytes so far: callers end a section and begin another past WRITER_BUFFER_SIZE. */
size_t section_size(const struct section *section);
void section_end(struct section *section);

/* Everything recorded so far is in the file when this returns true (bounded
 * wait: false when the helper made no progress for 10 s). */
bool writer_flush(void);

/* The last words: flush, LIMITS, END, wait for the helper to finish. */
void writer_finish(enum castaway_end_reason reason);

/* After a writer_finish() for an exec that failed: goes on in the same file. */
void writer_resume(void);

/* 0 when there is none. */
pid_t writer_helper_pid(void);

/* In a fork child: forget the parent's file and helper; inherit_begin() (or
 * the first full buffer, or writer_tick()) starts anew. */
void writer_after_fork(void);
bool writer_is_pending(void);

#endif
