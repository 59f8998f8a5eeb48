/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes and drops references in a signal handler, which interrupts the main
 * loop anywhere in the tracer's own work on allocations.
 */
#include <signal.h>
#include <sys/time.h>

#include "shape.h"

static struct shape in_handler[1];
static volatile sig_atomic_t handled;

static void on_alarm(int number)
{
	castaway_ref(&in_handler[0]);
	castaway_unref(&in_handler[0]);
	handled += number != 0;
}

int main(void)
{
	struct itimerval interval = {{0, 500}, {0, 500}};
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};

	castaway_object(&in_handler[0], sizeof(in_handler[0]), "InHandler");
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &interval, NULL);
	while (handled < 200)
		shape_end(shape_new("Brief"));
	setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
	return 0;
}
