/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds the call frame information of an address in .eh_frame.  Runs in the
 * target's threads, once per return address; reads mapped memory only, takes no
 * lock.
 */
#include "cfi.h"

#include <string.h>

#include "cfi_internal.h"

#define TABLE_ENTRY 8u
/* DW_EH_PE_datarel | DW_EH_PE_sdata4: what every linker writes. */
#define TABLE_ENCODING 0x3b

/* A length-prefixed entry of .eh_frame, without its length. */
static bool open_entry(const struct cfi_section *section, const uint8_t *at, struct cfi_bytes *ret)
{
	const uint8_t *end = (const uint8_t *)section->end;
	uint64_t length;

	if ((uintptr_t)at < section->start || (uintptr_t)at >= section->end)
		return false;
	*ret = (struct cfi_bytes){at, end, false};
	length = cfi_fixed(ret, 4);
	/* 0 ends the section; 0xffffffff begins a 64-bit length, which no linker
	 * has ever needed here. */
	if (ret->bad || length == 0 || length > (size_t)(end - ret->at))
		return false;
	ret->end = ret->at + length;
	return true;
}

static bool read_augmentation(struct cfi_common *common, struct cfi_bytes *b, const char *names)
{
	uint64_t size = cfi_uleb(b);
	struct cfi_bytes data = {b->at, b->at, b->bad};

	cfi_skip(b, size);
	data.end = b->at;
	for (; *names && !b->bad; names++) {
		switch (*names) {
		case 'R':
			common->encoding = (uint8_t)cfi_fixed(&data, 1);
			break;
		case 'P':
			(void)cfi_pointer(&data, (uint8_t)cfi_fixed(&data, 1) & 0x7f);
			break;
		case 'L':
			(void)cfi_fixed(&data, 1);
			break;
		case 'S':
			common->signal = true;
			break;
		default: /* 'B' and the like carry no data */
			break;
		}
	}
	return !b->bad && !data.bad;
}

static bool read_common(const struct cfi_section *section, const uint8_t *at, struct cfi_common *ret)
{
	struct cfi_bytes b;
	const char *names;

	memset(ret, 0, sizeof(*ret));
	if (!open_entry(section, at, &b) || cfi_fixed(&b, 4) != 0 || cfi_fixed(&b, 1) > 4)
		return false;
	names = (const char *)b.at;
	if (b.bad || memchr(names, 0, (size_t)(b.end - b.at)) == NULL)
		return false;
	cfi_skip(&b, strlen(names) + 1);
	ret->code_align = cfi_uleb(&b);
	ret->data_align = cfi_sleb(&b);
	if (cfi_uleb(&b) != CFI_REG_RA || b.bad)
		return false;
	ret->augmented = *names == 'z';
	if (ret->augmented ? !read_augmentation(ret, &b, names + 1) : *names != '\0')
		return false;
	ret->program = b;
	return true;
}

/* The entry's address by binary search in the header's table. */
static const uint8_t *find_entry(const struct cfi_section *section, uintptr_t pc)
{
	struct cfi_bytes b = {section->header, section->header + section->header_size, false};
	uint8_t version = (uint8_t)cfi_fixed(&b, 1), frame = (uint8_t)cfi_fixed(&b, 1);
	uint8_t count_encoding = (uint8_t)cfi_fixed(&b, 1), table = (uint8_t)cfi_fixed(&b, 1);
	uint64_t count, low = 0, high;
	int64_t at = (int64_t)(pc - (uintptr_t)section->header);
	int32_t entry[2];

	(void)cfi_pointer(&b, frame);
	count = cfi_pointer(&b, count_encoding);
	if (version != 1 || table != TABLE_ENCODING || b.bad || count > (size_t)(b.end - b.at) / TABLE_ENTRY)
		return NULL;
	for (high = count; low < high;) {
		uint64_t middle = low + (high - low) / 2;

		memcpy(entry, b.at + middle * TABLE_ENTRY, sizeof(entry));
		if (entry[0] <= at)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	memcpy(entry, b.at + (low - 1) * TABLE_ENTRY, sizeof(entry));
	return section->header + entry[1];
}

struct cfi_rule cfi_rule_at(const struct cfi_section *section, uintptr_t pc)
{
	const struct cfi_rule beyond = {.kind = CFI_BEYOND};
	const uint8_t *at = find_entry(section, pc), *field, *common_at;
	struct cfi_common common;
	struct cfi_bytes b;
	uint64_t start, size;

	if (at == NULL || !open_entry(section, at, &b))
		return beyond;
	field = b.at;
	common_at = field - (size_t)cfi_fixed(&b, 4);
	if (b.bad || common_at >= at || !read_common(section, common_at, &common))
		return beyond;
	start = cfi_pointer(&b, common.encoding);
	size = cfi_pointer(&b, common.encoding & 0x0f);
	if (common.augmented)
		cfi_skip(&b, cfi_uleb(&b));
	if (b.bad || pc < start || pc - start >= size)
		return beyond;
	return cfi_program_rule(&common, b, start, pc);
}
