/* SPDX-License-Identifier: Apache-2.0
 *
 * Stacks that have frames of two kinds.
 */
#ifndef STACK_MIXED_H
#define STACK_MIXED_H

#include "stack.h"

struct stack_mixed;                        /* of one thread */
struct stack_mixed *stack_mixed_new(void); /* NULL: no memory */

/* While g_stack_claim is set: the node of a native stack that came through the
 * claiming runtime, with the runtime's own frames in the place of its native
 * ones; the same node for other stacks. */
uint32_t stack_mixed_node(struct stack_mixed *mixed, uint32_t native);

#endif
