/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads of the target, stopped for a snapshot: what their processors held.
 */
#ifndef STOP_H
#define STOP_H

#include <stdbool.h>
#include <stdint.h>

#define STOP_REGISTERS 18

struct stopped_thread {
	int32_t tid;
	bool in_syscall; /* below its stack pointer nothing is alive */
	uint32_t register_count;
	uintptr_t pc, sp;
	uintptr_t tls; /* thread pointer, 0 = not known */
	uint64_t registers[STOP_REGISTERS];
};

#endif
