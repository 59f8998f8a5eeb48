/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything that the analyzer does with the bytes of a trace, on bytes that
 * may be anything.  Aborts where the reader breaks a promise that it makes for
 * all input; shared by the fuzzer and the mutation test.
 */
#ifndef EXERCISE_H
#define EXERCISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct outcome {
	enum error_code code; /* of trace_open */
	bool complete;
	uint64_t limits; /* entries, after everything was read */
	uint64_t events, blocks, objects;
};

/* `analyze`: the cycle pass too. */
void exercise(const uint8_t *bytes, size_t size, bool analyze, struct outcome *ret);

/* Makes the hashes of the header and of all chunks right, as far as lengths
 * lead from one to the next: behind them lies what a mutation is to reach. */
void exercise_repair(uint8_t *bytes, size_t size);

#endif
