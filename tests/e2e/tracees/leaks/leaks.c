/* SPDX-License-Identifier: Apache-2.0
 *
 * `leaks CASE`: one way to lose or to keep blocks; every block has a size of
 * its own.  Built twice, for castaway and with -fsanitize=leak.  The planting is
 * done deep down the stack by functions that leave nothing in registers, and
 * what they left on the stack is overwritten, so that a block is lost exactly
 * when the case says so.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "castaway/castaway.h"

struct node {
	struct node *next, *back;
};

/* Volatile: nothing reads them, and they must be written all the same. */
static void *volatile g_kept, *volatile g_array[4];
static void *volatile s_initialized = (void *)&g_kept; /* .data and not .bss */
static __thread void *volatile t_kept;
static __thread struct node *volatile t_list;

__attribute__((noinline)) static void *make(size_t size)
{
	void *block = malloc(size);

	if (block == NULL)
		abort();
	memset(block, 0, size);
	return block;
}

/* ---- lost ------------------------------------------------------------------- */

static void direct(void)
{
	make(1001);
}

static void twice(void)
{
	make(1002);
	make(1002);
}

static void indirect(void)
{
	struct node *first = make(1011);

	first->next = make(1012);
	first->next->next = make(1013);
}

static void cycle(void)
{
	struct node *first = make(1021), *second = make(1022);

	first->next = second;
	second->back = first;
}

static void self(void)
{
	struct node *head = make(1031);

	head->next = head->back = head;
}

static void interior_lost(void)
{
	char **outer = make(1041), *inner = make(1042);

	outer[3] = inner + 500;
}

/* The end of a block is not in it. */
static void past_the_end(void)
{
	char *block = make(1056);

	g_kept = block + 1056;
}

static void masked(void)
{
	g_kept = (void *)~(uintptr_t)make(1061);
}

/* Where a compiler puts it only when it is told to pack a structure. */
static void packed(void)
{
	char *holder = make(1064);
	void *block = make(1065);

	memcpy(holder + 4, &block, sizeof(block));
	g_kept = holder;
}

/* With a tag that leads out of the block. */
static void tagged(void)
{
	void *block;

	if (posix_memalign(&block, 64, 40) != 0)
		abort();
	g_kept = (char *)block + 63;
}

static void grown(void)
{
	struct node *block = make(1071);

	block->next = make(1072);
	block = realloc(block, 70000);
	if (block == NULL)
		abort();
}

static void aligned(void)
{
	void *block = NULL;

	if (posix_memalign(&block, 4096, 1081) != 0)
		abort();
	memset(block, 0, 1081);
	block = aligned_alloc(256, 1280);
	if (block == NULL)
		abort();
	memset(block, 0, 1280);
}

static void zero(void)
{
	if (malloc(0) == NULL)
		abort();
}

/* Freed memory after a block: glibc's bins then hold the address of its header,
 * which is in the block's last word. */
static void bins(void)
{
	char *lost[8], *freed[8];

	for (unsigned i = 0; i < 8; i++) {
		lost[i] = make(2008 + 32 * i);
		freed[i] = make(2000);
		make(4000 + i); /* keeps the freed one apart */
	}
	for (unsigned i = 0; i < 8; i++)
		free(freed[i]);
	(void)lost;
}

/* Where a program left a pointer before it gave the memory back. */
static void recycled(void)
{
	void *volatile *blocks[64]; /* what is written to freed memory is written */

	for (unsigned i = 0; i < 64; i++) {
		blocks[i] = make(512);
		for (unsigned word = 0; word < 64; word++)
			blocks[i][word] = NULL;
	}
	blocks[40][30] = make(1091);
	for (unsigned i = 0; i < 64; i++)
		free((void *)blocks[i]);
	for (unsigned i = 0; i < 64; i++) {
		g_array[0] = malloc(512); /* not cleared by the program */
		*(void **)g_array[0] = g_array[1];
		g_array[1] = g_array[0];
	}
}

static void *leave_on_stack(void *arg)
{
	void *volatile words[64];

	words[32] = make(1101);
	(void)words[32];
	return NULL;
}

/* Its stack waits for the next thread. */
static void dead_thread(void)
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

static void dead_thread_tls(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, keep_in_tls, NULL) != 0)
		abort();
	pthread_join(thread, NULL);
}

/* ---- counted objects --------------------------------------------------------- */

static void *make_object(size_t size, const char *type)
{
	void *object = make(size);

	castaway_object(object, size, type);
	return object;
}

static void over_referenced(void)
{
	struct node *object = make_object(1201, "Hoarded");

	castaway_ref(object);
	object->next = make(1202);
}

/* The last reference is gone, the memory is not. */
static void released(void)
{
	castaway_unref(make_object(1211, "Released"));
}

