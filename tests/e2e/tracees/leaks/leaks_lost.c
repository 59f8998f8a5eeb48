/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks and objects that are lost, and what one would think holds them.
 */
#include <stdint.h>
#include <string.h>

#include "castaway/castaway.h"
#include "leaks.h"

static void *volatile s_array[2];

void direct(void)
{
	make(1001);
}

void twice(void)
{
	make(1002);
	make(1002);
}

void indirect(void)
{
	struct node *first = make(1011);

	first->next = make(1012);
	first->next->next = make(1013);
}

void cycle(void)
{
	struct node *first = make(1021), *second = make(1022);

	first->next = second;
	second->back = first;
}

void self(void)
{
	struct node *head = make(1031);

	head->next = head->back = head;
}

void interior_lost(void)
{
	char **outer = make(1041), *inner = make(1042);

	outer[3] = inner + 500;
}

/* The end of a block is not in it. */
void past_the_end(void)
{
	char *block = make(1056);

	g_kept = block + 1056;
}

void masked(void)
{
	g_kept = (void *)~(uintptr_t)make(1061);
}

/* Where a compiler puts it only when it is told to pack a structure. */
void packed(void)
{
	char *holder = make(1064);
	void *block = make(1065);

	memcpy(holder + 4, &block, sizeof(block));
	g_kept = holder;
}

/* With a tag that leads out of the block. */
void tagged(void)
{
	void *block;

	if (posix_memalign(&block, 64, 40) != 0)
		abort();
	g_kept = (char *)block + 63;
}

void grown(void)
{
	struct node *block = make(1071);

	block->next = make(1072);
	block = realloc(block, 70000);
	if (block == NULL)
		abort();
}

/* A block that grows into recycled memory, whose tail it does not write. */
void grown_tail(void)
{
	void *lost = make(1131), **former = make(2000), *block = make(24);

	for (size_t i = 0; i < 250; i++)
		former[i] = lost;
	free(former);
	g_kept = realloc(block, 2000);
}

void aligned(void)
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

void zero(void)
{
	if (malloc(0) == NULL)
		abort();
}

/* Freed memory after a block: glibc's bins then hold the address of its header,
 * which is in the block's last word. */
void bins(void)
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
void recycled(void)
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
		s_array[0] = malloc(512); /* not cleared by the program */
		*(void **)s_array[0] = s_array[1];
		s_array[1] = s_array[0];
	}
}

/* What calls have left below the frame from which the program ends: castaway's own
 * frames lie over it then, with gaps. */
__attribute__((noinline)) static void litter(void)
{
	void *volatile area[1024];
	void *block = make(1151);

	for (size_t i = 0; i < 1024; i++)
		area[i] = i < 1024 - 128 ? block : NULL; /* the hook's own frame is seen */
	(void)area[0];
}

void own_frames(void)
{
	litter();
	exit(0);
}

/* ---- counted objects --------------------------------------------------------- */

static void *make_object(size_t size, const char *type)
{
	void *object = make(size);

	castaway_object(object, size, type);
	return object;
}

void over_referenced(void)
{
	struct node *object = make_object(1201, "Hoarded");

	castaway_ref(object);
	object->next = make(1202);
}

/* The last reference is gone, the memory is not. */
void released(void)
{
	castaway_unref(make_object(1211, "Released"));
}

/* A cycle that the counts alone do not show: half of it is a plain block. */
void mixed_cycle(void)
{
	struct node *object = make_object(1221, "Half"), *block = make(1222);

	object->next = block;
	block->next = object;
}

/* The same, with a reference that nobody gave back. */
void hoarded_cycle(void)
{
	struct node *object = make_object(1231, "Hoarded"), *block = make(1232);

	object->next = block;
	block->next = object;
	castaway_ref(object);
}

/* What a proven cycle keeps besides objects. */
void entrained(void)
{
	struct node *object = make_object(1241, "Ring");

	object->next = object;
	castaway_link(object, object, "self");
	object->back = make(1242);
	object->back->next = make(1243);
}
