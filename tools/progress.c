/* SPDX-License-Identifier: Apache-2.0
 *
 * The bar is one line that is drawn over and over, at most ten times a second.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "interrupt.h"
#include "message.h"
#include "progress.h"

#define PATIENCE_NS 1000000000ull
#define REDRAW_NS   100000000ull
#define BAR_WIDTH   30

static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void progress_begin(struct progress *progress)
{
	progress->enabled = !message_quiet() && isatty(STDERR_FILENO);
	progress->shown = false;
	progress->start_ns = now_ns();
	progress->last_ns = 0;
}

bool progress_update(void *arg, const char *phase, double fraction)
{
	struct progress *progress = arg;
	uint64_t now;
	int filled;

	if (interrupt_pending())
		return false;
	if (!progress->enabled)
		return true;
	now = now_ns();
	if (now - progress->start_ns < PATIENCE_NS || now - progress->last_ns < REDRAW_NS)
		return true;
	progress->last_ns = now;
	progress->shown = true;
	fraction = fraction < 0 ? 0 : fraction > 1 ? 1 : fraction;
	filled = (int)(fraction * BAR_WIDTH);
	fprintf(stderr, "\r%-24.24s [%.*s%*s] %3d%%\033[K", phase, filled, "##############################",
		BAR_WIDTH - filled, "", (int)(fraction * 100));
	return true;
}

void progress_end(struct progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}
