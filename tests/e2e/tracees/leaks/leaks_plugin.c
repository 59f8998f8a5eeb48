/* SPDX-License-Identifier: Apache-2.0
 *
 * A library for leaks.c to open: a block is kept in its thread-local storage,
 * which the loader allocates when it is first used.
 */
#include <string.h>

static __thread void *volatile t_kept;
static __thread char t_room[100000]; /* no room for that in the static part */

void plugin_keep(void *block);

void plugin_keep(void *block)
{
	memset(t_room, 1, sizeof(t_room));
	t_kept = block;
}
