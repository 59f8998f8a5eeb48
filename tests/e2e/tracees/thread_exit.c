/* SPDX-License-Identifier: Apache-2.0
 *
 * Frees that come late in a thread's life: key destructors that allocate and
 * set their key again, in every round that POSIX allows, and a thread that is
 * cancelled.  Everything is freed; sizes are 3000 to 3999.  Prints nothing.
 */
#include <pthread.h>
#include <stdlib.h>

#define THREADS 40

static pthread_key_t first, second;

static void destroy_first(void *block)
{
	size_t round = *(size_t *)block;

	free(block);
	if (round < 3) {
		size_t *again = malloc(3100 + round);

		if (!again)
			abort();
		*again = round + 1;
		pthread_setspecific(first, again);
	}
}

static void destroy_second(void *block)
{
	free(realloc(block, 3900));
}

static void *thread_main(void *arg)
{
	size_t *block = malloc(3000), *other = malloc(3001);

	if (!block || !other)
		abort();
	*block = 0;
	pthread_setspecific(first, block);
	pthread_setspecific(second, other);
	if (arg)
		pthread_exit(NULL);
	return NULL;
}

static void *cancelled_main(void *arg)
{
	thread_main(NULL);
	pthread_cancel(pthread_self());
	pthread_testcancel();
	return arg;
}

int main(void)
{
	if (pthread_key_create(&first, destroy_first) || pthread_key_create(&second, destroy_second))
		return 99;
	for (int i = 0; i < THREADS; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, i % 3 == 2 ? cancelled_main : thread_main,
				   i % 3 == 1 ? &first : NULL) != 0)
			return 98;
		pthread_join(thread, NULL);
	}
	return 0;
}
