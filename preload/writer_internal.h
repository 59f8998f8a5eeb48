/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the writer share: writer.c (target's side: buffers and
 * sections), writer_pump.c (takes buffers to the file), writer_tables.c (the
 * tables' chunks), writer_file.c (chunks into bytes into the file),
 * writer_helper.c (the helper process).  The pump runs in the helper, or under
 * a try-lock in the target's threads where there is none.
 */
#ifndef WRITER_INTERNAL_H
#define WRITER_INTERNAL_H

#include <sys/types.h>

#include "writer.h"

/* Who writes. */
enum writer_mode { WRITER_OFF, WRITER_HELPER, WRITER_INLINE, WRITER_PENDING };

/* Of a buffer: UNUSED -> FILLING or BUILDING -> FULL -> FREE -> FILLING ... */
enum buffer_state {
	BUFFER_UNUSED,
	BUFFER_FREE,
	BUFFER_FILLING,  /* events: may be written in parts */
	BUFFER_BUILDING, /* a section: not yet whole */
	BUFFER_FULL,
};

#define WRITER_SLOTS     4096u
#define WRITER_STALL_NS  10000000000u /* no progress for so long: given up */
#define WRITER_POLL_NS   100000000u
#define WRITER_INLINE_FD 1000

struct writer {
	uint32_t mode; /* enum writer_mode */

	/* Futex words, and what they tell. */
	uint32_t wake;        /* helper: look */
	uint32_t freed;       /* a buffer became free */
	uint32_t flush_asked; /* ticket numbers */
	uint32_t flush_done;
	uint32_t finish; /* enum castaway_end_reason, 0 = go on */
	uint32_t done;   /* the pump has written END */
	uint64_t progress;

	uint32_t slots; /* of g_writer_slots, ever used */
	uint32_t full, full_max;
	uint32_t starved; /* patience is exhausted until the next buffer is freed */
	uint32_t pump_lock;
	uint32_t pump_waiters; /* somebody must have the lock: others let it go */
	uint64_t last_serial;
	uint64_t events; /* written */

	pid_t target;
	uint32_t helper;     /* its pid; the kernel sets it to 0 when it has gone */
	uint64_t startstack; /* of the target, field 28 of /proc/PID/stat */
	uint64_t start_ticks, start_ns, start_realtime_ns; /* of the trace */
	uint64_t clock_ticks, clock_ns;                    /* an early point of the event clock */
};
extern struct writer g_writer;
extern struct buffer g_writer_slots[WRITER_SLOTS];

/* writer.c */
struct buffer *writer_take_section(uint16_t type); /* waits while there is progress */

/* writer_file.c */
#define WRITER_STAGING (512u << 10)
bool writer_file_open(void);   /* creates, writes the header, takes the lock */
bool writer_file_reopen(void); /* the same file again */
int writer_file_fd(void);
void writer_file_close(void); /* this process's descriptor only */
void writer_file_reset(void); /* fork child */
bool writer_file_move(void);  /* to a high descriptor number */
/* One chunk; false when the file cannot be written any more. */
bool writer_file_chunk(enum castaway_chunk_type type, uint32_t thread, const uint8_t *payload, size_t size);
/* In the snapshot's child: chunks go to this file instead.  Then in the helper:
 * takes them over, [0, end) of it. */
void writer_file_divert(int fd);
bool writer_file_adopt(int fd, uint64_t end);
/* The next file, beside this one, to which chunks go from now on; and then in
 * the place of this one, which is gone. */
uint64_t writer_file_size(void);
bool writer_file_begin_next(void);
bool writer_file_finish_next(void);
uint8_t *writer_file_staging(void); /* WRITER_STAGING bytes to build a payload in */

/* writer_compress.c */
bool writer_compress_init(void); /* false without memory */
size_t writer_compress_bound(size_t size);
/* Bytes stored; 0 when the chunk is to be written as it is. */
size_t writer_compress(enum castaway_chunk_type type, uint8_t *packed, size_t room, const uint8_t *payload,
		       size_t size);

/* writer_tables.c */
void writer_tables_start(void); /* PROCESS */
void writer_tables_clock(void);
void writer_tables_new(void); /* what strings, modules, threads and stacks gained */
void writer_tables_end(enum castaway_end_reason reason);
void writer_tables_reset(void);

/* writer_pump.c */
void writer_pump_start(void);
void writer_pump_restart(void); /* in a new file all is written again that is in memory */
void writer_pump_pass(bool parts);
void writer_pump_end(enum castaway_end_reason reason);
/* Inline mode: a pass by whoever gets the lock; false when another has it. */
bool writer_pump_try(bool parts);
bool writer_pump_lock(void); /* bounded wait */
void writer_pump_unlock(void);

/* writer_helper.c */
bool writer_helper_start(bool resumed);
bool writer_helper_alive(void);
void writer_helper_wake(void);
void writer_helper_reap(pid_t helper);

#endif
