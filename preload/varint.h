/* SPDX-License-Identifier: Apache-2.0
 *
 * The varints of codec.h as an event writes them: by the processor's bit deposit,
 * where it has a fast one, in a third of the instructions.
 */
#ifndef VARINT_H
#define VARINT_H

#include "arch.h"
#include "castaway/codec.h"

#define VARINT_SHORT_BITS 56

/* Without the instruction, and values that need more than eight bytes. */
static __attribute__((noinline)) uint8_t *varint_put_otherwise(uint8_t *out, uint64_t value)
{
	return codec_put_varint_narrow(out, value);
}

/* A value below 2^VARINT_SHORT_BITS, where g_arch_deposits is set.  CODEC_VARINT_MAX
 * bytes at `out` may be written, whatever counts; returns the end. */
static inline __attribute__((always_inline)) uint8_t *varint_put_deposited(uint8_t *out, uint64_t value)
{
	uint64_t groups = arch_deposit(value, UINT64_C(0x7f7f7f7f7f7f7f7f));
	const unsigned above = arch_leading_zeros(groups | 1); /* zero bits above the highest one */

	/* Every byte but the last says that another follows. */
	groups |= arch_low_bits(UINT64_C(0x8080808080808080), ~above & 0x38);
	groups = htole64(groups);
	memcpy(out, &groups, sizeof(groups));
	return out + sizeof(groups) - above / 8;
}

/* The same on any processor. */
static inline __attribute__((always_inline)) uint8_t *varint_put_short(uint8_t *out, uint64_t value)
{
	return __builtin_expect(g_arch_deposits, 1) ? varint_put_deposited(out, value)
						    : varint_put_otherwise(out, value);
}

/* The same for any value. */
static inline uint8_t *varint_put(uint8_t *out, uint64_t value)
{
	return __builtin_expect(value >> VARINT_SHORT_BITS == 0, 1) ? varint_put_short(out, value)
								    : varint_put_otherwise(out, value);
}

#endif
