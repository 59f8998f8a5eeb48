/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of rules: what is derived once is found from then on, however close
 * together the calls are, until the modules change.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "preload/modules.h"
#include "preload/unwind_rules.h"
#include "preload_stub.h"

#define CODE UINT64_C(0x55c817ef1800)

/* ---- in place of modules.c and cfi.c -------------------------------------------- */

static unsigned s_derived;
static const struct cfi_rule *s_rule; /* NULL: another for each address */

bool modules_frame_info(uintptr_t pc, struct cfi_section *ret)
{
	return true;
}

bool modules_discover(uintptr_t pc)
{
	return false;
}

struct cfi_rule cfi_rule_at(const struct cfi_section *section, uintptr_t pc)
{
	s_derived++;
	if (s_rule != NULL)
		return *s_rule;
	return (struct cfi_rule){
		.kind = CFI_STEP,
		.base_is_bp = pc & 1,
		.bp_offset = (int16_t)(pc & 0x7ff8),
		.cfa_offset = (int32_t)(pc & 0x7fffffff),
	};
}

/* ---- tests ------------------------------------------------------------------------ */

static void check(uintptr_t pc, uint64_t epoch)
{
	const struct cfi_rule rule = unwind_rules_find(pc, epoch);

	assert_int_equal(rule.kind, CFI_STEP);
	assert_int_equal(rule.base_is_bp, (pc - 1) & 1);
	assert_int_equal(rule.bp_offset, (pc - 1) & 0x7ff8);
	assert_int_equal(rule.cfa_offset, (pc - 1) & 0x7fffffff);
}

/* A call takes five bytes at least: what fits into 64 bytes, several times. */
static void test_close_together(void **state)
{
	(void)state;
	s_derived = 0;
	for (unsigned round = 0; round < 3; round++)
		for (uintptr_t pc = CODE; pc < CODE + 60; pc += 8)
			check(pc, 1);
	assert_int_equal(s_derived, 8);
}

/* As many as a large program has, spread and in groups. */
static void test_many(void **state)
{
	const unsigned groups = 4000, calls = 6;

	(void)state;
	s_derived = 0;
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < groups * calls; i++)
			check(CODE + i / calls * UINT64_C(0x3a10) + i % calls * 9, 2);
	/* More than a third of the table is in use: some lines overflow, but few. */
	assert_in_range(s_derived, groups * calls, groups * calls * 110 / 100);
}

static void test_epochs(void **state)
{
	(void)state;
	s_derived = 0;
	check(CODE, 3);
	check(CODE, 3);
	check(CODE, 4);
	check(CODE, 4);
	assert_int_equal(s_derived, 2);
}

/* Plain is what a walk may follow without looking at its parts: every other rule would
 * lead out of the frame, or needs bp. */
static void test_plain(void **state)
{
	static const struct {
		struct cfi_rule rule;
		bool plain;
	} rules[] = {
		{{CFI_STEP, 0, 0, 8}, true},
		{{CFI_STEP, 0, 0, INT32_MAX - 7}, true},
		{{CFI_STEP, 0, -16, 16}, true},
		{{CFI_STEP, 0, -16, 8}, true}, /* bp right at the return address */
		{{CFI_STEP, 0, -24, 8}, false},
		{{CFI_STEP, 0, 8, 16}, false},
		{{CFI_STEP, 0, 0, 0}, false},
		{{CFI_STEP, 0, 0, -8}, false},
		{{CFI_STEP, 0, 0, 12}, false},
		{{CFI_STEP, 1, 0, 16}, false},
		{{CFI_END, 0, 0, 8}, false},
		{{CFI_BEYOND, 0, 0, 8}, false},
	};

	(void)state;
	for (uint32_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		const uintptr_t pc = CODE + i * UINT64_C(0x100000);
		struct cfi_rule rule;

		s_rule = &rules[i].rule;
		for (unsigned again = 0; again < 2; again++) {
			assert_int_equal((unwind_rules_value(pc, 5) & UNWIND_RULES_PLAIN) != 0,
					 rules[i].plain);
			rule = unwind_rules_find(pc, 5);
			assert_int_equal(rule.kind, s_rule->kind);
			assert_int_equal(rule.base_is_bp, s_rule->base_is_bp);
			assert_int_equal(rule.bp_offset, s_rule->bp_offset);
			assert_int_equal(rule.cfa_offset, s_rule->cfa_offset);
		}
	}
	s_rule = NULL;
}

static int set_up(void **state)
{
	(void)state;
	return unwind_rules_init() ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_close_together),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_epochs),
		cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
