/* SPDX-License-Identifier: Apache-2.0
 *
 * What threads hold, and what those that have ended seem to hold.
 */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "castaway/castaway.h"
#include "leaks.h"

static __thread void *volatile t_kept;
static pthread_barrier_t s_ready;
static volatile int s_in_register, s_in_red_zone;

static void *leave_on_stack(void *arg)
{
	void *volatile words[64];

	words[32] = make(1101);
	(void)words[32];
	return NULL;
}

/* Its stack waits for the next thread. */
void dead_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, leave_on_stack, NULL) != 0)
		abort();
	pthread_join(thread, NULL);
}

static void *keep_in_tls(void *arg)
{
	t_kept = make(1111);
	return NULL;
}

void dead_thread_tls(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, keep_in_tls, NULL) != 0)
		abort();
	pthread_join(thread, NULL);
}

static void *forget(void *unused)
{
	(void)unused;
	return NULL;
}

/* glibc keeps the thread's argument with its stack. */
void dead_argument(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, forget, make(1141)) != 0 || pthread_join(thread, NULL) != 0)
		abort();
}

/* As much in registers as there is room for, while castaway looks at them. */
static void *ask_for_snapshots(void *size)
{
	void *a = make((size_t)size), *b = a, *c = a, *d = a, *e = a;

	pthread_barrier_wait(&s_ready);
	for (int i = 0; i < 10; i++) {
		__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e));
		castaway_snapshot("asked");
	}
	__asm__ volatile("" : : "r"(a), "r"(b), "r"(c), "r"(d), "r"(e));
	return NULL;
}

/* What castaway was told of two threads that asked at once is not all needed for
 * the last snapshot, and stays in its data. */
void own_data(void)
{
	pthread_t threads[2];

	pthread_barrier_init(&s_ready, NULL, 2);
	for (size_t i = 0; i < 2; i++) {
		if (pthread_create(&threads[i], NULL, ask_for_snapshots, (void *)(1161 + i)) != 0)
			abort();
	}
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

/* Below the stack pointer, where leaf functions may keep things: in a system
 * call nothing is alive there. */
static void *leave_in_red_zone(void *unused)
{
	void *block = make(1121);

#ifdef __x86_64__
	__asm__ volatile("mov %0, -64(%%rsp)\n\txor %0, %0\n\t"
			 "xor %%edi, %%edi\n\txor %%esi, %%esi\n\txor %%edx, %%edx\n\t"
			 "xor %%r8d, %%r8d\n\txor %%r9d, %%r9d\n\txor %%r10d, %%r10d\n\t"
			 "movl $1, %1\n"
			 "1:\tmov $34, %%eax\n\tsyscall\n\tjmp 1b"
			 : "+b"(block), "=m"(s_in_red_zone)
			 :
			 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
#else
	block = NULL;
	s_in_red_zone = 1;
	for (;;)
		pause();
#endif
	return unused;
}

void red_zone(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, leave_in_red_zone, NULL) != 0)
		abort();
	while (!s_in_red_zone)
		sched_yield();
}

static void *hold_on_stack(void *arg)
{
	void *volatile block = make(3071);

	t_kept = make(3072);
	pthread_barrier_wait(&s_ready);
	for (;;)
		pause();
	return block;
}

static void *hold_in_register(void *arg)
{
	void *block = make(3073);

#ifdef __x86_64__
	__asm__ volatile("mov %0, %%r12\n\txor %0, %0\n\tmovl $1, %1\n"
			 "1:\tmov $34, %%eax\n\tsyscall\n\tjmp 1b"
			 : "+b"(block), "=m"(s_in_register)
			 :
			 : "r12", "rax", "rcx", "r11", "memory");
#else
	s_in_register = 1;
	for (;;)
		pause();
#endif
	return block;
}

void live_threads(void)
{
	pthread_t thread;

	pthread_barrier_init(&s_ready, NULL, 2);
	if (pthread_create(&thread, NULL, hold_on_stack, NULL) != 0 ||
	    pthread_create(&thread, NULL, hold_in_register, NULL) != 0)
		abort();
	pthread_barrier_wait(&s_ready);
	while (!s_in_register)
		sched_yield();
}
