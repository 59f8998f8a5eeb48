/* SPDX-License-Identifier: Apache-2.0
 *
 * The trace file's bound (max-size).  A file that is full is followed by one
 * that begins with what lives then, as a snapshot, and takes its place when that
 * is written; until then the full one stays.  Runs in the helper.
 */
#ifndef ROTATE_H
#define ROTATE_H

#include <stdbool.h>
#include <stdint.h>

/* True when a snapshot for a new file shall be taken. */
bool rotate_due(uint64_t now);

/* All threads stand (or do not: `stopped`).  From here on the next file is
 * written.  False: not at this moment; another time. */
bool rotate_begin(bool stopped, uint64_t now);

/* The snapshot is in the file, or could not be taken. */
void rotate_end(bool written, uint64_t now);

void rotate_reset(void); /* fork child */

#endif
