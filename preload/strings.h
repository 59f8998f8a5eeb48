/* SPDX-License-Identifier: Apache-2.0
 *
 * The string table's other side: what the writer puts into STRINGS chunks.
 * Interning is strings_intern() of emit.h.
 */
#ifndef STRINGS_H
#define STRINGS_H

#include <stdbool.h>
#include <stdint.h>

/* Ids are 1..strings_count(); all of them can be read. */
uint32_t strings_count(void);
uint32_t strings_length(uint32_t string);

/* All ids that the target gives are below; those of snapshots' children are not. */
#define STRINGS_CHILD (1u << 17)

/* In a snapshot's child: strings_intern() gives ids from `first` on to what had
 * none at the fork.  False when there is no memory: then there are no new names. */
bool strings_child_begin(uint32_t first);
uint32_t strings_child_first(void);
uint32_t strings_child_count(void);
const char *strings_child_text(uint32_t index, uint32_t *length);

#endif
