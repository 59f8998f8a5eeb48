/* SPDX-License-Identifier: Apache-2.0
 *
 * The target's side of the writer: event buffers handed out and taken back,
 * flush and finish.  Runs in the target's threads with the guard held; no lock,
 * all waits are futex waits with a bound.
 */
#include "writer.h"

#include <time.h>

#include "arena.h"
#include "clock.h"
#include "collect.h"
#include "columns.h"
#include "config.h"
#include "emit.h"
#include "inherit.h"
#include "limits.h"
#include "rawio.h"
#include "request.h"
#include "strings.h"
#include "taker.h"
#include "writer_internal.h"

struct writer g_writer;
struct buffer g_writer_slots[WRITER_SLOTS];

#define BUFFERS_PER_MIB ((1u << 20) / WRITER_BUFFER_SIZE)
/* The helper looks by itself often enough (helper_sleep()); to wake it costs as much as
 * some hundred events, and is for when it must not be late. */
#define FULL_WAKE 4u
/* A fork child that is to execute something has mostly done so by then. */
#define PENDING_MS 50u

static uint64_t now_ns(void)
{
	return rawio_clock(CLOCK_MONOTONIC);
}

/* Event time after which somebody should look after the writer.  The clock's
 * rate is measured since the start; early on that is rough, and good enough. */
static void set_deadline(uint64_t ms)
{
	uint64_t ticks = clock_ticks();
	uint64_t ns = now_ns() - g_writer.clock_ns;
	uint64_t per_us = ns >= 1000 ? (ticks - g_writer.clock_ticks) / (ns / 1000) : 1000;

	__atomic_store_n(&g_clock_deadline, ticks + per_us * ms * 1000, __ATOMIC_RELAXED);
}

static void set_mode(enum writer_mode mode)
{
	__atomic_store_n(&g_writer.mode, mode, __ATOMIC_RELEASE);
	if (mode == WRITER_HELPER)
		clock_begin_coarse();
	else
		clock_set_precise();
	if (mode == WRITER_HELPER || mode == WRITER_OFF)
		__atomic_store_n(&g_clock_deadline, UINT64_MAX, __ATOMIC_RELAXED);
	else if (mode == WRITER_PENDING && g_config.flush_ms > PENDING_MS)
		set_deadline(PENDING_MS);
	else
		set_deadline(g_config.flush_ms);
}

static enum writer_mode mode(void)
{
	return __atomic_load_n(&g_writer.mode, __ATOMIC_ACQUIRE);
}

static bool begin_writing(bool resumed)
{
	if (writer_helper_start(resumed)) {
		writer_file_close();
		set_mode(WRITER_HELPER);
		return true;
	}
	limits_set(CASTAWAY_LIMIT_NO_HELPER, 1);
	(void)writer_file_move();
	if (!resumed)
		writer_pump_start();
	set_mode(WRITER_INLINE);
	return true;
}

/* No event of the trace is earlier. */
static void mark_start(void)
{
	g_writer.start_ticks = clock_ticks();
	g_writer.start_ns = now_ns();
	g_writer.start_realtime_ns = rawio_clock(CLOCK_REALTIME);
}

bool writer_start(void)
{
	uint64_t most =
		g_config.buffer_mib < WRITER_SLOTS ? g_config.buffer_mib * BUFFERS_PER_MIB : WRITER_SLOTS;

	/* Half of the slots are for buffers that threads are filling. */
	g_writer.full_max = (uint32_t)(most < 2 ? 2 : most > WRITER_SLOTS / 2 ? WRITER_SLOTS / 2 : most);
	if (mode() != WRITER_PENDING) {
		mark_start();
		g_writer.clock_ticks = g_writer.start_ticks;
		g_writer.clock_ns = g_writer.start_ns;
	}
	if (!writer_file_open()) {
		set_mode(WRITER_OFF);
		return false;
	}
	return begin_writing(false);
}

void writer_resume(void)
{
	if (!writer_file_reopen()) {
		__atomic_store_n(&g_tracing, false, __ATOMIC_RELEASE);
		return;
	}
	(void)begin_writing(true);
}

