/* SPDX-License-Identifier: Apache-2.0
 *
 * When a new trace file is begun, and when it takes the former one's place.
 * Runs in the helper.
 */
#include "rotate.h"

#include <string.h>

#include "config.h"
#include "emit.h"
#include "thread.h"
#include "writer_internal.h"

#define RETRY_NS     20000000u   /* after a moment that did not suit */
#define RETRY_MAX    100u        /* of those, then less often */
#define LONG_NS      1000000000u /* after a snapshot that failed */
#define FAILURES_MAX 5u

static struct {
	bool begun; /* the next file is being written */
	bool off;
	unsigned retries, failures;
	uint64_t after_ns;
	uint64_t floor; /* size of the present file when it had its snapshot */
} s_rotate;

/* Where what lives is as large as the bound, as much again may follow. */
bool rotate_due(uint64_t now)
{
	const uint64_t bound = g_config.max_mib << 20;

	if (bound == 0 || s_rotate.off || now < s_rotate.after_ns)
		return false;
	return s_rotate.begun || (writer_file_size() >= bound && writer_file_size() >= 2 * s_rotate.floor);
}

/* A thread between a change of a count and its event: the event would come
 * after the snapshot that the change is in, and count twice. */
static bool is_counting(void)
{
	for (struct thread *thread = thread_first(); thread != NULL; thread = thread->next)
		if (__atomic_load_n(&thread->counting, __ATOMIC_SEQ_CST) != 0)
			return true;
	return false;
}

static void give_up(void)
{
	s_rotate.off = true;
	limits_count(CASTAWAY_LIMIT_NOT_ROTATED, 1, NULL);
}

bool rotate_begin(bool stopped, uint64_t now)
{
	if (!stopped || is_counting()) {
		if (++s_rotate.retries == RETRY_MAX)
			limits_count(CASTAWAY_LIMIT_NOT_ROTATED, 1, NULL);
		s_rotate.after_ns = now + (s_rotate.retries < RETRY_MAX ? RETRY_NS : LONG_NS);
		return false;
	}
	if (!s_rotate.begun && !writer_file_begin_next()) {
		give_up();
		return false;
	}
	if (!s_rotate.begun)
		writer_pump_restart();
	s_rotate.begun = true;
	return true;
}

void rotate_end(bool written, uint64_t now)
{
	if (!s_rotate.begun)
		return;
	s_rotate.after_ns = written ? 0 : now + LONG_NS;
	if (!written) {
		if (++s_rotate.failures == FAILURES_MAX)
			give_up();
		return;
	}
	if (writer_file_finish_next())
		limits_count(CASTAWAY_LIMIT_ROTATED, 1, NULL);
	else
		give_up();
	s_rotate.begun = false;
	s_rotate.retries = s_rotate.failures = 0;
	s_rotate.floor = writer_file_size();
}

void rotate_reset(void)
{
	memset(&s_rotate, 0, sizeof(s_rotate));
}
