/* SPDX-License-Identifier: Apache-2.0
 *
 * Varint and fixed-width encoding of the trace (FORMAT.md, "Primitive types").
 * Used by both sides; not installed.  The put functions trust their caller for
 * space; the get functions trust nothing.
 */
#ifndef CASTAWAY_CODEC_H
#define CASTAWAY_CODEC_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CODEC_VARINT_MAX 10

static inline uint64_t codec_zigzag(int64_t value)
{
	return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline int64_t codec_unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* Writes at most CODEC_VARINT_MAX bytes and returns the byte after the last. */
static inline uint8_t *codec_put_varint(uint8_t *out, uint64_t value)
{
	while (value > 0x7f) {
		*out++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*out++ = (uint8_t)value;
	return out;
}

/* The same bytes without a branch for each of them, for values of all sizes in
 * no order; CODEC_VARINT_MAX bytes at `out` may be written, whatever counts. */
static inline uint8_t *codec_put_varint_wide(uint8_t *out, uint64_t value)
{
	const unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
	const unsigned size = (bits * 9 + 64) >> 6; /* bits / 7, rounded up */

	if (__builtin_expect(value >> 56 != 0, 0))
		return codec_put_varint(out, value);
	/* From 56 bits to groups of 28, of 14, of 7, each a bit further apart. */
	value = (value & UINT64_C(0x000000000fffffff)) | (value & UINT64_C(0x00fffffff0000000)) << 4;
	value = (value & UINT64_C(0x00003fff00003fff)) | (value & UINT64_C(0x0fffc0000fffc000)) << 2;
	value = (value & UINT64_C(0x007f007f007f007f)) | (value & UINT64_C(0x3f803f803f803f80)) << 1;
	value |= UINT64_C(0x8080808080808080) & ((UINT64_C(1) << (8 * size - 8)) - 1);
	value = htole64(value);
	memcpy(out, &value, sizeof(value));
	return out + size;
}

/* The same for values that mostly have at most 28 bits. */
static inline uint8_t *codec_put_varint_narrow(uint8_t *out, uint64_t value)
{
	uint32_t bits, size, groups = (uint32_t)value;

	if (__builtin_expect(value >> 28 != 0, 0))
		return codec_put_varint_wide(out, value);
	bits = 32 - (uint32_t)__builtin_clz(groups | 1);
	size = (bits * 9 + 64) >> 6;
	groups = (groups & 0x3fff) | (groups & 0x0fffc000) << 2;
	groups = (groups & 0x007f007f) | (groups & 0x3f803f80) << 1;
	groups |= 0x00808080 & ((UINT32_C(1) << (8 * size - 8)) - 1);
	groups = htole32(groups);
	memcpy(out, &groups, sizeof(groups));
	return out + size;
}

static inline uint8_t *codec_put_svarint(uint8_t *out, int64_t value)
{
	return codec_put_varint(out, codec_zigzag(value));
}

static inline uint8_t *codec_put_u64(uint8_t *out, uint64_t value)
{
	for (unsigned i = 0; i < 8; i++)
		*out++ = (uint8_t)(value >> (8 * i));
	return out;
}

/* A bounds-checked view of encoded bytes.  `failed` sticks: after the first
 * bad read every get returns 0, so callers may check once per entry. */
struct codec_cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

static inline size_t codec_left(const struct codec_cursor *c)
{
	return c->failed ? 0 : (size_t)(c->end - c->at);
}

static inline uint8_t codec_get_u8(struct codec_cursor *c)
{
	if (codec_left(c) < 1) {
		c->failed = true;
		return 0;
	}
	return *c->at++;
}

static inline uint64_t codec_get_varint(struct codec_cursor *c)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint8_t byte = codec_get_u8(c);

		if (c->failed || (shift == 63 && byte > 1))
			break;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	c->failed = true;
	return 0;
}

static inline int64_t codec_get_svarint(struct codec_cursor *c)
{
	return codec_unzigzag(codec_get_varint(c));
}

static inline uint64_t codec_get_u64(struct codec_cursor *c)
{
	uint64_t value = 0;

	if (codec_left(c) < 8) {
		c->failed = true;
		return 0;
	}
	for (unsigned i = 0; i < 8; i++)
		value |= (uint64_t)c->at[i] << (8 * i);
	c->at += 8;
	return value;
}

/* Returns a pointer into the payload (not NUL-terminated) or NULL. */
static inline const uint8_t *codec_get_bytes(struct codec_cursor *c, uint64_t length)
{
	const uint8_t *bytes = c->at;

	if (c->failed || length > codec_left(c)) {
		c->failed = true;
		return NULL;
	}
	c->at += length;
	return bytes;
}

#endif
