/* SPDX-License-Identifier: Apache-2.0
 *
 * Hooks of libraries that come and go.
 */
#ifndef HOOK_GOBJECT_H
#define HOOK_GOBJECT_H

/* After a dlclose(): the real functions may be gone. */
void hook_gobject_forget(void);

#endif