/* A cycle that the counts alone do not show: half of it is a plain block. */
static void mixed_cycle(void)
{
	struct node *object = make_object(1221, "Half"), *block = make(1222);

	object->next = block;
	block->next = object;
}

/* The same, with a reference that nobody gave back. */
static void hoarded_cycle(void)
{
	struct node *object = make_object(1231, "Hoarded"), *block = make(1232);

	object->next = block;
	block->next = object;
	castaway_ref(object);
}

/* What a proven cycle keeps besides objects. */
static void entrained(void)
{
	struct node *object = make_object(1241, "Ring");

	object->next = object;
	castaway_link(object, object, "self");
	object->back = make(1242);
	object->back->next = make(1243);
}

/* ---- kept ------------------------------------------------------------------- */

static void globals(void)
{
	static struct node *volatile local;

	g_kept = make(3001);
	s_initialized = make(3002);
	local = make(3003);
	local->next = make(3004);
	g_array[2] = (char *)make(3005) + 1000;
}

static void tls(void)
{
	t_kept = make(3011);
	t_list = make(3012);
	t_list->next = make(3013);
}

static void thread_keys(void)
{
	pthread_key_t key;

	/* The first 32 are in the thread's descriptor, the others in a table. */
	for (unsigned i = 0; i < 40; i++) {
		if (pthread_key_create(&key, NULL) != 0 || pthread_setspecific(key, make(3021 + i)) != 0)
			abort();
	}
}

static pthread_barrier_t s_ready;
static volatile int s_in_register, s_in_red_zone;

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

static void *forget(void *unused)
{
	(void)unused;
	return NULL;
}

/* A block that grows into recycled memory, whose tail it does not write. */
static void grown_tail(void)
{
	void *lost = make(1131), **former = make(2000), *block = make(24);

	for (size_t i = 0; i < 250; i++)
		former[i] = lost;
	free(former);
	g_kept = realloc(block, 2000);
}

/* glibc keeps the thread's argument with its stack. */
static void dead_argument(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, forget, make(1141)) != 0 || pthread_join(thread, NULL) != 0)
		abort();
}

/* What calls have left below the frame from which the program ends: castaway's own
 * frames lie over it then, with gaps. */
__attribute__((noinline)) static void litter(void)
{
	void *volatile area[1024];
	void *block = make(1151);

	for (size_t i = 0; i < 1024; i++)
		area[i] = i < 1024 - 128 ? block : NULL; /* the hook's own frame is seen */
}

static void own_frames(void)
{
	litter();
	exit(0);
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

static void red_zone(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, leave_in_red_zone, NULL) != 0)
		abort();
	while (!s_in_red_zone)
		sched_yield();
}

static void live_threads(void)
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

static void mapped(void)
{
	void **region = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (region == MAP_FAILED)
		abort();
	region[777] = make(3081);
}

static void large(void)
{
	void **block = make(40 << 20);

	block[4000000] = make(3091);
	g_kept = block;
}

/* Opened libraries: the loader's own records, and their thread-local storage. */
static void opened(void)
{
	void *library = dlopen(getenv("LEAKS_PLUGIN"), RTLD_NOW);
	void (*keep)(void *) = library != NULL ? (void (*)(void *))dlsym(library, "plugin_keep") : NULL;

	if (keep == NULL)
		abort();
	keep(make(3101));
}

/* clang-format off */
#define CASES(X) \
	X(direct) X(twice) X(indirect) X(cycle) X(self) X(interior_lost) X(past_the_end) X(masked) \
	X(packed) X(tagged) X(grown) X(aligned) X(zero) X(bins) X(recycled) X(dead_thread) X(dead_thread_tls) \
	X(over_referenced) X(released) X(mixed_cycle) X(hoarded_cycle) X(entrained) X(globals) \
	X(tls) X(thread_keys) X(grown_tail) X(dead_argument) X(own_frames) \
	X(live_threads) X(red_zone) X(mapped) X(large) X(opened)
/* clang-format on */

static const struct {
	const char *name;
	void (*plant)(void);
} s_cases[] = {
#define X(function) {#function, function},
	CASES(X)
#undef X
};

/* Calls it far below everything that lives, and cleans up behind it. */
__attribute__((noinline)) static void below(void (*plant)(void))
{
	volatile char gap[32768];

	gap[0] = gap[sizeof(gap) - 1] = 0;
	plant();
}

__attribute__((noinline)) static void clean(void)
{
	volatile char gap[65536];

	memset((char *)gap, 0, sizeof(gap));
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(s_cases) / sizeof(s_cases[0]) && argc == 2; i++) {
		if (strcmp(argv[1], s_cases[i].name) != 0)
			continue;
		below(s_cases[i].plant);
		clean();
		return 0;
	}
	return 2;
}
