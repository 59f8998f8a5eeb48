/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes buffers to the file.  Runs in the helper; without one, in whatever
 * thread of the target has just filled a buffer, under a lock that nobody ever
 * waits for without a bound (a fork child may find it taken and resets it).
 */
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "arena.h"
#include "clock.h"
#include "columns.h"
#include "rawio.h"
#include "thread.h"
#include "writer_internal.h"

#define CLOCK_INTERVAL_NS 1000000000u

static uint64_t s_last_clock;

static void write_clock(void)
{
	s_last_clock = rawio_clock(CLOCK_MONOTONIC);
	writer_tables_clock();
}

void writer_pump_start(void)
{
	writer_tables_start();
	write_clock();
}

void writer_pump_restart(void)
{
	const uint32_t slots = __atomic_load_n(&g_writer.slots, __ATOMIC_ACQUIRE);

	/* A buffer of which the former file has a part is written again from its
	 * begin, without which the rest cannot be read. */
	for (uint32_t i = 0; i < slots; i++) {
		g_writer.events -= g_writer_slots[i].flushed;
		g_writer_slots[i].flushed = 0;
	}
	for (struct thread *thread = thread_first(); thread != NULL; thread = thread->next)
		__atomic_store_n(&thread->announced, 0, __ATOMIC_RELEASE);
	writer_tables_reset();
	writer_pump_start();
}

/* What of an event buffer is not written yet. */
static void write_events(struct buffer *buffer, bool whole)
{
	const uint32_t filled = __atomic_load_n(&buffer->filled, __ATOMIC_ACQUIRE);
	uint8_t *payload = writer_file_staging();
	const uint8_t *end;

	if (filled == buffer->flushed)
		return;
	/* After `filled`: so the tables hold every id in this part. */
	writer_tables_new();
	g_writer.events += filled - buffer->flushed;
	end = columns_flush(buffer, filled, whole, payload);
	(void)writer_file_chunk(CASTAWAY_CHUNK_EVENTS, buffer->thread, payload, (size_t)(end - payload));
}

static void write_section(const struct buffer *buffer)
{
	if (buffer->filled == 0)
		return;
	writer_tables_new();
	(void)writer_file_chunk(buffer->chunk_type, buffer->thread, buffer->bytes, buffer->filled);
}

static void release(struct buffer *buffer)
{
	if (buffer->bytes != buffer->own_bytes) {
		arena_unmap(buffer->bytes, buffer->capacity);
		buffer->bytes = buffer->own_bytes;
		buffer->capacity = WRITER_BUFFER_SIZE;
	}
	/* Before it is free: the pump may look at it as soon as it is taken. */
	buffer->flushed = 0;
	__atomic_store_n(&buffer->filled, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&buffer->state, BUFFER_FREE, __ATOMIC_RELEASE);
	__atomic_sub_fetch(&g_writer.full, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&g_writer.starved, 0, __ATOMIC_RELEASE);
	__atomic_add_fetch(&g_writer.freed, 1, __ATOMIC_RELEASE);
	rawio_futex_wake(&g_writer.freed);
}

/* The full buffer that was taken first, if not after `last`. */
static struct buffer *oldest_full(uint32_t slots, uint64_t last)
{
	struct buffer *oldest = NULL;

	if (__atomic_load_n(&g_writer.full, __ATOMIC_ACQUIRE) == 0)
		return NULL;
	for (uint32_t i = 0; i < slots; i++) {
		struct buffer *buffer = &g_writer_slots[i];

		if (__atomic_load_n(&buffer->state, __ATOMIC_ACQUIRE) == BUFFER_FULL &&
		    buffer->serial <= last && (oldest == NULL || buffer->serial < oldest->serial))
			oldest = buffer;
	}
	return oldest;
}

void writer_pump_pass(bool parts)
{
	const uint32_t slots = __atomic_load_n(&g_writer.slots, __ATOMIC_ACQUIRE);
	/* Threads may fill buffers faster than they are written: the pass must end
	 * all the same, since others wait for what comes after it. */
	const uint64_t last = __atomic_load_n(&g_writer.last_serial, __ATOMIC_ACQUIRE);
	struct buffer *buffer;

	while ((buffer = oldest_full(slots, last)) != NULL) {
		if (buffer->chunk_type == CASTAWAY_CHUNK_EVENTS)
			write_events(buffer, true);
		else
			write_section(buffer);
		release(buffer);
		(void)clock_renew(true);
	}
	for (uint32_t i = 0; parts && i < slots; i++) {
		buffer = &g_writer_slots[i];
		if (__atomic_load_n(&buffer->state, __ATOMIC_ACQUIRE) == BUFFER_FILLING)
			write_events(buffer, false);
	}
	if (rawio_clock(CLOCK_MONOTONIC) - s_last_clock >= CLOCK_INTERVAL_NS)
		write_clock();
}

void writer_pump_end(enum castaway_end_reason reason)
{
	writer_tables_new();
	write_clock();
	writer_tables_end(reason);
}

static bool take_lock(void)
{
	uint32_t free = 0;

	return __atomic_compare_exchange_n(&g_writer.pump_lock, &free, 1, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

bool writer_pump_lock(void)
{
	const uint64_t deadline = rawio_clock(CLOCK_MONOTONIC) + WRITER_STALL_NS;
	bool taken;

	__atomic_add_fetch(&g_writer.pump_waiters, 1, __ATOMIC_SEQ_CST);
	while (!(taken = take_lock()) && rawio_clock(CLOCK_MONOTONIC) <= deadline)
		(void)RAW_CALL(SYS_sched_yield, 0);
	__atomic_sub_fetch(&g_writer.pump_waiters, 1, __ATOMIC_SEQ_CST);
	return taken;
}

void writer_pump_unlock(void)
{
	__atomic_store_n(&g_writer.pump_lock, 0, __ATOMIC_RELEASE);
}

bool writer_pump_try(bool parts)
{
	/* Who finds the lock taken, or somebody waiting for it, may leave: its
	 * holder looks again after it has given the lock back. */
	do {
		if (__atomic_load_n(&g_writer.pump_waiters, __ATOMIC_SEQ_CST) != 0 || !take_lock())
			return false;
		writer_pump_pass(parts);
		writer_pump_unlock();
	} while (__atomic_load_n(&g_writer.full, __ATOMIC_ACQUIRE) != 0);
	return true;
}
