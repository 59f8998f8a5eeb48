/* SPDX-License-Identifier: Apache-2.0
 *
 * churn THREADS ROUNDS: threads allocate and free in one shared table, so that
 * most blocks are freed by another thread than the one that allocated them.
 * At the end prints `0xADDRESS size` of each block left.  Sizes are 2000 to
 * 2999, where nothing else allocates.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SLOTS       512
#define MAX_THREADS 64

static size_t *slots[SLOTS]; /* each block begins with its size */
static unsigned rounds;

static unsigned next_random(unsigned *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static size_t *new_block(unsigned *state)
{
	size_t size = 2000 + next_random(state) % 1000;
	size_t *block = next_random(state) % 4 ? malloc(size) : calloc(1, size);

	if (!block)
		abort();
	*block = size;
	return block;
}

static size_t *resized(size_t *block, unsigned *state)
{
	size_t size = 2000 + next_random(state) % 1000;

	block = realloc(block, size);
	if (!block)
		abort();
	*block = size;
	return block;
}

static void *thread_main(void *arg)
{
	unsigned state = (unsigned)(uintptr_t)arg * 7919u + 17u;

	for (unsigned i = 0; i < rounds; i++) {
		size_t **slot = &slots[next_random(&state) % SLOTS];
		size_t *block = __atomic_exchange_n(slot, NULL, __ATOMIC_ACQ_REL);

		if (!block)
			block = new_block(&state);
		else if (next_random(&state) % 3 == 0)
			block = resized(block, &state);
		else {
			free(block);
			block = new_block(&state);
		}
		free(__atomic_exchange_n(slot, block, __ATOMIC_ACQ_REL));
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned threads = argc == 3 ? (unsigned)atoi(argv[1]) : 0;
	pthread_t thread[MAX_THREADS];

	if (threads == 0 || threads > MAX_THREADS)
		return 99;
	rounds = (unsigned)atoi(argv[2]);
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, thread_main, (void *)(uintptr_t)(i + 1)) != 0)
			return 98;
	for (unsigned i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < SLOTS; i++)
		if (slots[i])
			printf("%p %zu\n", (void *)slots[i], *slots[i]);
	return 0;
}
