/* SPDX-License-Identifier: Apache-2.0
 *
 * Hooks of libraries that come and go.
 */
#ifndef HOOK_GOBJECT_H
#define HOOK_GOBJECT_H

#include <stdbool.h>

/* After a dlclose(): the real functions may be gone. */
void hook_gobject_forget(void);
/* Whether one of the hooks has been called, and the real function is there. */
bool hook_gobject_used(void);

#endif
