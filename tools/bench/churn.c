/* SPDX-License-Identifier: Apache-2.0
 *
 * Allocation churn: `churn EVENTS THREADS`.  Each thread goes again and again
 * through a call tree, a chain of CHAIN calls and then a binary tree of FORKS
 * levels, and at each call exchanges one block of a table for a new one.  The
 * functions have frames of different sizes, and which one is called depends on
 * the path, so that there are some 10^5 different stacks of about 28 frames.
 * Nothing else costs time here: this is the worst case for a tracer.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHAIN = 14, FORKS = 8, TABLE = 8192, THREADS_MAX = 64, SIZES = 497 };

struct worker {
	uint64_t random;
	long left; /* events */
	void *blocks[TABLE];
};

typedef void visit_fn(struct worker *worker, int chain, int forks, uint32_t path);
static visit_fn *const k_visits[8];

static uint32_t mixed(uint32_t path)
{
	return path * UINT32_C(2654435761);
}

static __attribute__((noinline)) void exchange(struct worker *worker, uint32_t path)
{
	void **block;

	worker->random ^= worker->random << 13;
	worker->random ^= worker->random >> 7;
	worker->random ^= worker->random << 17;
	block = &worker->blocks[worker->random % TABLE];
	free(*block);
	*block = malloc(16 + (mixed(path) >> 16) % SIZES);
	*(volatile char *)*block = 1;
	worker->left -= 2;
}

/* What all the visits do; each of them has it inlined, around its own frame. */
static inline __attribute__((always_inline)) void descend(struct worker *worker, int chain, int forks,
							  uint32_t path)
{
	exchange(worker, path);
	if (worker->left <= 0)
		return;
	if (chain > 0) {
		k_visits[mixed(path) >> 29](worker, chain - 1, forks, path * 5 + 1);
	} else if (forks > 0) {
		k_visits[mixed(path) >> 29](worker, 0, forks - 1, path * 2 + 1);
		k_visits[mixed(path ^ 0x5bd1) >> 29](worker, 0, forks - 1, path * 2 + 2);
	}
}

/* X(name, bytes of its frame) */
#define VISITS(X)        \
	X(visit_tiny, 8) \
	X(visit_a, 24)   \
	X(visit_b, 40)   \
	X(visit_c, 72)   \
	X(visit_d, 16)   \
	X(visit_e, 136)  \
	X(visit_f, 56)   \
	X(visit_huge, 200)

/* The write after the calls keeps the last one from being a jump. */
#define X(name, bytes)                                                                          \
	static __attribute__((noinline)) void name(struct worker *worker, int chain, int forks, \
						   uint32_t path)                               \
	{                                                                                       \
		volatile char frame[bytes];                                                     \
                                                                                                \
		frame[0] = (char)path;                                                          \
		descend(worker, chain, forks, path);                                            \
		frame[sizeof(frame) - 1] = frame[0];                                            \
	}
VISITS(X)
#undef X

#define X(name, bytes) name,
static visit_fn *const k_visits[8] = {VISITS(X)};
#undef X

static void *work(void *arg)
{
	struct worker *worker = arg;

	while (worker->left > 0) {
		for (uint32_t start = 0; start < 16 && worker->left > 0; start++)
			k_visits[start & 7](worker, CHAIN, FORKS, start * 7919u);
	}
	for (int i = 0; i < TABLE; i++)
		free(worker->blocks[i]);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct worker s_workers[THREADS_MAX];
	pthread_t threads[THREADS_MAX];
	long events = argc > 1 ? atol(argv[1]) : 0;
	int count = argc > 2 ? atoi(argv[2]) : 1;

	if (events <= 0 || count < 1 || count > THREADS_MAX) {
		fprintf(stderr, "usage: churn EVENTS [THREADS]\n");
		return 2;
	}
	for (int i = 0; i < count; i++) {
		s_workers[i].random = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(i + 1);
		s_workers[i].left = events / count;
	}
	/* The first worker is this thread: with one there is no other. */
	for (int i = 1; i < count; i++)
		if (pthread_create(&threads[i], NULL, work, &s_workers[i]) != 0)
			return 1;
	work(&s_workers[0]);
	for (int i = 1; i < count; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
