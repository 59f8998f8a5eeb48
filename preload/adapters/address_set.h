/* SPDX-License-Identifier: Apache-2.0
 *
 * A set of addresses, in arena memory.  For one thread, in the snapshot child.
 */
#ifndef ADDRESS_SET_H
#define ADDRESS_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: empty.  Slots that are 0 are free; the others are the set. */
struct address_set {
	uintptr_t *slots;
	size_t capacity, count;
};

bool address_set_has(const struct address_set *set, uintptr_t address);
bool address_set_add(struct address_set *set, uintptr_t address); /* not 0; false without memory */
void address_set_clear(struct address_set *set);

#endif
