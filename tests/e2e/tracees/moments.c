/* SPDX-License-Identifier: Apache-2.0
 *
 * `moments CASE`: what there is to see depends on when one looks.  Every block
 * has a size of its own, and is planted deep down the stack.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "castaway/castaway.h"
#include "plant.h"

static void *volatile g_kept;
static int s_pipe[2];
static volatile sig_atomic_t s_caught;

__attribute__((noinline)) static void *make(size_t size)
{
	void *block = malloc(size);

	if (block == NULL)
		abort();
	memset(block, 0, size);
	return block;
}

/* The only reference is where no scan finds it. */
__attribute__((noinline)) static void send_away(size_t size)
{
	void *block = make(size);

	if (write(s_pipe[1], &block, sizeof(block)) != sizeof(block))
		abort();
}

__attribute__((noinline)) static void *fetch(void)
{
	void *block;

	if (read(s_pipe[0], &block, sizeof(block)) != sizeof(block))
		abort();
	return block;
}

/* ---- two moments ---------------------------------------------------------------- */

__attribute__((noinline)) static void plant_first(void)
{
	make(4001);          /* lost */
	g_kept = make(4002); /* held now, in flight later */
	send_away(4003);     /* in flight now, held later */
	send_away(4004);     /* in flight, then freed; its memory is in flight again */
}

__attribute__((noinline)) static void plant_second(void)
{
	void *block = g_kept, *held = fetch(), *freed = fetch();
	void *again;

	if (write(s_pipe[1], &block, sizeof(block)) != sizeof(block))
		abort();
	g_kept = held;
	free(freed);
	again = make(4004);
	if (again != freed)
		abort();
	if (write(s_pipe[1], &again, sizeof(again)) != sizeof(again))
		abort();
	make(4005); /* lost, but later than the first look */
}

/* ---- ends -------------------------------------------------------------------------- */

__attribute__((noinline)) static void plant_lost(void)
{
	make(4011);
}

/* Held by a static until its destructor has let go of it. */
__attribute__((noinline)) static void plant_cycle(void)
{
	void **one = make(4021), **two = make(4022);

	*one = two;
	*two = one;
	g_kept = one;
}

__attribute__((destructor)) static void let_go(void)
{
	g_kept = NULL;
}

static void wait_for_input(void)
{
	char byte;

	printf("%d\n", (int)getpid());
	fflush(stdout);
	if (read(STDIN_FILENO, &byte, 1) < 0)
		abort();
}

static void *look(void *arg)
{
	castaway_snapshot("from another thread");
	return arg;
}

/* Handlers of atexit() run when the teardown has begun. */
static void look_from_a_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, look, NULL) != 0 || pthread_join(thread, NULL) != 0)
		abort();
	castaway_snapshot("from the thread that ends");
}

static void on_signal(int number)
{
	s_caught = number;
}

/* A program that looks at a signal first finds it untouched, and what it then
 * installs is what runs. */
static void own_handler(void)
{
	struct sigaction action = {.sa_handler = on_signal}, there;

	if (sigaction(SIGTERM, NULL, &there) != 0 || there.sa_handler != SIG_DFL ||
	    sigaction(SIGTERM, &action, &there) != 0 || there.sa_handler != SIG_DFL)
		_exit(3);
	raise(SIGTERM);
	_exit(s_caught == SIGTERM ? 0 : 4);
}

/* ------------------------------------------------------------------------------------ */

int main(int argc, char **argv)
{
	const char *name = argc == 2 ? argv[1] : "";

	if (strcmp(name, "two") == 0) {
		if (pipe(s_pipe) != 0)
			abort();
		planted(plant_first);
		castaway_snapshot("first");
		planted(plant_second);
		return 0;
	}
	if (strcmp(name, "late") == 0) {
		planted(plant_cycle);
		return 0;
	}
	planted(plant_lost);
	if (strcmp(name, "fault") == 0)
		*(volatile int *)(uintptr_t)8 = 1;
	if (strcmp(name, "abort") == 0)
		abort();
	if (strcmp(name, "_exit") == 0)
		_exit(5);
	if (strcmp(name, "quick_exit") == 0)
		quick_exit(6);
	if (strcmp(name, "wait") == 0)
		wait_for_input();
	if (strcmp(name, "own") == 0)
		own_handler();
	if (strcmp(name, "teardown") == 0)
		atexit(wait_for_input);
	if (strcmp(name, "thread") == 0)
		atexit(look_from_a_thread);
	return 0;
}
