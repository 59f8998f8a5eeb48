/* SPDX-License-Identifier: Apache-2.0
 *
 * The libFuzzer entry.  Mutated bytes hardly ever hash right, so each input is
 * tried as it is, and again with its hashes repaired.
 */
#include <stdlib.h>
#include <string.h>

#include "exercise.h"
#include "fuzz_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome outcome;
	uint8_t *repaired = malloc(size + 1);

	if (!repaired)
		return 0;
	exercise(data, size, true, &outcome);
	if (size > 0)
		memcpy(repaired, data, size);
	exercise_repair(repaired, size);
	exercise(repaired, size, true, &outcome);
	free(repaired);
	return 0;
}
