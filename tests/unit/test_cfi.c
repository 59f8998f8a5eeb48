/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules of call frames against elfutils, at every row of every entry of every
 * module of this process; and on damaged bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <libelf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload/cfi.h"

#define REG_BP 6
#define REG_SP 7
#define REG_RA 16

#define MODULES 64

struct module {
	char path[4096];
	uintptr_t bias;
	struct cfi_section section;
};

static struct module s_modules[MODULES];
static size_t s_module_count;

static int note_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct module *module = &s_modules[s_module_count];

	if (s_module_count == MODULES || strstr(info->dlpi_name, "vdso") != NULL)
		return 0;
	*module = (struct module){.bias = info->dlpi_addr, .section = {.start = UINTPTR_MAX}};
	strncpy(module->path, *info->dlpi_name ? info->dlpi_name : "/proc/self/exe",
		sizeof(module->path) - 1);
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *phdr = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + phdr->p_vaddr;

		if (phdr->p_type == PT_GNU_EH_FRAME) {
			module->section.header = (const uint8_t *)start;
			module->section.header_size = phdr->p_memsz;
		}
		if (phdr->p_type != PT_LOAD)
			continue;
		if (start < module->section.start)
			module->section.start = start;
		if (start + phdr->p_memsz > module->section.end)
			module->section.end = start + phdr->p_memsz;
	}
	s_module_count += module->section.header != NULL;
	return 0;
}

/* ---- the oracle ------------------------------------------------------------ */

/* 1: the caller's value is at CFA + *offset; 0: it is unchanged; -1: there is
 * none; -2: anything else. */
static int saved(Dwarf_Frame *frame, int reg, int64_t *offset)
{
	Dwarf_Op memory[3], *ops;
	size_t count;

	assert_int_equal(dwarf_frame_register(frame, reg, memory, &ops, &count), 0);
	if (count == 0)
		return ops == memory ? -1 : 0;
	if (count > 2 || ops[0].atom != DW_OP_call_frame_cfa ||
	    (count == 2 && ops[1].atom != DW_OP_plus_uconst))
		return -2;
	*offset = count == 2 ? (int64_t)ops[1].number : 0;
	return 1;
}

/* What a rule may say, as elfutils reads the frame. */
static struct cfi_rule oracle(Dwarf_Frame *frame, bool signal)
{
	struct cfi_rule rule = {.kind = CFI_BEYOND};
	int64_t ra_offset = 0, bp_offset = 0, offset;
	int ra = saved(frame, REG_RA, &ra_offset), bp = saved(frame, REG_BP, &bp_offset);
	Dwarf_Op *ops;
	size_t count;

	if (signal)
		return rule;
	if (ra == -1) {
		rule.kind = CFI_END;
		return rule;
	}
	if (dwarf_frame_cfa(frame, &ops, &count) != 0 || count != 1 || ra != 1 || ra_offset != -8 || bp < 0)
		return rule;
	if (ops[0].atom == DW_OP_bregx) {
		rule.base_is_bp = ops[0].number == REG_BP;
		offset = (int64_t)ops[0].number2;
		if (ops[0].number != REG_BP && ops[0].number != REG_SP)
			return rule;
	} else {
		rule.base_is_bp = ops[0].atom == DW_OP_breg0 + REG_BP;
		offset = (int64_t)ops[0].number;
		if (ops[0].atom != DW_OP_breg0 + REG_BP && ops[0].atom != DW_OP_breg0 + REG_SP)
			return (struct cfi_rule){.kind = CFI_BEYOND};
	}
	rule.kind = CFI_STEP;
	rule.cfa_offset = (int32_t)offset;
	rule.bp_offset = bp == 1 ? (int16_t)bp_offset : 0;
	return rule;
}

static struct {
	size_t rows, steps, ends, beyond, based_on_bp, bp_saved;
} s_seen;

static void compare(const struct module *module, uintptr_t pc, struct cfi_rule wanted)
{
	struct cfi_rule rule = cfi_rule_at(&module->section, pc);

	s_seen.rows++;
	if (rule.kind != wanted.kind || (rule.kind == CFI_STEP && (rule.base_is_bp != wanted.base_is_bp ||
								   rule.cfa_offset != wanted.cfa_offset ||
								   rule.bp_offset != wanted.bp_offset)))
		fail_msg("%s, %#lx: kind %d, base %d, cfa %d, bp %d; elfutils says %d, %d, %d, %d",
			 module->path, (unsigned long)(pc - module->bias), rule.kind, rule.base_is_bp,
			 rule.cfa_offset, rule.bp_offset, wanted.kind, wanted.base_is_bp, wanted.cfa_offset,
			 wanted.bp_offset);
	s_seen.steps += rule.kind == CFI_STEP;
	s_seen.ends += rule.kind == CFI_END;
	s_seen.beyond += rule.kind == CFI_BEYOND;
	s_seen.based_on_bp += rule.kind == CFI_STEP && rule.base_is_bp;
	s_seen.bp_saved += rule.kind == CFI_STEP && rule.bp_offset != 0;
}

