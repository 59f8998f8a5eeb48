/* SPDX-License-Identifier: Apache-2.0
 *
 * Events into the calling thread's buffer.  Runs in the target's threads with
 * the guard held; it takes no lock, and its only wait is the writer's bounded
 * one for a free buffer.
 */
#include "emit.h"

#include <time.h>

#include "arch.h"
#include "castaway/codec.h"
#include "config.h"
#include "writer.h"

/* Steps of the event clock are finer than a block can change hands between
 * two processors, and coarse enough that most deltas take one byte. */
#define SHIFT_TSC       5u
#define SHIFT_MONOTONIC 3u

static struct {
	enum castaway_clock_source source;
	uint8_t shift;
} s_clock = {CASTAWAY_CLOCK_MONOTONIC, SHIFT_MONOTONIC};

uint64_t g_emit_deadline = UINT64_MAX;

#define X(name, opcode, signature, fields) [opcode] = signature,
static const char *const s_signatures[CASTAWAY_EVENT_LIMIT] = {CASTAWAY_EVENTS(X)};
#undef X

void emit_init(void)
{
	if (!arch_tsc_usable())
		return;
	s_clock.shift = SHIFT_TSC;
	s_clock.source = CASTAWAY_CLOCK_TSC;
}

enum castaway_clock_source emit_clock_source(void)
{
	return s_clock.source;
}

uint8_t emit_clock_shift(void)
{
	return s_clock.shift;
}

static inline uint64_t ticks_now(void)
{
	struct timespec now;

	if (__builtin_expect(s_clock.source == CASTAWAY_CLOCK_TSC, 1))
		return arch_tsc();
	clock_gettime(CLOCK_MONOTONIC, &now); /* vdso */
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t emit_ticks(void)
{
	return ticks_now();
}

/* Slow path: a first or a next buffer.  NULL: the event is dropped. */
static __attribute__((noinline)) struct buffer *renew(struct thread *thread, uint64_t ticks)
{
	struct buffer *buffer = writer_take(thread->number);

	if (buffer == NULL) {
		thread->dropped++;
		return NULL;
	}
	buffer->base_ticks = ticks;
	thread->last_ticks = ticks;
	thread->last_block = thread->last_object = 0;
	/* A thread on its way out hands every event over at once. */
	thread->limit = thread->finished ? 0 : buffer->capacity - CASTAWAY_EVENT_MAX_BYTES;
	__atomic_store_n(&thread->buffer, buffer, __ATOMIC_RELEASE);
	return buffer;
}

/* Room for one event, its opcode and time written; NULL: dropped. */
static inline uint8_t *begin(struct thread *thread, enum castaway_event opcode)
{
	uint64_t ticks = ticks_now();
	struct buffer *buffer;
	uint64_t delta;
	uint8_t *out;

	if (__builtin_expect(ticks >= __atomic_load_n(&g_emit_deadline, __ATOMIC_RELAXED), 0))
		writer_tick();
	buffer = thread->buffer;
	if (__builtin_expect(buffer == NULL, 0)) {
		buffer = renew(thread, ticks);
		if (buffer == NULL)
			return NULL;
	}
	/* Processors may disagree by a few ticks after a migration. */
	delta = ticks > thread->last_ticks ? (ticks - thread->last_ticks) >> s_clock.shift : 0;
	thread->last_ticks += delta << s_clock.shift;
	out = buffer->bytes + buffer->filled;
	*out++ = (uint8_t)opcode;
	return codec_put_varint(out, delta);
}

/* Publishes the event that ends here. */
static inline void end(struct thread *thread, const uint8_t *out)
{
	struct buffer *buffer = thread->buffer;
	uint32_t filled = (uint32_t)(out - buffer->bytes);

	thread->events++;
	__atomic_store_n(&buffer->filled, filled, __ATOMIC_RELEASE);
	if (__builtin_expect(filled > thread->limit, 0)) {
		thread->buffer = NULL;
		writer_give(buffer);
	}
}

static inline uint8_t *put_block(struct thread *thread, uint8_t *out, uint64_t block)
{
	int64_t delta = (int64_t)(block - thread->last_block);

	thread->last_block = block;
	return codec_put_varint_narrow(out, codec_zigzag(delta >> 3));
}

static inline bool is_aligned(uint64_t block)
{
	if (__builtin_expect((block & 7) == 0, 1))
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

void emit_alloc(struct thread *thread, uintptr_t block, uint64_t size, uint32_t stack)
{
	uint8_t *out;

	if (!is_aligned(block) || leave_out(thread))
		return;
	out = begin(thread, CASTAWAY_EVENT_ALLOC);
	if (out == NULL)
		return;
	out = put_block(thread, out, block);
	out = codec_put_varint_narrow(out, size);
	end(thread, codec_put_varint_narrow(out, stack));
}

void emit_free(struct thread *thread, uintptr_t block, uint32_t stack)
{
	uint8_t *out;

	if (!is_aligned(block) || leave_out(thread))
		return;
	out = begin(thread, CASTAWAY_EVENT_FREE);
	if (out == NULL)
		return;
	out = put_block(thread, out, block);
	end(thread, codec_put_varint_narrow(out, stack));
}

void emit_count(struct thread *thread, enum castaway_event opcode, uintptr_t object, uint32_t stack)
{
	uint8_t *out = begin(thread, opcode);

	if (out == NULL)
		return;
	out = codec_put_varint_wide(out, codec_zigzag((int64_t)(object - thread->last_object)));
	thread->last_object = object;
	end(thread, codec_put_varint_wide(out, stack));
}

void emit_event(struct thread *thread, enum castaway_event opcode, const uint64_t *values)
{
	const char *signature = s_signatures[opcode];
	uint8_t *out;

	if (signature[0] == 'b' && !is_aligned(values[0]))
		return;
	if ((signature[0] == 'b' || signature[0] == 'o') && leave_out(thread))
		return;
	out = begin(thread, opcode);
	if (out == NULL)
		return;
	for (unsigned i = 0; signature[i] != '\0'; i++) {
		switch (signature[i]) {
		case 'b':
			out = put_block(thread, out, values[i]);
			break;
		case 'o':
			out = codec_put_svarint(out, (int64_t)(values[i] - thread->last_object));
			thread->last_object = values[i];
			break;
		case 'i':
			out = codec_put_svarint(out, (int64_t)values[i]);
			break;
		default:
			out = codec_put_varint(out, values[i]);
			break;
		}
	}
	end(thread, out);
}
