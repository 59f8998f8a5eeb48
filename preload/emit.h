/* SPDX-License-Identifier: Apache-2.0
 *
 * Events into the thread's buffer (FORMAT.md, EVENTS).  All functions: call
 * with the guard held; they neither block nor fail, they count what they drop.
 */
#ifndef EMIT_H
#define EMIT_H

#include "castaway/format.h"
#include "thread.h"

/* Once, when the configuration and the processor are known. */
void emit_init(void);

void emit_alloc(struct thread *thread, uintptr_t block, uint64_t size, uint32_t stack);
void emit_free(struct thread *thread, uintptr_t block, uint32_t stack);

/* REF, UNREF, and their like with the signature "os". */
void emit_count(struct thread *thread, enum castaway_event opcode, uintptr_t object, uint32_t stack);

/* Any event of CASTAWAY_EVENTS; `values` in signature order. */
void emit_event(struct thread *thread, enum castaway_event opcode, const uint64_t *values);

/* String id of a name, content-interned; 0 when there is no memory.  Lock-free. */
uint32_t strings_intern(const char *text, size_t length);
const char *strings_text(uint32_t string); /* NUL-terminated */

/* Counts something that was not seen (enum castaway_limit); detail may be NULL,
 * else it must be static or live as long as the process. */
void limits_count(enum castaway_limit limit, uint64_t count, const char *detail);

#endif