static struct buffer *take_free(void)
{
	const uint32_t slots = __atomic_load_n(&g_writer.slots, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < slots; i++) {
		uint32_t state = BUFFER_FREE;

		if (__atomic_load_n(&g_writer_slots[i].state, __ATOMIC_RELAXED) == BUFFER_FREE &&
		    __atomic_compare_exchange_n(&g_writer_slots[i].state, &state, BUFFER_BUILDING, false,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return &g_writer_slots[i];
	}
	return NULL;
}

static struct buffer *make_new(void)
{
	uint32_t slot = __atomic_load_n(&g_writer.slots, __ATOMIC_RELAXED);
	struct buffer *buffer;

	do {
		if (slot >= WRITER_SLOTS ||
		    __atomic_load_n(&g_writer.full, __ATOMIC_RELAXED) >= g_writer.full_max)
			return NULL;
	} while (!__atomic_compare_exchange_n(&g_writer.slots, &slot, slot + 1, true, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
	buffer = &g_writer_slots[slot];
	buffer->own_bytes = buffer->bytes = arena_map(COLUMNS_SIZE);
	if (buffer->bytes == NULL) {
		limits_count(CASTAWAY_LIMIT_MEMORY, 1, NULL);
		return NULL;
	}
	buffer->capacity = WRITER_BUFFER_SIZE;
	buffer->state = BUFFER_BUILDING;
	return buffer;
}

static struct buffer *take_now(void)
{
	struct buffer *buffer = take_free();

	return buffer != NULL ? buffer : make_new();
}

/* Sleeps until a buffer was freed or `patience` is over. */
static void wait_freed(uint32_t freed, uint64_t patience)
{
	if (mode() == WRITER_INLINE)
		(void)writer_pump_try(false);
	else
		writer_helper_wake();
	(void)rawio_futex_wait(&g_writer.freed, freed, patience);
}

/* A helper that was killed cannot be replaced: its file is open nowhere else. */
static bool writer_is_alive(void)
{
	if (mode() != WRITER_HELPER || writer_helper_alive())
		return mode() != WRITER_OFF;
	__atomic_store_n(&g_tracing, false, __ATOMIC_RELEASE);
	set_mode(WRITER_OFF);
	return false;
}

static struct buffer *take_patiently(void)
{
	const uint64_t deadline = now_ns() + WRITER_PATIENCE_MS * 1000000u;

	if (__atomic_load_n(&g_writer.starved, __ATOMIC_ACQUIRE))
		return NULL;
	for (;;) {
		uint32_t freed = __atomic_load_n(&g_writer.freed, __ATOMIC_ACQUIRE);
		struct buffer *buffer = take_now();
		uint64_t now = now_ns();

		if (buffer != NULL)
			return buffer;
		if (now >= deadline)
			break;
		wait_freed(freed, deadline - now);
	}
	__atomic_store_n(&g_writer.starved, 1, __ATOMIC_RELEASE);
	(void)writer_is_alive();
	return NULL;
}

static void set_up(struct buffer *buffer, uint16_t type, uint32_t thread)
{
	buffer->serial = __atomic_add_fetch(&g_writer.last_serial, 1, __ATOMIC_RELAXED);
	buffer->chunk_type = type;
	buffer->thread = thread;
}

struct buffer *writer_take(uint32_t thread)
{
	struct buffer *buffer;

	inherit_check_copy();
	if (mode() == WRITER_OFF)
		return NULL;
	buffer = take_now();
	if (buffer == NULL)
		buffer = take_patiently();
	if (buffer == NULL)
		return NULL;
	set_up(buffer, CASTAWAY_CHUNK_EVENTS, thread);
	columns_begin(buffer);
	__atomic_store_n(&buffer->state, BUFFER_FILLING, __ATOMIC_RELEASE);
	return buffer;
}

struct buffer *writer_take_section(uint16_t type)
{
	uint64_t progress = __atomic_load_n(&g_writer.progress, __ATOMIC_RELAXED);
	uint64_t deadline = now_ns() + WRITER_STALL_NS;

	while (writer_is_alive() && now_ns() < deadline) {
		uint32_t freed = __atomic_load_n(&g_writer.freed, __ATOMIC_ACQUIRE);
		struct buffer *buffer = take_now();

		if (buffer != NULL) {
			set_up(buffer, type, 0);
			return buffer;
		}
		wait_freed(freed, WRITER_POLL_NS);
		if (progress != __atomic_load_n(&g_writer.progress, __ATOMIC_RELAXED)) {
			progress = __atomic_load_n(&g_writer.progress, __ATOMIC_RELAXED);
			deadline = now_ns() + WRITER_STALL_NS;
		}
	}
	return NULL;
}

static bool is_worth_waking(uint32_t full)
{
	return full >= FULL_WAKE || full >= g_writer.full_max / 2;
}

void writer_give(struct buffer *buffer)
{
	const uint32_t full = __atomic_add_fetch(&g_writer.full, 1, __ATOMIC_ACQ_REL);

	__atomic_store_n(&buffer->state, BUFFER_FULL, __ATOMIC_RELEASE);
	switch (mode()) {
	case WRITER_HELPER:
		if (is_worth_waking(full))
			writer_helper_wake();
		break;
	case WRITER_INLINE:
		(void)writer_pump_try(false);
		break;
	case WRITER_PENDING:
		inherit_begin();
		break;
	case WRITER_OFF:
		break;
	}
}

void writer_tick(void)
{
	if (mode() == WRITER_PENDING) {
		inherit_begin();
	} else if (mode() == WRITER_INLINE) {
		set_deadline(g_config.flush_ms);
		(void)writer_pump_try(true);
	} else if (mode() == WRITER_HELPER) {
		request_attend();
	}
}

/* Waits until *word is no longer `before` (a ticket or a flag), for as long as
 * the helper gets on. */
static bool wait_helper(const uint32_t *word, uint32_t wanted)
{
	uint64_t progress = __atomic_load_n(&g_writer.progress, __ATOMIC_RELAXED);
	uint64_t deadline = now_ns() + WRITER_STALL_NS;
	uint32_t value;

	while ((int32_t)((value = __atomic_load_n(word, __ATOMIC_ACQUIRE)) - wanted) < 0) {
		if (rawio_futex_wait(word, value, WRITER_POLL_NS) == 0)
			continue;
		if (progress != __atomic_load_n(&g_writer.progress, __ATOMIC_RELAXED)) {
			progress = __atomic_load_n(&g_writer.progress, __ATOMIC_RELAXED);
			deadline = now_ns() + WRITER_STALL_NS;
		} else if (now_ns() > deadline) {
			return false;
		}
		/* Its last act may have been what is waited for. */
		if (!writer_helper_alive())
			return (int32_t)(__atomic_load_n(word, __ATOMIC_ACQUIRE) - wanted) >= 0;
	}
	return true;
}

bool writer_flush(void)
{
	uint32_t ticket;

	if (mode() == WRITER_PENDING)
		inherit_begin();
	if (mode() == WRITER_INLINE) {
		if (!writer_pump_lock())
			return false;
		writer_pump_pass(true);
		writer_pump_unlock();
		return true;
	}
	if (mode() != WRITER_HELPER)
		return false;
	ticket = __atomic_add_fetch(&g_writer.flush_asked, 1, __ATOMIC_ACQ_REL);
	writer_helper_wake();
	return wait_helper(&g_writer.flush_done, ticket);
}

void writer_finish(enum castaway_end_reason reason)
{
	const pid_t helper = writer_helper_pid();
	uint32_t none = 0;

	if (mode() == WRITER_INLINE && writer_pump_lock()) {
		writer_pump_pass(true);
		writer_pump_end(reason);
		writer_file_close();
		set_mode(WRITER_OFF);
		writer_pump_unlock();
		return;
	}
	if (mode() != WRITER_HELPER || !__atomic_compare_exchange_n(&g_writer.finish, &none, reason, false,
								    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return;
	writer_helper_wake();
	if (wait_helper(&g_writer.done, 1))
		writer_helper_reap(helper);
	set_mode(WRITER_OFF);
}

bool writer_is_pending(void)
{
	return mode() == WRITER_PENDING;
}

static void discard_all(void)
{
	const uint32_t slots = __atomic_load_n(&g_writer.slots, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < slots; i++) {
		struct buffer *buffer = &g_writer_slots[i];

		if (buffer->own_bytes == NULL)
			continue;
		buffer->bytes = buffer->own_bytes;
		buffer->capacity = WRITER_BUFFER_SIZE;
		buffer->filled = buffer->flushed = 0;
		buffer->state = BUFFER_FREE;
	}
	g_writer.full = 0;
	g_writer.starved = 0;
}

void writer_after_fork(void)
{
	discard_all();
	writer_file_reset();
	writer_tables_reset();
	request_after_fork();
	taker_reset();
	collect_after_fork();
	g_writer.helper = 0;
	g_writer.pump_lock = 0;
	g_writer.pump_waiters = 0;
	g_writer.flush_asked = g_writer.flush_done = 0;
	g_writer.finish = g_writer.done = 0;
	g_writer.events = 0;
	mark_start();
	set_mode(WRITER_PENDING);
}
