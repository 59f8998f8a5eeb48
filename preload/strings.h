/* SPDX-License-Identifier: Apache-2.0
 *
 * The string table's other side: what the writer puts into STRINGS chunks.
 * Interning is strings_intern() of emit.h.
 */
#ifndef STRINGS_H
#define STRINGS_H

#include <stdint.h>

/* Ids are 1..strings_count(); all of them can be read. */
uint32_t strings_count(void);
uint32_t strings_length(uint32_t string);

#endif
