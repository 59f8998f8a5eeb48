/* SPDX-License-Identifier: Apache-2.0
 *
 * Events into the calling thread's buffer.  Runs in the target's threads with
 * the guard held; it takes no lock, and its only wait is the writer's bounded
 * one for a free buffer.
 */
#include "emit_inline.h"

#include "config.h"

HOT bool g_emit_quick;

void emit_init(void)
{
	g_emit_quick = g_arch_deposits && !g_config.events_live;
}

/* A first or a next buffer.  NULL: the event is dropped. */
static struct buffer *renew(struct thread *thread, uint64_t ticks)
{
	struct buffer *buffer = writer_take(thread->number);

	if (buffer == NULL) {
		thread->dropped++;
		return NULL;
	}
	buffer->base_ticks = ticks;
	thread->last_ticks = ticks;
	thread->last_block = thread->last_object = 0;
	thread->last_stack = 0;
	/* A thread on its way out hands every event over at once. */
	thread->limit = thread->finished ? 0 : COLUMNS_EVENTS;
	__atomic_store_n(&thread->buffer, buffer, __ATOMIC_RELEASE);
	return buffer;
}

__attribute__((noinline)) void emit_give(struct thread *thread)
{
	struct buffer *buffer = thread->buffer;

	thread_drop_buffer(thread);
	writer_give(buffer);
}

/* There may be no buffer, or time has passed.  0: dropped; else the opcode byte. */
__attribute__((noinline)) uint8_t emit_advance(struct thread *thread, enum castaway_event opcode,
					       uint64_t now)
{
	uint64_t seen = CLOCK_UNSEEN, ticks = clock_event(now, &seen), delta;
	struct buffer *buffer;
	uint8_t **time;

	if (__builtin_expect(ticks >= __atomic_load_n(&g_clock_deadline, __ATOMIC_RELAXED), 0))
		writer_tick();
	if (thread->buffer != NULL && !columns_have_time(thread->buffer))
		emit_give(thread);
	if (thread->buffer == NULL && renew(thread, ticks) == NULL)
		return 0;
	buffer = thread->buffer;
	thread->seen_clock = seen;
	/* Processors may disagree by a few ticks after a migration. */
	delta = ticks > thread->last_ticks ? (ticks - thread->last_ticks) >> clock_shift() : 0;
	if (delta == 0)
		return (uint8_t)opcode;
	thread->last_ticks += delta << clock_shift();
	time = &buffer->columns[CASTAWAY_COLUMN_TIME];
	*time = codec_put_varint(*time, delta);
	return (uint8_t)opcode | CASTAWAY_EVENT_TIMED;
}

static inline bool is_aligned(uint64_t block)
{
	if (__builtin_expect((block & (7 | ~COLUMNS_ADDRESS_MAX)) == 0, 1))
		return true;
	limits_count(CASTAWAY_LIMIT_UNALIGNED, 1, NULL);
	return false;
}

/* Whether snapshots tell what the event would. */
static inline bool leave_out(struct thread *thread)
{
	if (__builtin_expect(!g_config.events_live, 1))
		return false;
	thread->left_out++;
	return true;
}

HOT_CODE void emit_alloc(struct thread *thread, uintptr_t block, uint64_t size, uint32_t stack)
{
	if (is_aligned(block) && !leave_out(thread))
		emit_put_alloc(thread, block, size, stack, false);
}

HOT_CODE void emit_free(struct thread *thread, uintptr_t block, uint32_t stack)
{
	if (is_aligned(block) && !leave_out(thread))
		emit_put_free(thread, block, stack, false);
}

HOT_CODE void emit_count(struct thread *thread, enum castaway_event opcode, uintptr_t object, uint32_t stack)
{
	struct buffer *buffer;
	uint8_t byte, **at;

	if (__builtin_expect(object > COLUMNS_ADDRESS_MAX, 0)) {
		emit_event(thread, opcode, (const uint64_t[]){object, stack});
		return;
	}
	byte = emit_begin(thread, opcode);
	if (byte == 0)
		return;
	buffer = thread->buffer;
	at = &buffer->columns[CASTAWAY_COLUMN_OBJECT];
	*at = varint_put(*at, codec_zigzag((int64_t)(object - thread->last_object)));
	thread->last_object = object;
	emit_put_stack(thread, buffer, stack, false);
	emit_end(thread, buffer, byte);
}

static void put_field(struct thread *thread, struct buffer *buffer, char letter, uint64_t value)
{
	uint8_t **at = &buffer->columns[castaway_column_of(letter)];

	switch (letter) {
	case 'b':
		emit_put_block(thread, buffer, value, false);
		break;
	case 'o':
		*at = codec_put_svarint(*at, (int64_t)(value - thread->last_object));
		thread->last_object = value;
		break;
	case 's':
		emit_put_stack(thread, buffer, (uint32_t)value, false);
		break;
	case 'i':
		*at = codec_put_svarint(*at, (int64_t)value);
		break;
	default:
		*at = codec_put_varint(*at, value);
		break;
	}
}

void emit_event(struct thread *thread, enum castaway_event opcode, const uint64_t *values)
{
	const char *signature = g_columns_signatures[opcode];
	uint8_t byte;

	if (signature[0] == 'b' && !is_aligned(values[0]))
		return;
	if ((signature[0] == 'b' || signature[0] == 'o') && leave_out(thread))
		return;
	/* Values of any size may follow. */
	if (thread->buffer != NULL && !columns_have_room(thread->buffer))
		emit_give(thread);
	byte = emit_begin(thread, opcode);
	if (byte == 0)
		return;
	for (unsigned i = 0; signature[i] != '\0'; i++)
		put_field(thread, thread->buffer, signature[i], values[i]);
	emit_end(thread, thread->buffer, byte);
}
