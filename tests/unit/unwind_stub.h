/* SPDX-License-Identifier: Apache-2.0
 *
 * What the unwinder needs around it, for tests: frame information from the
 * dynamic loader's list, mappings from /proc, and an epoch that a test changes.
 */
#ifndef UNWIND_STUB_H
#define UNWIND_STUB_H

#include <stdint.h>

extern uint32_t g_unwind_stub_epoch;

#endif
