/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads .eh_frame.  Runs in the target's threads, once per return address;
 * reads mapped memory only, takes no lock.
 */
#include "cfi.h"

#include <string.h>

#define REG_BP      6u
#define REG_SP      7u
#define REG_RA      16u
#define STATES_MAX  8u
#define TABLE_ENTRY 8u
/* DW_EH_PE_datarel | DW_EH_PE_sdata4: what every linker writes. */
#define TABLE_ENCODING 0x3b

struct bytes {
	const uint8_t *at, *end;
	bool bad;
};

static uint64_t fixed(struct bytes *b, size_t size)
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

static uint64_t uleb(struct bytes *b)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint64_t byte = fixed(b, 1);

		value |= (byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	b->bad = true;
	return 0;
}

static int64_t sleb(struct bytes *b)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint64_t byte = fixed(b, 1);

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

static void skip(struct bytes *b, uint64_t size)
{
	if (b->bad || size > (size_t)(b->end - b->at))
		b->bad = true;
	else
		b->at += size;
}

/* A pointer in one of the DW_EH_PE encodings; indirect ones are not read
 * through, nobody here needs their value. */
static uint64_t pointer(struct bytes *b, uint8_t encoding)
{
	const uint64_t here = (uintptr_t)b->at;
	uint64_t value;

	switch (encoding & 0x0f) {
	case 0x00:
	case 0x04:
	case 0x0c:
		value = fixed(b, 8);
		break;
	case 0x01:
		value = uleb(b);
		break;
	case 0x02:
		value = fixed(b, 2);
		break;
	case 0x03:
		value = fixed(b, 4);
		break;
	case 0x09:
		value = (uint64_t)sleb(b);
		break;
	case 0x0a:
		value = (uint64_t)(int64_t)(int16_t)fixed(b, 2);
		break;
	case 0x0b:
		value = (uint64_t)(int64_t)(int32_t)fixed(b, 4);
		break;
	default:
		b->bad = true;
		return 0;
	}
	return (encoding & 0x70) == 0x10 ? value + here : value;
}

/* ---- the entry for an address ---------------------------------------------- */

struct common {
	uint64_t code_align;
	int64_t data_align;
	uint8_t encoding;
	bool augmented, signal;
	struct bytes program;
};

/* A length-prefixed entry of .eh_frame, without its length. */
static bool open_entry(const struct cfi_section *section, const uint8_t *at, struct bytes *ret)
{
	const uint8_t *end = (const uint8_t *)section->end;
	uint64_t length;

	if ((uintptr_t)at < section->start || (uintptr_t)at >= section->end)
		return false;
	*ret = (struct bytes){at, end, false};
	length = fixed(ret, 4);
	/* 0 ends the section; 0xffffffff begins a 64-bit length, which no linker
	 * has ever needed here. */
	if (ret->bad || length == 0 || length > (size_t)(end - ret->at))
		return false;
	ret->end = ret->at + length;
	return true;
}

