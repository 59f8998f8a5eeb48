/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of loaded modules.  Readers (any thread, any hook) see one
 * immutable sorted array, which a refresh replaces; old arrays stay in the
 * arena, because a reader may still be in them.  A refresh is taken by one
 * thread at a time, others go on without; a fork child finds the flag open.
 */
#include "modules.h"

#include <link.h>
#include <string.h>
#include <time.h>

#include "arena.h"
#include "cfi.h"
#include "clock.h"
#include "emit.h"
#include "hot.h"
#include "rawio.h"
#include "spin.h"

enum { MODULES_MAX = 32768, RECORDS_MAX = 2 * MODULES_MAX, RANGES_MAX = 65536 };

#define PAUSE_MIN UINT64_C(1000000)    /* ns between two refreshes in vain ... */
#define PAUSE_MAX UINT64_C(1000000000) /* ... doubling up to this */

struct module {
	struct module_elf elf;
	uintptr_t base;
	uint64_t inode;
	uint32_t device;
	bool seen, gone; /* refresh only */
	const char *path;
};

/* A range of code; module 0: not of a file, that is made at run time. */
struct range {
	uintptr_t start, end;
	uint32_t module;
};

struct table {
	size_t count;
	struct range ranges[];
};

static struct module *s_modules[MODULES_MAX]; /* by number; [0] is not used */
static uint32_t s_module_count;
static struct module_record *s_records[RECORDS_MAX];
static uint32_t s_record_count;
static struct table *s_table;
static HOT uint32_t s_epoch = 1;
static struct spin s_refreshing;
static uint64_t s_pause, s_next; /* when an unknown pc is worth a look again */

uint32_t modules_epoch(void)
{
	return __atomic_load_n(&s_epoch, __ATOMIC_ACQUIRE);
}

uintptr_t modules_bias(uint32_t tag)
{
	return tag > CASTAWAY_FRAME_MODULE0 ? s_modules[tag - CASTAWAY_FRAME_MODULE0]->elf.bias : 0;
}

