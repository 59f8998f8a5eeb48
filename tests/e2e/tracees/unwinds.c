/* SPDX-License-Identifier: Apache-2.0
 *
 * Allocates under stacks of every kind: `unwinds KIND [LIBRARY...]`.  Before and
 * after, and in between, it allocates under plain ones, which must stay right.
 */
#include <alloca.h>
#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

enum { ROUNDS = 50, STACK_SIZE = 256 << 10 };

#define FRAME __attribute__((noinline))

static FRAME void allocate(void)
{
	void *volatile block = malloc(24);

	free(block);
}

static FRAME void plain(unsigned depth)
{
	volatile char room[40];

	room[0] = (char)depth;
	if (depth > 0)
		plain(depth - 1);
	allocate();
	room[1] = room[0];
}

static FRAME void with_alloca(unsigned depth)
{
	volatile char *room = alloca(16 + depth * 24);

	room[0] = (char)depth;
	if (depth > 0)
		with_alloca(depth - 1);
	allocate();
	room[1] = room[0];
}

static void frames(void)
{
	for (unsigned depth = 0; depth < 20; depth++) {
		plain(depth);
		with_alloca(depth);
	}
}

static void on_signal(int number)
{
	allocate();
	plain(3);
}

static void take_signals(int flags)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};

	sigaction(SIGUSR1, &action, NULL);
	for (unsigned i = 0; i < ROUNDS; i++) {
		raise(SIGUSR1);
		plain(i % 7);
	}
}

static void signals(void)
{
	take_signals(0);
}

static void alternate(void)
{
	stack_t stack = {.ss_sp = malloc(STACK_SIZE), .ss_size = STACK_SIZE};

	sigaltstack(&stack, NULL);
	take_signals(SA_ONSTACK);
}

static ucontext_t s_main, s_other;

static FRAME void coroutine(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		plain(i % 5);
		swapcontext(&s_other, &s_main);
	}
}

static void coroutines(void)
{
	getcontext(&s_other);
	s_other.uc_stack.ss_sp = malloc(STACK_SIZE);
	s_other.uc_stack.ss_size = STACK_SIZE;
	s_other.uc_link = &s_main;
	makecontext(&s_other, coroutine, 0);
	for (unsigned i = 0; i <= ROUNDS; i++) {
		swapcontext(&s_main, &s_other);
		plain(i % 6);
	}
}

static jmp_buf s_back;

static FRAME void jump(unsigned depth)
{
	allocate();
	if (depth > 0)
		jump(depth - 1);
	else
		longjmp(s_back, 1);
	allocate();
}

static void jumps(void)
{
	for (volatile unsigned i = 0; i < ROUNDS; i++) {
		if (setjmp(s_back) == 0)
			jump(i % 9);
		plain(i % 4);
	}
}

/* sub $8, %rsp; call *%rdi; add $8, %rsp; ret */
static const unsigned char k_code[] = {0x48, 0x83, 0xec, 8, 0xff, 0xd7, 0x48, 0x83, 0xc4, 8, 0xc3};

static void generated(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void (*call)(void (*function)(void));

	memcpy(page, k_code, sizeof(k_code));
	mprotect(page, 4096, PROT_READ | PROT_EXEC);
	memcpy(&call, &page, sizeof(call));
	for (unsigned i = 0; i < ROUNDS; i++) {
		call(allocate);
		plain(i % 4);
	}
}

/* Steps through clock_gettime() in the kernel's page one instruction at a time,
 * and allocates at each. */
static void steps(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct timespec now;

	sigaction(SIGTRAP, &action, NULL);
	__asm__ volatile("pushf\n\torl $0x100, (%%rsp)\n\tpopf" ::: "memory", "cc");
	clock_gettime(CLOCK_MONOTONIC, &now);
	__asm__ volatile("pushf\n\tandl $~0x100, (%%rsp)\n\tpopf" ::: "memory", "cc");
}

/* Each library takes the place of the one before. */
static void libraries(char **paths)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		void *library = dlopen(paths[i % 2], RTLD_NOW);
		void (*enter)(void (*function)(void));

		if (library == NULL)
			exit(1);
		*(void **)&enter = dlsym(library, "unwinds_enter");
		for (unsigned times = 0; times < 3; times++)
			enter(allocate);
		dlclose(library);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} k_kinds[] = {
		{"frames", frames},         {"signals", signals}, {"alternate", alternate},
		{"coroutines", coroutines}, {"jumps", jumps},     {"generated", generated},
		{"steps", steps},
	};
	const char *kind = argc > 1 ? argv[1] : "";

	frames();
	for (size_t i = 0; i < sizeof(k_kinds) / sizeof(k_kinds[0]); i++)
		if (strcmp(kind, k_kinds[i].name) == 0)
			k_kinds[i].run();
	if (strcmp(kind, "libraries") == 0 && argc == 4)
		libraries(argv + 2);
	frames();
	printf("done\n");
	return 0;
}
