/* SPDX-License-Identifier: Apache-2.0
 *
 * The events of the malloc family as parts of its hooks: of so little work, calls and
 * repeated questions would be the largest part.  Others take the functions of emit.h.
 */
#ifndef EMIT_INLINE_H
#define EMIT_INLINE_H

#include "clock.h"
#include "columns.h"
#include "emit.h"
#include "hot.h"
#include "varint.h"

/* Every event is written, and varints by the processor's bit deposit: what the functions
 * below call `quick`. */
extern bool g_emit_quick;

/* There may be no buffer, or time has passed: the event's opcode byte, 0: dropped. */
uint8_t emit_advance(struct thread *thread, enum castaway_event opcode, uint64_t now);
/* The buffer is full. */
void emit_give(struct thread *thread);

/* The opcode byte of an event for which thread->buffer has room now; 0: dropped. */
static inline uint8_t emit_begin(struct thread *thread, enum castaway_event opcode)
{
	const uint64_t now = __atomic_load_n(&g_clock_now, __ATOMIC_RELAXED);

	if (__builtin_expect(now == thread->seen_clock, 1))
		return (uint8_t)opcode;
	return emit_advance(thread, opcode, now);
}

/* Publishes the event that ends here. */
static inline void emit_end(struct thread *thread, struct buffer *buffer, uint8_t opcode)
{
	const uint32_t filled = buffer->filled + 1;

	*buffer->columns[CASTAWAY_COLUMN_OPCODE]++ = opcode;
	__atomic_store_n(&buffer->filled, filled, __ATOMIC_RELEASE);
	if (__builtin_expect(filled >= thread->limit, 0))
		emit_give(thread);
}

/* A value below 2^VARINT_SHORT_BITS. */
static inline __attribute__((always_inline)) void emit_put(struct buffer *buffer, enum castaway_column column,
							   uint64_t value, bool quick)
{
	uint8_t **at = &buffer->columns[column];

	*at = quick ? varint_put_deposited(*at, value) : varint_put_short(*at, value);
}

static inline __attribute__((always_inline)) void emit_put_block(struct thread *thread, struct buffer *buffer,
								 uint64_t block, bool quick)
{
	const int64_t delta = (int64_t)(block - thread->last_block);

	thread->last_block = block;
	emit_put(buffer, CASTAWAY_COLUMN_BLOCK, codec_zigzag(delta >> 3), quick);
}

static inline __attribute__((always_inline)) void emit_put_stack(struct thread *thread, struct buffer *buffer,
								 uint32_t stack, bool quick)
{
	const int64_t delta = (int64_t)stack - (int64_t)thread->last_stack;

	thread->last_stack = stack;
	emit_put(buffer, CASTAWAY_COLUMN_STACK, codec_zigzag(delta), quick);
}

static inline __attribute__((always_inline)) void emit_put_alloc(struct thread *thread, uintptr_t block,
								 uint64_t size, uint32_t stack, bool quick)
{
	const uint8_t opcode = emit_begin(thread, CASTAWAY_EVENT_ALLOC);
	struct buffer *buffer = thread->buffer;

	if (__builtin_expect(opcode == 0, 0))
		return;
	emit_put_block(thread, buffer, block, quick);
	emit_put(buffer, CASTAWAY_COLUMN_NUMBER, size < COLUMNS_NUMBER_MAX ? size : COLUMNS_NUMBER_MAX,
		 quick);
	emit_put_stack(thread, buffer, stack, quick);
	emit_end(thread, buffer, opcode);
}

static inline __attribute__((always_inline)) void emit_put_free(struct thread *thread, uintptr_t block,
								uint32_t stack, bool quick)
{
	const uint8_t opcode = emit_begin(thread, CASTAWAY_EVENT_FREE);
	struct buffer *buffer = thread->buffer;

	if (__builtin_expect(opcode == 0, 0))
		return;
	emit_put_block(thread, buffer, block, quick);
	emit_put_stack(thread, buffer, stack, quick);
	emit_end(thread, buffer, opcode);
}

/* emit_alloc() and emit_free() of a block whose address is aligned and not too large. */
static inline __attribute__((always_inline)) void emit_alloc_usual(struct thread *thread, uintptr_t block,
								   uint64_t size, uint32_t stack)
{
	if (__builtin_expect(g_emit_quick, 1))
		emit_put_alloc(thread, block, size, stack, true);
	else
		emit_alloc(thread, block, size, stack);
}

static inline __attribute__((always_inline)) void emit_free_usual(struct thread *thread, uintptr_t block,
								  uint32_t stack)
{
	if (__builtin_expect(g_emit_quick, 1))
		emit_put_free(thread, block, stack, true);
	else
		emit_free(thread, block, stack);
}

#endif
