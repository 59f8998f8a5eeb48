/* SPDX-License-Identifier: Apache-2.0
 *
 * Call frame information: how to get from one frame to its caller, from the
 * .eh_frame of a loaded module.  Only what compilers write for ordinary
 * functions on this architecture is understood; anything else is said to be
 * beyond it, and the caller takes libunwind for that stack.
 *
 * Source: DWARF 5, section 6.4; Linux Standard Base Core 5.0, chapter 10.6
 * (.eh_frame and .eh_frame_hdr); System V ABI, AMD64 supplement.
 */
#ifndef CFI_H
#define CFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cfi_kind {
	CFI_BEYOND, /* expressions, signal frames, no information: not for us */
	CFI_STEP,
	CFI_END, /* the bottom of the stack: there is no caller */
};

/* At a return address: the canonical frame address is base + cfa_offset, where
 * base is the stack pointer or the frame pointer; the return address lies 8
 * bytes below it. */
struct cfi_rule {
	uint8_t kind;
	uint8_t base_is_bp;
	int16_t bp_offset; /* from the CFA to where the frame pointer was saved; 0 = it is unchanged */
	int32_t cfa_offset;
};

/* A module's .eh_frame_hdr as it is mapped, and the bounds of the module. */
struct cfi_section {
	const uint8_t *header;
	size_t header_size;
	uintptr_t start, end;
};

/* The rule at `pc` (a return address minus one).  Reads inside the section's
 * bounds only, whatever the bytes say; takes no lock and no memory. */
struct cfi_rule cfi_rule_at(const struct cfi_section *section, uintptr_t pc);

#endif
