/* SPDX-License-Identifier: Apache-2.0
 *
 * `leaks CASE`: one way to lose or to keep blocks; every block has a size of
 * its own.  Built twice, for castaway and with -fsanitize=leak.  The planting is
 * done deep down the stack by functions that leave nothing in registers, and
 * what they left on the stack is overwritten, so that a block is lost exactly
 * when the case says so.
 */
#include "leaks.h"

#include <string.h>

#include "../plant.h"

void *volatile g_kept;

void *make(size_t size)
{
	void *block = malloc(size);

	if (block == NULL)
		abort();
	memset(block, 0, size);
	return block;
}

static const struct {
	const char *name;
	void (*plant)(void);
} s_cases[] = {
#define X(function) {#function, function},
	CASES(X)
#undef X
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(s_cases) / sizeof(s_cases[0]) && argc == 2; i++) {
		if (strcmp(argv[1], s_cases[i].name) != 0)
			continue;
		planted(s_cases[i].plant);
		return 0;
	}
	return 2;
}
