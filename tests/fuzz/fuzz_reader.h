/* SPDX-License-Identifier: Apache-2.0
 *
 * The entry that libFuzzer calls, and replay_corpus.c in its absence.
 */
#ifndef FUZZ_READER_H
#define FUZZ_READER_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