static bool read_augmentation(struct common *common, struct bytes *b, const char *names)
{
	uint64_t size = uleb(b);
	struct bytes data = {b->at, b->at, b->bad};

	skip(b, size);
	data.end = b->at;
	for (; *names && !b->bad; names++) {
		switch (*names) {
		case 'R':
			common->encoding = (uint8_t)fixed(&data, 1);
			break;
		case 'P':
			(void)pointer(&data, (uint8_t)fixed(&data, 1) & 0x7f);
			break;
		case 'L':
			(void)fixed(&data, 1);
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

static bool read_common(const struct cfi_section *section, const uint8_t *at, struct common *ret)
{
	struct bytes b;
	const char *names;

	memset(ret, 0, sizeof(*ret));
	if (!open_entry(section, at, &b) || fixed(&b, 4) != 0 || fixed(&b, 1) > 4)
		return false;
	names = (const char *)b.at;
	if (b.bad || memchr(names, 0, (size_t)(b.end - b.at)) == NULL)
		return false;
	skip(&b, strlen(names) + 1);
	ret->code_align = uleb(&b);
	ret->data_align = sleb(&b);
	if (uleb(&b) != REG_RA || b.bad)
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
	struct bytes b = {section->header, section->header + section->header_size, false};
	uint8_t version = (uint8_t)fixed(&b, 1), frame = (uint8_t)fixed(&b, 1);
	uint8_t count_encoding = (uint8_t)fixed(&b, 1), table = (uint8_t)fixed(&b, 1);
	uint64_t count, low = 0, high;
	int64_t at = (int64_t)(pc - (uintptr_t)section->header);
	int32_t entry[2];

	(void)pointer(&b, frame);
	count = pointer(&b, count_encoding);
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

/* ---- its program ------------------------------------------------------------- */

enum saved { SAME, AT_OFFSET, UNDEFINED, ELSEWHERE };

struct state {
	uint64_t cfa_reg;
	int64_t cfa_offset;
	uint8_t cfa_known, bp, ra; /* bp, ra: enum saved */
	int64_t bp_offset, ra_offset;
};

struct machine {
	const struct common *common;
	struct state now, first, stack[STATES_MAX];
	unsigned depth;
	uint64_t location, pc;
	bool beyond;
};

static void set_saved(struct machine *m, uint64_t reg, enum saved how, int64_t offset)
{
	if (reg == REG_BP) {
		m->now.bp = (uint8_t)how;
		m->now.bp_offset = offset;
	} else if (reg == REG_RA) {
		m->now.ra = (uint8_t)how;
		m->now.ra_offset = offset;
	}
}

static void restore(struct machine *m, uint64_t reg)
{
	if (reg == REG_BP)
		set_saved(m, reg, m->first.bp, m->first.bp_offset);
	else if (reg == REG_RA)
		set_saved(m, reg, m->first.ra, m->first.ra_offset);
}

/* Opcodes in the upper two bits; false when it was none of them. */
static bool run_packed(struct machine *m, struct bytes *b, uint8_t op)
{
	switch (op >> 6) {
	case 1:
		m->location += (op & 63) * m->common->code_align;
		return true;
	case 2:
		set_saved(m, op & 63, AT_OFFSET, (int64_t)uleb(b) * m->common->data_align);
		return true;
	case 3:
		restore(m, op & 63);
		return true;
	default:
		return false;
	}
}

static void define_cfa(struct machine *m, uint64_t reg, int64_t offset)
{
	m->now.cfa_reg = reg;
	m->now.cfa_offset = offset;
	m->now.cfa_known = 1;
}

/* About registers. */
static void run_register(struct machine *m, struct bytes *b, uint8_t op)
{
	uint64_t reg = uleb(b);

	switch (op) {
	case 0x05: /* offset_extended */
		set_saved(m, reg, AT_OFFSET, (int64_t)uleb(b) * m->common->data_align);
		break;
	case 0x06: /* restore_extended */
		restore(m, reg);
		break;
	case 0x07: /* undefined */
		set_saved(m, reg, UNDEFINED, 0);
		break;
	case 0x08: /* same_value */
		set_saved(m, reg, SAME, 0);
		break;
	case 0x11: /* offset_extended_sf */
		set_saved(m, reg, AT_OFFSET, sleb(b) * m->common->data_align);
		break;
	case 0x0c: /* def_cfa */
		define_cfa(m, reg, (int64_t)uleb(b));
		break;
	case 0x12: /* def_cfa_sf */
		define_cfa(m, reg, sleb(b) * m->common->data_align);
		break;
	case 0x0d: /* def_cfa_register */
		m->now.cfa_reg = reg;
		break;
	case 0x10: /* expression */
	case 0x16: /* val_expression */
		skip(b, uleb(b));
		set_saved(m, reg, ELSEWHERE, 0);
		break;
	case 0x09: /* register */
	case 0x14: /* val_offset */
	case 0x15: /* val_offset_sf */
		(void)uleb(b);
		set_saved(m, reg, ELSEWHERE, 0);
		break;
	default:
		m->beyond = true;
		break;
	}
}

static void remember_state(struct machine *m)
{
	if (m->depth == STATES_MAX)
		m->beyond = true;
	else
		m->stack[m->depth++] = m->now;
}

static void restore_state(struct machine *m)
{
	if (m->depth == 0)
		m->beyond = true;
	else
		m->now = m->stack[--m->depth];
}

static void run_one(struct machine *m, struct bytes *b)
{
	uint8_t op = (uint8_t)fixed(b, 1);

	if (run_packed(m, b, op))
		return;
	switch (op) {
	case 0x00: /* nop */
		break;
	case 0x01: /* set_loc */
		m->location = pointer(b, m->common->encoding);
		break;
	case 0x02: /* advance_loc 1, 2, 4 */
	case 0x03:
	case 0x04:
		m->location += fixed(b, (size_t)1 << (op - 2)) * m->common->code_align;
		break;
	case 0x0a:
		remember_state(m);
		break;
	case 0x0b:
		restore_state(m);
		break;
	case 0x0e: /* def_cfa_offset */
		m->now.cfa_offset = (int64_t)uleb(b);
		break;
	case 0x13: /* def_cfa_offset_sf */
		m->now.cfa_offset = sleb(b) * m->common->data_align;
		break;
	case 0x0f: /* def_cfa_expression */
		skip(b, uleb(b));
		m->now.cfa_known = 0;
		break;
	case 0x2e: /* GNU_args_size: of no consequence for the frames above */
		(void)uleb(b);
		break;
	default:
		run_register(m, b, op);
		break;
	}
}

static void run(struct machine *m, struct bytes program)
{
	while (program.at < program.end && !program.bad && !m->beyond && m->location <= m->pc) {
		struct state before = m->now;

		run_one(m, &program);
		/* An instruction that moves past pc changes nothing else. */
		if (m->location > m->pc)
			m->now = before;
	}
	m->beyond |= program.bad;
}

static struct cfi_rule rule_of(const struct machine *m)
{
	const struct state *s = &m->now;
	struct cfi_rule rule = {.kind = CFI_BEYOND};

	if (m->beyond || m->common->signal)
		return rule;
	if (s->ra == UNDEFINED) {
		rule.kind = CFI_END;
		return rule;
	}
	if (!s->cfa_known || (s->cfa_reg != REG_SP && s->cfa_reg != REG_BP) ||
	    s->cfa_offset != (int32_t)s->cfa_offset)
		return rule;
	if (s->ra != AT_OFFSET || s->ra_offset != -8 || s->bp > AT_OFFSET)
		return rule;
	if (s->bp == AT_OFFSET &&
	    (s->bp_offset == 0 || s->bp_offset != (int16_t)s->bp_offset || s->bp_offset & 7))
		return rule;
	rule.kind = CFI_STEP;
	rule.base_is_bp = s->cfa_reg == REG_BP;
	rule.cfa_offset = (int32_t)s->cfa_offset;
	rule.bp_offset = s->bp == AT_OFFSET ? (int16_t)s->bp_offset : 0;
	return rule;
}

struct cfi_rule cfi_rule_at(const struct cfi_section *section, uintptr_t pc)
{
	const struct cfi_rule beyond = {.kind = CFI_BEYOND};
	const uint8_t *at = find_entry(section, pc), *common_at;
	struct machine m = {.pc = pc};
	struct common common;
	struct bytes b;
	uint64_t size;

	if (at == NULL || !open_entry(section, at, &b))
		return beyond;
	common_at = b.at - (size_t)fixed(&b, 4);
	if (b.bad || common_at >= at || !read_common(section, common_at, &common))
		return beyond;
	m.common = &common;
	m.location = pointer(&b, common.encoding);
	size = pointer(&b, common.encoding & 0x0f);
	if (common.augmented)
		skip(&b, uleb(&b));
	if (b.bad || pc < m.location || pc - m.location >= size)
		return beyond;
	m.now.ra = SAME; /* until the program says where it is */
	run(&m, common.program);
	m.first = m.now;
	run(&m, b);
	return rule_of(&m);
}
