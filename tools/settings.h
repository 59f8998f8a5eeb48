/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings of the preload as long options of `record` and `run`: one row
 * per line of CONFIG_KEYS, so that a new setting needs no change here.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "options.h"

extern const struct option_row settings_rows[];

/* What holds when neither the command line nor the environment says otherwise. */
void settings_default(const char *key, const char *value);

/* "key=value:key=value" for CASTAWAY_OPTIONS, after what the environment has
 * already; NULL when there is nothing to set.  Lives until the next call. */
const char *settings_text(void);

#endif
