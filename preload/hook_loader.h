/* SPDX-License-Identifier: Apache-2.0
 *
 * What the dlopen() and dlmopen() hooks do before they jump to the real
 * function, whose address these return.
 */
#ifndef HOOK_LOADER_H
#define HOOK_LOADER_H

void *hook_loader_dlopen(const char *file, int mode);
void *hook_loader_dlmopen(long name_space, const char *file, int mode);

#endif