/* All rows of the entry that begins at `pc`; the next one begins at `limit`. */
static void compare_entry(const struct module *module, Dwarf_CFI *cfi, Dwarf_Addr pc, Dwarf_Addr limit)
{
	Dwarf_Addr start, end;
	Dwarf_Frame *frame;
	bool signal;

	while (pc < limit && dwarf_cfi_addrframe(cfi, pc, &frame) == 0) {
		assert_int_equal(dwarf_frame_info(frame, &start, &end, &signal), REG_RA);
		assert_true(start <= pc && pc < end);
		compare(module, pc + module->bias, oracle(frame, signal));
		compare(module, end - 1 + module->bias, oracle(frame, signal));
		free(frame);
		pc = end;
	}
}

/* The header's table gives the entries: pairs of 32-bit offsets behind 12 bytes. */
static uint32_t entry_count(const struct cfi_section *section)
{
	uint32_t count;

	memcpy(&count, section->header + 8, sizeof(count));
	return count;
}

static uintptr_t entry_start(const struct cfi_section *section, uint32_t index)
{
	int32_t offset;

	memcpy(&offset, section->header + 12 + (size_t)index * 8, sizeof(offset));
	return (uintptr_t)section->header + (uintptr_t)(intptr_t)offset;
}

static void compare_module(const struct module *module)
{
	int fd = open(module->path, O_RDONLY | O_CLOEXEC);
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	Dwarf_CFI *cfi = dwarf_getcfi_elf(elf);

	assert_true(fd >= 0);
	assert_non_null(cfi);
	for (uint32_t i = 0, count = entry_count(&module->section); i < count; i++)
		compare_entry(module, cfi, entry_start(&module->section, i) - module->bias,
			      i + 1 < count ? entry_start(&module->section, i + 1) - module->bias
					    : UINT64_MAX);
	dwarf_cfi_end(cfi);
	elf_end(elf);
	close(fd);
}

static void test_as_elfutils_says(void **state)
{
	for (size_t i = 0; i < s_module_count; i++)
		compare_module(&s_modules[i]);
	assert_true(s_module_count >= 3);
	/* Of each kind there are some, or the comparison says little. */
	assert_true(s_seen.rows > 10000 && s_seen.steps > s_seen.rows / 2);
	assert_true(s_seen.ends > 0 && s_seen.beyond > 0);
	assert_true(s_seen.based_on_bp > 0 && s_seen.bp_saved > 0);
}

/* Between two functions, and outside of all of them, nothing is known. */
static void test_no_entry(void **state)
{
	const struct cfi_section *section = &s_modules[0].section;

	assert_int_equal(cfi_rule_at(section, section->start).kind, CFI_BEYOND);
	assert_int_equal(cfi_rule_at(section, section->end - 1).kind, CFI_BEYOND);
	assert_int_equal(cfi_rule_at(section, 0).kind, CFI_BEYOND);
	assert_int_equal(cfi_rule_at(section, UINTPTR_MAX).kind, CFI_BEYOND);
}

/* ---- damage ------------------------------------------------------------------ */

static uint64_t s_random = 88172645463325252u;

static uint64_t draw(uint64_t limit)
{
	s_random ^= s_random << 13;
	s_random ^= s_random >> 7;
	s_random ^= s_random << 17;
	return s_random % limit;
}

/* The frame information of a module, from its header on, between pages that
 * cannot be read. */
static struct cfi_section copy_section(const struct cfi_section *from, size_t size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (size + page - 1) / page * page;
	uint8_t *pages = mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *copy = pages + page + room - size;

	assert_true(pages != MAP_FAILED);
	assert_int_equal(mprotect(pages + page, room, PROT_READ | PROT_WRITE), 0);
	memcpy(copy, from->header, size);
	return (struct cfi_section){copy, from->header_size, (uintptr_t)copy, (uintptr_t)copy + size};
}

/* Whatever the bytes say: it ends, and reads nothing outside. */
static void test_damaged(void **state)
{
	const struct cfi_section *from = &s_modules[0].section;
	const size_t size = 2 * from->header_size + 4096;
	struct cfi_section section;
	size_t answers = 0;

	assert_true((uintptr_t)from->header + size <= from->end);
	section = copy_section(from, size);
	for (unsigned round = 0; round < 2000; round++) {
		uint8_t *bytes = (uint8_t *)section.start;
		size_t at[8];

		for (unsigned i = 0; i < 8; i++) {
			at[i] = draw(size);
			bytes[at[i]] = (uint8_t)draw(256);
		}
		for (unsigned i = 0; i < 50; i++) {
			uintptr_t pc = entry_start(from, (uint32_t)draw(entry_count(from))) + draw(64);

			pc += section.start - (uintptr_t)from->header;
			answers += cfi_rule_at(&section, pc).kind != CFI_BEYOND;
		}
		for (unsigned i = 0; i < 8; i++)
			bytes[at[i]] = from->header[at[i]];
	}
	assert_true(answers > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_elfutils_says),
		cmocka_unit_test(test_no_entry),
		cmocka_unit_test(test_damaged),
	};

	elf_version(EV_CURRENT);
	dl_iterate_phdr(note_module, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
