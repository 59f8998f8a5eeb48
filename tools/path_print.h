/* SPDX-License-Identifier: Apache-2.0
 *
 * What `castaway path` prints, as text or JSON (`castaway-path/1`), on standard
 * output.
 */
#ifndef PATH_PRINT_H
#define PATH_PRINT_H

#include "path.h"

void path_print_text(const struct analysis *analysis, const struct path *path, bool color);
void path_print_json(const struct analysis *analysis, const struct path *path);

#endif
