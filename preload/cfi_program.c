/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs the program of a call frame entry up to an address.  Where cfi.c does,
 * and with the same care: nothing is believed that the bytes say.
 */
#include "cfi_internal.h"

#define STATES_MAX 8u

enum saved { SAME, AT_OFFSET, UNDEFINED, ELSEWHERE };

struct state {
	uint64_t cfa_reg;
	int64_t cfa_offset;
	uint8_t cfa_known, bp, ra; /* bp, ra: enum saved */
	int64_t bp_offset, ra_offset;
};

struct machine {
	const struct cfi_common *common;
	struct state now, first, stack[STATES_MAX];
	unsigned depth;
	uint64_t location, pc;
	bool beyond;
};

static void set_saved(struct machine *m, uint64_t reg, enum saved how, int64_t offset)
{
	if (reg == CFI_REG_BP) {
		m->now.bp = (uint8_t)how;
		m->now.bp_offset = offset;
	} else if (reg == CFI_REG_RA) {
		m->now.ra = (uint8_t)how;
		m->now.ra_offset = offset;
	}
}

static void restore(struct machine *m, uint64_t reg)
{
	if (reg == CFI_REG_BP)
		set_saved(m, reg, m->first.bp, m->first.bp_offset);
	else if (reg == CFI_REG_RA)
		set_saved(m, reg, m->first.ra, m->first.ra_offset);
}

/* Opcodes in the upper two bits; false when it was none of them. */
static bool run_packed(struct machine *m, struct cfi_bytes *b, uint8_t op)
{
	switch (op >> 6) {
	case 1:
		m->location += (op & 63) * m->common->code_align;
		return true;
	case 2:
		set_saved(m, op & 63, AT_OFFSET, (int64_t)cfi_uleb(b) * m->common->data_align);
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
static void run_register(struct machine *m, struct cfi_bytes *b, uint8_t op)
{
	uint64_t reg = cfi_uleb(b);

	switch (op) {
	case 0x05: /* offset_extended */
		set_saved(m, reg, AT_OFFSET, (int64_t)cfi_uleb(b) * m->common->data_align);
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
		set_saved(m, reg, AT_OFFSET, cfi_sleb(b) * m->common->data_align);
		break;
	case 0x10: /* expression */
	case 0x16: /* val_expression */
		cfi_skip(b, cfi_uleb(b));
		set_saved(m, reg, ELSEWHERE, 0);
		break;
	case 0x09: /* register */
	case 0x14: /* val_offset */
	case 0x15: /* val_offset_sf */
		(void)cfi_uleb(b);
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

/* True when the operation was one that says where the frame is. */
static bool run_frame(struct machine *m, struct cfi_bytes *b, uint8_t op)
{
	uint64_t reg;

	switch (op) {
	case 0x0c: /* def_cfa */
		reg = cfi_uleb(b);
		define_cfa(m, reg, (int64_t)cfi_uleb(b));
		return true;
	case 0x12: /* def_cfa_sf */
		reg = cfi_uleb(b);
		define_cfa(m, reg, cfi_sleb(b) * m->common->data_align);
		return true;
	case 0x0d: /* def_cfa_register */
		m->now.cfa_reg = cfi_uleb(b);
		return true;
	case 0x0e: /* def_cfa_offset */
		m->now.cfa_offset = (int64_t)cfi_uleb(b);
		return true;
	case 0x13: /* def_cfa_offset_sf */
		m->now.cfa_offset = cfi_sleb(b) * m->common->data_align;
		return true;
	case 0x0f: /* def_cfa_expression */
		cfi_skip(b, cfi_uleb(b));
		m->now.cfa_known = 0;
		return true;
	default:
		return false;
	}
}

static void run_one(struct machine *m, struct cfi_bytes *b)
{
	uint8_t op = (uint8_t)cfi_fixed(b, 1);

	if (run_packed(m, b, op))
		return;
	switch (op) {
	case 0x00: /* nop */
		break;
	case 0x01: /* set_loc */
		m->location = cfi_pointer(b, m->common->encoding);
		break;
	case 0x02: /* advance_loc 1, 2, 4 */
	case 0x03:
	case 0x04:
		m->location += cfi_fixed(b, (size_t)1 << (op - 2)) * m->common->code_align;
		break;
	case 0x0a:
		remember_state(m);
		break;
	case 0x0b:
		restore_state(m);
		break;
	case 0x2e: /* GNU_args_size: of no consequence for the frames above */
		(void)cfi_uleb(b);
		break;
	default:
		if (!run_frame(m, b, op))
			run_register(m, b, op);
		break;
	}
}

static void run(struct machine *m, struct cfi_bytes program)
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
	if (!s->cfa_known || (s->cfa_reg != CFI_REG_SP && s->cfa_reg != CFI_REG_BP) ||
	    s->cfa_offset != (int32_t)s->cfa_offset)
		return rule;
	if (s->ra != AT_OFFSET || s->ra_offset != -8 || s->bp > AT_OFFSET)
		return rule;
	if (s->bp == AT_OFFSET &&
	    (s->bp_offset == 0 || s->bp_offset != (int16_t)s->bp_offset || s->bp_offset & 7))
		return rule;
	rule.kind = CFI_STEP;
	rule.base_is_bp = s->cfa_reg == CFI_REG_BP;
	rule.cfa_offset = (int32_t)s->cfa_offset;
	rule.bp_offset = s->bp == AT_OFFSET ? (int16_t)s->bp_offset : 0;
	return rule;
}

struct cfi_rule cfi_program_rule(const struct cfi_common *common, struct cfi_bytes program, uint64_t start,
				 uintptr_t pc)
{
	struct machine m = {.common = common, .location = start, .pc = pc};

	m.now.ra = SAME; /* until the program says where it is */
	run(&m, common->program);
	m.first = m.now;
	run(&m, program);
	return rule_of(&m);
}
