/* SPDX-License-Identifier: Apache-2.0
 *
 * The event clock.  The word is renewed by the helper only; threads of the target
 * put it forward at a moment, wake it up, and end it for good.
 */
#include "clock.h"

#include <time.h>

#include "arch.h"
#include "hot.h"
#include "thread.h"
#include "writer_internal.h"

/* Steps of the event clock are finer than a block can change hands between
 * two processors, and coarse enough that most deltas take one byte. */
#define SHIFT_TSC       5u
#define SHIFT_MONOTONIC 3u

static struct {
	enum castaway_clock_source source;
	uint8_t shift;
} s_clock = {CASTAWAY_CLOCK_MONOTONIC, SHIFT_MONOTONIC};

HOT_WRITTEN uint64_t g_clock_now = CLOCK_PRECISE;
HOT uint64_t g_clock_deadline = UINT64_MAX;

void clock_init(void)
{
	if (!arch_tsc_usable())
		return;
	s_clock.shift = SHIFT_TSC;
	s_clock.source = CASTAWAY_CLOCK_TSC;
}

enum castaway_clock_source clock_source(void)
{
	return s_clock.source;
}

uint8_t clock_shift(void)
{
	return s_clock.shift;
}

uint64_t clock_ticks(void)
{
	struct timespec now;

	if (__builtin_expect(s_clock.source == CASTAWAY_CLOCK_TSC, 1))
		return arch_tsc();
	clock_gettime(CLOCK_MONOTONIC, &now); /* vdso */
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t load(void)
{
	return __atomic_load_n(&g_clock_now, __ATOMIC_RELAXED);
}

static bool replace(uint64_t *former, uint64_t now)
{
	return __atomic_compare_exchange_n(&g_clock_now, former, now, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

uint64_t clock_moment(void)
{
	const uint64_t ticks = clock_ticks(), after = ticks + (UINT64_C(2) << s_clock.shift);
	uint64_t now = load();

	/* Times are cut off to whole steps: one more, lest the next event fall before it. */
	while (now < after && !replace(&now, after))
		;
	return ticks;
}

uint64_t clock_event(uint64_t now, uint64_t *seen)
{
	uint64_t ticks;

	if (now < CLOCK_IDLE) {
		*seen = now;
		return now;
	}
	ticks = clock_ticks();
	if (now == CLOCK_IDLE && replace(&now, ticks)) {
		*seen = ticks;
		writer_helper_wake();
	}
	return ticks;
}

void clock_begin_coarse(void)
{
	const struct thread *first = thread_first();
	uint64_t now = CLOCK_PRECISE;

	if (first != NULL && first->next != NULL)
		return;
	(void)replace(&now, clock_ticks());
	/* Another may have come, and found nothing to end. */
	first = thread_first();
	if (first != NULL && first->next != NULL)
		clock_set_precise();
}

void clock_set_precise(void)
{
	__atomic_store_n(&g_clock_now, CLOCK_PRECISE, __ATOMIC_SEQ_CST);
}

bool clock_renew(bool busy)
{
	uint64_t now = load(), ticks;

	if (now >= CLOCK_IDLE)
		return false;
	ticks = busy ? clock_ticks() : CLOCK_IDLE;
	/* A moment may just have put it ahead. */
	return replace(&now, ticks > now ? ticks : now) && busy;
}
