/* SPDX-License-Identifier: Apache-2.0
 *
 * The handler only stores the number: async-signal-safe.
 */
#include <signal.h>
#include <stddef.h>

#include "interrupt.h"

static volatile sig_atomic_t g_signal;

static void remember(int number)
{
	g_signal = number;
}

void interrupt_catch(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction old;
	struct sigaction action = {.sa_handler = remember, .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		/* What was ignored (nohup) stays ignored. */
		if (!sigaction(numbers[i], NULL, &old) && old.sa_handler == SIG_DFL)
			sigaction(numbers[i], &action, NULL);
}

int interrupt_pending(void)
{
	return g_signal;
}
