/* SPDX-License-Identifier: Apache-2.0
 *
 * Between cfi.c, which finds the entry for an address, and cfi_program.c, which
 * runs the entry's program: bounded reading, and what both know of an entry.
 */
#ifndef CFI_INTERNAL_H
#define CFI_INTERNAL_H

#include <string.h>

#include "cfi.h"

#define CFI_REG_BP 6u
#define CFI_REG_SP 7u
#define CFI_REG_RA 16u

/* What is left to read; after the first bad read every further one gives 0. */
struct cfi_bytes {
	const uint8_t *at, *end;
	bool bad;
};

static inline uint64_t cfi_fixed(struct cfi_bytes *b, size_t size)
{
	uint64_t value = 0;

	if (b->bad || (size_t)(b->end - b->at) < size) {
		b->bad = true;
		return 0;
	}
	memcpy(&value, b->at, size);
	b->at += size;
	return value;
}

static inline uint64_t cfi_uleb(struct cfi_bytes *b)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint64_t byte = cfi_fixed(b, 1);

		value |= (byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	b->bad = true;
	return 0;
}

static inline int64_t cfi_sleb(struct cfi_bytes *b)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint64_t byte = cfi_fixed(b, 1);

		value |= (byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			if (shift < 57 && byte & 0x40)
				value |= ~UINT64_C(0) << (shift + 7);
			return (int64_t)value;
		}
	}
	b->bad = true;
	return 0;
}

static inline void cfi_skip(struct cfi_bytes *b, uint64_t size)
{
	if (b->bad || size > (size_t)(b->end - b->at))
		b->bad = true;
	else
		b->at += size;
}

/* A pointer in one of the DW_EH_PE encodings; indirect ones are not read
 * through, nobody here needs their value. */
static inline uint64_t cfi_pointer(struct cfi_bytes *b, uint8_t encoding)
{
	const uint64_t here = (uintptr_t)b->at;
	uint64_t value;

	switch (encoding & 0x0f) {
	case 0x00:
	case 0x04:
	case 0x0c:
		value = cfi_fixed(b, 8);
		break;
	case 0x01:
		value = cfi_uleb(b);
		break;
	case 0x02:
		value = cfi_fixed(b, 2);
		break;
	case 0x03:
		value = cfi_fixed(b, 4);
		break;
	case 0x09:
		value = (uint64_t)cfi_sleb(b);
		break;
	case 0x0a:
		value = (uint64_t)(int64_t)(int16_t)cfi_fixed(b, 2);
		break;
	case 0x0b:
		value = (uint64_t)(int64_t)(int32_t)cfi_fixed(b, 4);
		break;
	default:
		b->bad = true;
		return 0;
	}
	return (encoding & 0x70) == 0x10 ? value + here : value;
}

/* What the entries of one kind of code have in common. */
struct cfi_common {
	uint64_t code_align;
	int64_t data_align;
	uint8_t encoding;
	bool augmented, signal;
	struct cfi_bytes program;
};

/* The rule at pc, of the entry that begins at `start` and has this program. */
struct cfi_rule cfi_program_rule(const struct cfi_common *common, struct cfi_bytes program, uint64_t start,
				 uintptr_t pc);

#endif
