/* SPDX-License-Identifier: Apache-2.0
 *
 * For tracees that lose blocks: what plants them leaves no pointer on the stack.
 */
#ifndef PLANT_H
#define PLANT_H

#include <string.h>

__attribute__((noinline)) static void plant_below(void (*plant)(void))
{
	volatile char gap[32768];

	gap[0] = gap[sizeof(gap) - 1] = 0;
	plant();
}

__attribute__((noinline)) static void plant_clean(void)
{
	volatile char gap[65536];

	memset((char *)gap, 0, sizeof(gap));
}

/* Calls it far below everything that lives, and cleans up behind it. */
static void planted(void (*plant)(void))
{
	plant_below(plant);
	plant_clean();
}

#endif