static const struct range *range_find(uintptr_t pc)
{
	const struct table *table = __atomic_load_n(&s_table, __ATOMIC_ACQUIRE);
	size_t low = 0, high = table ? table->count : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (table->ranges[middle].end <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	return table && low < table->count && table->ranges[low].start <= pc ? &table->ranges[low] : NULL;
}

uint32_t modules_find(uintptr_t pc, uintptr_t *load_bias)
{
	const struct range *range = range_find(pc);

	*load_bias = range && range->module ? s_modules[range->module]->elf.bias : 0;
	return range ? range->module : 0;
}

uint32_t modules_of_data(uintptr_t address)
{
	/* The newest: where one was, another may have come. */
	for (uint32_t number = s_module_count; number > 0; number--) {
		const struct module *module = s_modules[number];

		if (!module->gone && address >= module->elf.start && address < module->elf.end)
			return number;
	}
	return 0;
}

bool modules_frame_info(uintptr_t pc, struct cfi_section *ret)
{
	const struct range *range = range_find(pc);
	const struct module_elf *elf = range && range->module ? &s_modules[range->module]->elf : NULL;
	const Elf64_Phdr *phdrs = elf ? elf->phdrs : NULL;

	for (uint16_t i = 0; phdrs && i < elf->phdr_count; i++) {
		uintptr_t start = elf->bias + phdrs[i].p_vaddr;

		if (phdrs[i].p_type != PT_GNU_EH_FRAME || start < elf->start || start >= elf->end ||
		    phdrs[i].p_memsz > elf->end - start)
			continue;
		*ret = (struct cfi_section){(const uint8_t *)start, phdrs[i].p_memsz, elf->start, elf->end};
		return true;
	}
	return false;
}

/* ---- records for the writer ------------------------------------------------ */

static void record_add(uint8_t op, uint32_t number)
{
	const struct module *module = s_modules[number];
	struct module_record *record = arena_alloc(sizeof(*record));
	uint32_t index = s_record_count;

	if (!record || index >= RECORDS_MAX)
		return;
	*record = (struct module_record){
		.op = op,
		.number = number,
		.load_bias = module->elf.bias,
		.start = module->elf.start,
		.end = module->elf.end,
		.ticks = clock_moment(),
		.path = module->path,
		.build_id_size = module->elf.build_id_size,
	};
	memcpy(record->build_id, module->elf.build_id, sizeof(record->build_id));
	s_records[index] = record;
	__atomic_store_n(&s_record_count, index + 1, __ATOMIC_RELEASE);
}

uint32_t modules_record_count(void)
{
	return __atomic_load_n(&s_record_count, __ATOMIC_ACQUIRE);
}

const struct module_record *modules_record(uint32_t index)
{
	return s_records[index];
}

/* ---- refresh --------------------------------------------------------------- */

struct scan {
	struct range *ranges;
	size_t count;
	struct module_mapping base; /* the last mapping of a file's start; path is in `path` */
	char path[4096];
	uint32_t module; /* of base; 0 = not looked at, or not ELF */
	bool looked, changed;
};

static const char *path_copy(const char *path)
{
	size_t size = strlen(path) + 1;
	char *copy = arena_alloc(size);

	return copy ? memcpy(copy, path, size) : "";
}

static uint32_t module_known(const struct module_mapping *base)
{
	for (uint32_t number = s_module_count; number > 0; number--) {
		const struct module *module = s_modules[number];

		if (!module->gone && module->base == base->start && module->inode == base->inode &&
		    module->device == base->device)
			return number;
	}
	return 0;
}

static uint32_t module_add(const struct scan *scan)
{
	struct module_elf elf;
	struct module *module;
	uint32_t number = s_module_count + 1;

	if (number >= MODULES_MAX || !modules_elf_read(scan->base.start, &elf))
		return 0;
	module = arena_alloc(sizeof(*module));
	if (!module)
		return 0;
	*module = (struct module){
		.elf = elf,
		.base = scan->base.start,
		.inode = scan->base.inode,
		.device = scan->base.device,
		.path = path_copy(scan->path),
	};
	s_modules[number] = module;
	s_module_count = number;
	record_add(CASTAWAY_MODULE_LOAD, number);
	return number;
}

/* Code of a file: the file's start must be an ELF header, else it is not ours
 * to name.  Only files with code are looked at. */
static uint32_t module_of(struct scan *scan, const struct module_mapping *mapping)
{
	const struct module_mapping *base = &scan->base;

	if (base->inode != mapping->inode || base->device != mapping->device ||
	    strncmp(scan->path, mapping->path, sizeof(scan->path) - 1) != 0)
		return 0;
	if (!scan->looked) {
		scan->looked = true;
		scan->module = module_known(base);
		if (!scan->module) {
			scan->module = module_add(scan);
			scan->changed = scan->changed || scan->module;
		}
		if (scan->module)
			s_modules[scan->module]->seen = true;
	}
	return scan->module;
}

static void scan_mapping(const struct module_mapping *mapping, void *arg)
{
	struct scan *scan = arg;
	bool file = mapping->inode != 0 || strcmp(mapping->path, "[vdso]") == 0;

	if (file && mapping->offset == 0) {
		scan->base = *mapping;
		strncpy(scan->path, mapping->path, sizeof(scan->path) - 1);
		scan->looked = false;
		scan->module = 0;
	}
	if (!mapping->executable || scan->count >= RANGES_MAX)
		return;
	scan->ranges[scan->count++] = (struct range){
		.start = mapping->start,
		.end = mapping->end,
		.module = file ? module_of(scan, mapping) : 0,
	};
}

static void forget_unseen(struct scan *scan)
{
	for (uint32_t number = 1; number <= s_module_count; number++) {
		struct module *module = s_modules[number];

		if (module->gone || module->seen)
			continue;
		module->gone = true;
		scan->changed = true;
		record_add(CASTAWAY_MODULE_UNLOAD, number);
	}
}

static bool same(const struct table *table, const struct scan *scan)
{
	if (!table || table->count != scan->count)
		return false;
	for (size_t i = 0; i < scan->count; i++)
		if (table->ranges[i].start != scan->ranges[i].start ||
		    table->ranges[i].end != scan->ranges[i].end ||
		    table->ranges[i].module != scan->ranges[i].module)
			return false;
	return true;
}

/* The kernel lists mappings in order of their addresses: sorted as they come. */
static bool publish(struct scan *scan)
{
	struct table *table;
	size_t size = sizeof(*table) + scan->count * sizeof(struct range);

	if (same(s_table, scan))
		return scan->changed;
	table = size < (32u << 10) ? arena_alloc(size) : arena_map(size);
	if (!table)
		return false;
	table->count = scan->count;
	memcpy(table->ranges, scan->ranges, scan->count * sizeof(struct range));
	__atomic_store_n(&s_table, table, __ATOMIC_RELEASE);
	/* After the table: who sees the new epoch must not look in the old one. */
	__atomic_add_fetch(&s_epoch, 1, __ATOMIC_RELEASE);
	return true;
}

static bool refresh(void)
{
	static struct range *s_scratch;
	static struct scan s_scan;
	struct scan *scan = &s_scan;
	bool changed = false;

	scan->ranges = arena_map_once((void **)&s_scratch, RANGES_MAX * sizeof(struct range));
	if (!scan->ranges)
		return false;
	scan->count = 0;
	scan->changed = false;
	scan->base = (struct module_mapping){0};
	scan->looked = false;
	for (uint32_t number = 1; number <= s_module_count; number++)
		s_modules[number]->seen = false;
	if (modules_maps_read(scan_mapping, scan)) {
		forget_unseen(scan);
		changed = publish(scan);
	}
	return changed;
}

void modules_refresh(void)
{
	if (!spin_try(&s_refreshing))
		return;
	refresh();
	__atomic_store_n(&s_pause, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&s_next, 0, __ATOMIC_RELAXED);
	spin_unlock(&s_refreshing);
}

/* Generated code is known as such once it was seen; programs that make more of
 * it all the time are looked at less and less often. */
bool modules_discover(uintptr_t pc)
{
	bool changed;
	uint64_t now;

	if (range_find(pc))
		return false;
	now = rawio_clock(CLOCK_MONOTONIC);
	if (now < __atomic_load_n(&s_next, __ATOMIC_RELAXED) || !spin_try(&s_refreshing))
		return false;
	changed = refresh();
	if (changed && range_find(pc))
		s_pause = 0;
	else
		s_pause = s_pause ? s_pause * 2 : PAUSE_MIN;
	if (s_pause > PAUSE_MAX)
		s_pause = PAUSE_MAX;
	__atomic_store_n(&s_next, now + s_pause, __ATOMIC_RELAXED);
	spin_unlock(&s_refreshing);
	return changed;
}

int modules_iterate_phdr(int (*visit)(struct dl_phdr_info *info, size_t size, void *arg), void *arg)
{
	const struct table *table = __atomic_load_n(&s_table, __ATOMIC_ACQUIRE);
	uint32_t last = 0;
	int result = 0;

	for (size_t i = 0; table && i < table->count && result == 0; i++) {
		const struct module *module = s_modules[table->ranges[i].module];
		struct dl_phdr_info info = {0};

		/* A module's ranges follow each other. */
		if (!module || table->ranges[i].module == last)
			continue;
		last = table->ranges[i].module;
		info.dlpi_addr = module->elf.bias;
		info.dlpi_name = module->path;
		info.dlpi_phdr = module->elf.phdrs;
		info.dlpi_phnum = module->elf.phdr_count;
		info.dlpi_adds = modules_epoch();
		info.dlpi_subs = 0;
		result = visit(&info, sizeof(info), arg);
	}
	return result;
}
