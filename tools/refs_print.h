/* SPDX-License-Identifier: Apache-2.0
 *
 * What `castaway refs` prints: the call tree of references, as lines for
 * people or as one JSON document.
 */
#ifndef REFS_PRINT_H
#define REFS_PRINT_H

#include "balance.h"
#include "query.h"
#include "symbols.h"

typedef void refs_print_fn(const struct query *query, const struct balance_object *objects, size_t count,
			   const struct balance *balance, struct symbols *symbols);
refs_print_fn refs_print_text;
refs_print_fn refs_print_json;

#endif
