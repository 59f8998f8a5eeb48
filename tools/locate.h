/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that `record` needs to find or to look into before it starts.
 */
#ifndef LOCATE_H
#define LOCATE_H

#include <stdbool.h>
#include <stddef.h>

/* libcastaway.so: CASTAWAY_LIBRARY, the build tree, beside the installation of
 * this program, the configured libdir.  Prints why there is none. */
bool locate_library(char *path, size_t size);

/* Warns when the dynamic linker will not preload into `command`: a static or
 * set-id program, or one for another machine. */
void locate_warn_untraceable(const char *command);

#endif
