/* SPDX-License-Identifier: Apache-2.0
 *
 * Two libraries of the same size and with the same addresses, whose frames are
 * not the same: UNWINDS_ROOM differs.
 */
#include <string.h>

void unwinds_enter(void (*function)(void));

static __attribute__((noinline)) void inner(void (*function)(void))
{
	volatile char room[UNWINDS_ROOM];

	room[0] = 1;
	function();
	room[1] = room[0];
}

void unwinds_enter(void (*function)(void))
{
	inner(function);
	__asm__ volatile("" ::: "memory");
}
