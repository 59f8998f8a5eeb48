/* SPDX-License-Identifier: Apache-2.0
 *
 * Four threads plant a pair each; the objects of a fifth pair are created by
 * one thread and linked and dropped by another.
 */
#include <pthread.h>

#include "shape.h"

static struct shape *given[2];

static OUT_OF_LINE void plant_in_thread(void)
{
	struct shape *a = shape_new("Left"), *b = shape_new("Right");

	shape_hold(a, b, "right");
	shape_hold(b, a, "left");
	shape_drop(a);
	shape_drop(b);
}

static void *thread_main(void *arg)
{
	plant_in_thread();
	return arg;
}

static void *linker_main(void *arg)
{
	shape_hold(given[0], given[1], "right");
	shape_hold(given[1], given[0], "left");
	shape_drop(given[0]);
	shape_drop(given[1]);
	return arg;
}

int main(void)
{
	pthread_t thread[4];

	for (int i = 0; i < 4; i++)
		if (pthread_create(&thread[i], NULL, thread_main, NULL) != 0)
			return 99;
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	given[0] = shape_new("GivenLeft");
	given[1] = shape_new("GivenRight");
	if (pthread_create(&thread[0], NULL, linker_main, NULL) != 0)
		return 99;
	pthread_join(thread[0], NULL);
	return 0;
}
