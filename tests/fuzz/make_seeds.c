/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the seeds as files, each plain and compressed, into the directory
 * given: what the fuzzer starts from.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "seeds.h"

static int write_seed(const char *directory, const char *name, struct builder *b, bool compress)
{
	char path[4096];
	size_t size;
	const uint8_t *bytes = builder_finish(b, &size);
	FILE *file;
	int failed;

	snprintf(path, sizeof(path), "%s/%s%s.castaway", directory, name, compress ? "_zstd" : "");
	file = fopen(path, "w");
	failed = !file || fwrite(bytes, 1, size, file) != size;
	if (file)
		failed |= fclose(file) != 0;
	if (failed)
		perror(path);
	builder_free(b);
	return failed;
}

int main(int argc, char **argv)
{
	int failures = 0;

	if (argc != 2)
		return 2;
	mkdir(argv[1], 0777);
#define X(name)                                                            \
	failures += write_seed(argv[1], #name, seed_##name(false), false); \
	failures += write_seed(argv[1], #name, seed_##name(true), true);
	SEEDS(X)
#undef X
	return failures != 0;
}
