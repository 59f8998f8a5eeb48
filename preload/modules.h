/* SPDX-License-Identifier: Apache-2.0
 *
 * The loaded modules, inside the preload (stack.h has what others use).
 *
 * Nothing here asks the dynamic loader.  Its locks may be held by a thread that
 * waits for us: a constructor run by dlopen() may wait for a thread that
 * allocates, and its stack may be the first to show a new module.  So the
 * modules are read from /proc/self/maps, with raw system calls, and the ELF
 * headers are copied out by the kernel, which does not fault when the mapping
 * goes away at that moment.
 */
#ifndef MODULES_H
#define MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "castaway/format.h"
#include "stack.h"

struct dl_phdr_info;

/* Changes whenever a module comes or goes. */
uint32_t modules_epoch(void);

/* pc is in no known module: looks for new ones unless that was in vain a short
 * while ago.  True when the table changed. */
bool modules_discover(uintptr_t pc);

static inline uint32_t modules_tag(uint32_t number)
{
	return number ? CASTAWAY_FRAME_MODULE0 + number : CASTAWAY_FRAME_RAW;
}
/* Load bias of a frame tag's module; 0 for others. */
uintptr_t modules_bias(uint32_t tag);

/* The module in whose segments the address lies, data included; 0 = none.  Call
 * where nothing is loaded meanwhile (the snapshot child). */
uint32_t modules_of_data(uintptr_t address);

/* dl_iterate_phdr() over the table, for the unwinder. */
int modules_iterate_phdr(int (*visit)(struct dl_phdr_info *info, size_t size, void *arg), void *arg);

/* Where the module that holds pc keeps its call frame information. */
struct cfi_section;
bool modules_frame_info(uintptr_t pc, struct cfi_section *ret);

/* ---- between modules*.c ---------------------------------------------------- */

/* One line of /proc/self/maps. */
struct module_mapping {
	uintptr_t start, end;
	uint64_t offset, inode;
	uint32_t device;
	bool executable;
	const char *path; /* "" = anonymous; valid during the call */
};
bool modules_maps_read(void (*visit)(const struct module_mapping *mapping, void *arg), void *arg);

/* What the ELF header at `base` says; false when there is none. */
#define MODULE_PHDRS 32
struct module_elf {
	uintptr_t bias, start, end;
	void *phdrs; /* Elf64_Phdr[phdr_count], in the arena */
	uint16_t phdr_count;
	uint8_t build_id[64];
	uint32_t build_id_size;
};
bool modules_elf_read(uintptr_t base, struct module_elf *ret);

#endif
