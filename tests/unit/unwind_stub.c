/* SPDX-License-Identifier: Apache-2.0
 *
 * Stand-ins for modules.c, maps.c and arch_x86_64.c around the unwinder.
 */
#include "unwind_stub.h"

#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload/arch.h"
#include "preload/arena.h"
#include "preload/cfi.h"
#include "preload/maps.h"
#include "preload/modules.h"

uint32_t g_unwind_stub_epoch = 1;

uint32_t modules_epoch(void)
{
	return g_unwind_stub_epoch;
}

uint32_t modules_find(uintptr_t pc, uintptr_t *load_bias)
{
	*load_bias = 0;
	return 0;
}

uintptr_t modules_bias(uint32_t tag)
{
	return 0;
}

bool modules_discover(uintptr_t pc)
{
	return false;
}

struct search {
	uintptr_t pc;
	struct cfi_section *ret;
};

static int find_section(struct dl_phdr_info *info, size_t size, void *arg)
{
	const struct search *search = arg;
	struct cfi_section section = {.start = UINTPTR_MAX};

	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *phdr = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + phdr->p_vaddr;

		if (phdr->p_type == PT_GNU_EH_FRAME) {
			section.header = (const uint8_t *)start;
			section.header_size = phdr->p_memsz;
		}
		if (phdr->p_type == PT_LOAD && start < section.start)
			section.start = start;
		if (phdr->p_type == PT_LOAD && start + phdr->p_memsz > section.end)
			section.end = start + phdr->p_memsz;
	}
	if (search->pc < section.start || search->pc >= section.end || section.header == NULL)
		return 0;
	*search->ret = section;
	return 1;
}

bool modules_frame_info(uintptr_t pc, struct cfi_section *ret)
{
	struct search search = {pc, ret};

	return dl_iterate_phdr(find_section, &search) == 1;
}

bool maps_read_one(uint64_t address, struct maps_entry *ret)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[4352];
	bool found = false;

	while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
		char *end;

		ret->start = strtoull(line, &end, 16);
		ret->end = strtoull(end + 1, NULL, 16);
		ret->kind = strstr(line, "[stack]") ? MAPS_STACK : MAPS_ANONYMOUS;
		found = address >= ret->start && address < ret->end;
	}
	if (file != NULL)
		fclose(file);
	return found;
}

long arch_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	return syscall(number, a, b, c, d, e, f);
}
