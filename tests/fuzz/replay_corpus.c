/* SPDX-License-Identifier: Apache-2.0
 *
 * The fuzzer's entry without the fuzzer: runs it on every file of the
 * directories given, so that what was once found stays fixed.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_reader.h"

#define INPUT_SIZE (16u << 20)

static uint8_t *s_input;

static int run_file(const char *path)
{
	FILE *file = fopen(path, "r");
	size_t size;

	if (!file) {
		perror(path);
		return 1;
	}
	size = fread(s_input, 1, INPUT_SIZE, file);
	fclose(file);
	printf("# %s: %zu bytes\n", path, size);
	fflush(stdout);
	LLVMFuzzerTestOneInput(s_input, size);
	return 0;
}

static int run_directory(const char *path, unsigned *count)
{
	DIR *directory = opendir(path);
	const struct dirent *entry;
	int failures = 0;

	if (!directory) {
		perror(path);
		return 1;
	}
	while ((entry = readdir(directory)) != NULL) {
		char file[4096];

		if (entry->d_name[0] == '.' || strstr(entry->d_name, ".md"))
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		failures += run_file(file);
		(*count)++;
	}
	closedir(directory);
	return failures;
}

int main(int argc, char **argv)
{
	unsigned count = 0;
	int failures = 0;

	s_input = malloc(INPUT_SIZE);
	if (!s_input)
		return 2;
	for (int i = 1; i < argc; i++)
		failures += run_directory(argv[i], &count);
	free(s_input);
	printf("1..1\n%s 1 - %u inputs\n", failures || count == 0 ? "not ok" : "ok", count);
	return failures || count == 0;
}
