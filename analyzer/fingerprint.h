/* SPDX-License-Identifier: Apache-2.0
 *
 * The address-free shape of a component as 64 bits: equal for structures that
 * differ only in addresses, order, ids, or what holds them from outside.
 *
 * What goes in, per member: runtime, type name, names of the innermost
 * function(s) of its allocation stack (without line numbers; not for recycled
 * objects, whose site may be another one's); per edge inside the component:
 * strength and field name.  Colours are refined as by Weisfeiler and Leman: a
 * node's colour takes in those of its neighbours, along edges and against them,
 * until the number of colours stops growing or a fixed number of rounds is
 * over.  Of plain blocks among objects, only the allocation sites go in: where
 * objects are stored in containers, their order may be random.  The number depends on the size only, so equal
 * shapes stop in the same round.
 */
#ifndef FINGERPRINT_H
#define FINGERPRINT_H

#include "graph.h"
#include "symbols.h"

struct fingerprint;

/* `symbols` may be NULL: then native frames count by their module alone. */
enum error_code fingerprint_new(const struct graph *graph, struct symbols *symbols, struct fingerprint **ret,
				struct error *error);

/* `member`: the nodes of the component, in any order. */
enum error_code fingerprint_of(struct fingerprint *fingerprint, const uint32_t *member, uint32_t count,
			       uint64_t *ret, struct error *error);

/* Of things without edges: a type and an allocation stack. */
uint64_t fingerprint_site(struct fingerprint *fingerprint, uint8_t runtime, uint32_t type, uint32_t stack);

/* The same with the functions that led there, up to some number: what a wrapper
 * of malloc allocates is told apart by its callers. */
uint64_t fingerprint_stack(struct fingerprint *fingerprint, uint8_t runtime, uint32_t type, uint32_t stack);

void fingerprint_free(struct fingerprint *fingerprint); /* NULL is fine */

#endif
