/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds the ELF files of a module by build id and reads their symbol tables.
 * Files are read, never mapped: one that shrinks under us must not end in a
 * SIGBUS.  Nothing here touches the network.
 */
#include "symbols_elf.h"

#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_SYMBOLS     (16u << 20)
#define MAX_CANDIDATES  64
#define SYSTEM_DEBUG    "/usr/lib/debug"
#define NEIGHBOURS_BACK 64 /* how far to look for a symbol that encloses its successors */

static void file_close(struct symbols_file *file)
{
	if (file->elf != NULL) {
		elf_end(file->elf);
		close(file->fd);
	}
	file->elf = NULL;
	file->fd = -1;
}

/* Nonblocking, because a trace may name a FIFO or a device. */
static bool file_open(struct symbols_file *file, const char *path)
{
	struct stat status;

	file->elf = NULL;
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (file->fd < 0)
		return false;
	if (fstat(file->fd, &status) == 0 && S_ISREG(status.st_mode))
		file->elf = elf_begin(file->fd, ELF_C_READ, NULL);
	if (file->elf != NULL && elf_kind(file->elf) == ELF_K_ELF)
		return true;
	if (file->elf != NULL)
		elf_end(file->elf);
	file->elf = NULL;
	close(file->fd);
	return false;
}

/* A module without a build id matches only files without one. */
static bool same_build_id(Elf *elf, const struct trace_module *module)
{
	const void *id = NULL;
	ssize_t size = dwelf_elf_gnu_build_id(elf, &id);

	if (size < 0)
		size = 0;
	if ((size_t)size != module->build_id_size)
		return false;
	return size == 0 || memcmp(id, module->build_id, (size_t)size) == 0;
}

/* The section of this type or, when `name` is given, of this name.  A separate
 * debug file keeps the headers of what it left out as SHT_NOBITS. */
static Elf_Scn *find_section(Elf *elf, uint32_t type, const char *name)
{
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names) != 0)
		return NULL;
	while ((section = elf_nextscn(elf, section)) != NULL) {
		GElf_Shdr header;
		const char *text;

		if (gelf_getshdr(section, &header) == NULL || header.sh_type == SHT_NOBITS)
			continue;
		if (name == NULL && header.sh_type == type)
			return section;
		text = name != NULL ? elf_strptr(elf, names, header.sh_name) : NULL;
		if (text != NULL && strcmp(text, name) == 0)
			return section;
	}
	return NULL;
}

/* ---- where to look -------------------------------------------------------- */

struct candidates {
	char *path[MAX_CANDIDATES];
	size_t count;
};

static void __attribute__((format(printf, 2, 3)))
candidates_add(struct candidates *list, const char *format, ...)
{
	va_list arguments;
	char *path = NULL;

	if (list->count == MAX_CANDIDATES)
		return;
	va_start(arguments, format);
	if (vasprintf(&path, format, arguments) < 0)
		path = NULL;
	va_end(arguments);
	if (path != NULL)
		list->path[list->count++] = path;
}

static void candidates_free(struct candidates *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->path[i]);
	list->count = 0;
}

static void add_build_id(struct candidates *list, const char *directory, const struct trace_module *module)
{
	char hex[2 * sizeof(module->build_id) + 1] = "";

	if (module->build_id_size < 2 || module->build_id_size > sizeof(module->build_id))
		return;
	for (uint32_t i = 0; i < module->build_id_size; i++)
		snprintf(hex + 2 * i, 3, "%02x", module->build_id[i]);
	candidates_add(list, "%s/.build-id/%.2s/%s.debug", directory, hex, hex + 2);
	candidates_add(list, "%s/.build-id/%.2s/%s", directory, hex, hex + 2);
}

/* A relative path means nothing on another machine or in another directory;
 * only a build id makes it safe to try. */
static bool path_usable(const struct trace_module *module)
{
	return module->path != NULL &&
	       (module->path[0] == '/' ||
		(module->path[0] != '\0' && module->path[0] != '[' && module->build_id_size > 0));
}

static void collect_candidates(struct candidates *list, const struct trace_module *module,
			       char *const *debug_dirs)
{
	const char *path = path_usable(module) ? module->path : NULL;
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;

	for (size_t i = 0; debug_dirs != NULL && debug_dirs[i] != NULL; i++) {
		add_build_id(list, debug_dirs[i], module);
		if (path != NULL) {
			candidates_add(list, "%s/%s", debug_dirs[i], path);
			candidates_add(list, "%s/%s.debug", debug_dirs[i], path);
		}
		if (slash != NULL) {
			candidates_add(list, "%s%s", debug_dirs[i], slash);
			candidates_add(list, "%s%s.debug", debug_dirs[i], slash);
		}
	}
	if (path != NULL)
		candidates_add(list, "%s", path);
	add_build_id(list, SYSTEM_DEBUG, module);
	if (path != NULL && slash != NULL) {
		candidates_add(list, "%.*s/.debug%s", (int)(slash - path), path, slash);
		candidates_add(list, "%.*s/.debug%s.debug", (int)(slash - path), path, slash);
	}
	if (path != NULL)
		candidates_add(list, SYSTEM_DEBUG "/%s.debug", path);
}

/* The name that the stripped file itself gives for its debug file. */
static void add_debuglink(struct candidates *list, const struct trace_module *module, Elf *elf)
{
	const char *slash = path_usable(module) ? strrchr(module->path, '/') : NULL;
	GElf_Word crc;
	const char *name = dwelf_elf_gnu_debuglink(elf, &crc);
	int length;

	if (slash == NULL || name == NULL || strchr(name, '/') != NULL)
		return;
	length = (int)(slash - module->path);
	candidates_add(list, "%.*s/%s", length, module->path, name);
	candidates_add(list, "%.*s/.debug/%s", length, module->path, name);
	candidates_add(list, SYSTEM_DEBUG "%.*s/%s", length, module->path, name);
}

/* ---- symbol tables -------------------------------------------------------- */

/* Of several names for one address: the exported one before local and weak
 * aliases, and the plain one before `__libc_...`. */
static uint8_t symbol_rank(const GElf_Sym *symbol, const char *name)
{
	unsigned bind = GELF_ST_BIND(symbol->st_info);
	unsigned rank = 0;

	if (bind == STB_GLOBAL)
		rank = 4;
	else if (bind == STB_WEAK)
		rank = 2;
	return (uint8_t)(rank + (name[0] != '_' || name[1] == 'Z' || name[1] == 'R'));
}

static int compare_symbols(const void *a, const void *b)
{
	const struct symbols_symbol *left = a, *right = b;

	if (left->value != right->value)
		return left->value < right->value ? -1 : 1;
	if (left->rank != right->rank)
		return left->rank < right->rank ? -1 : 1;
	return strcmp(left->name, right->name);
}

/* Where the section that `symbol` is defined in ends. */
static uint64_t section_end(Elf *elf, const GElf_Sym *symbol)
{
	GElf_Shdr header;

	if (symbol->st_shndx >= SHN_LORESERVE ||
	    gelf_getshdr(elf_getscn(elf, symbol->st_shndx), &header) == NULL ||
	    header.sh_addr > symbol->st_value || header.sh_size > UINT64_MAX - header.sh_addr)
		return symbol->st_value;
	return header.sh_addr + header.sh_size;
}

/* Hand-written assembly has no sizes: such a symbol reaches to the next one,
 * and not beyond its section. */
static void size_symbols(struct symbols_elf *elf)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = elf->symbol_count; i > 0; i--) {
		struct symbols_symbol *symbol = &elf->symbols[i - 1];
		uint64_t end = symbol->end < next ? symbol->end : next;

		if (symbol->size == 0 && end > symbol->value)
			symbol->size = end - symbol->value;
		if (i > 1 && elf->symbols[i - 2].value < symbol->value)
			next = symbol->value;
	}
}

static void read_symbols(struct symbols_elf *elf, Elf_Scn *section)
{
	GElf_Shdr header;
	Elf_Data *data = elf_getdata(section, NULL);
	size_t count;

	if (data == NULL || gelf_getshdr(section, &header) == NULL || header.sh_entsize == 0)
		return;
	count = data->d_size / header.sh_entsize;
	if (count > MAX_SYMBOLS)
		count = MAX_SYMBOLS;
	elf->symbols = calloc(count > 0 ? count : 1, sizeof(*elf->symbols));
	for (size_t i = 0; elf->symbols != NULL && i < count; i++) {
		GElf_Sym symbol;
		const char *name;

		if (gelf_getsym(data, (int)i, &symbol) == NULL || symbol.st_shndx == SHN_UNDEF)
			continue;
		if (GELF_ST_TYPE(symbol.st_info) != STT_FUNC && GELF_ST_TYPE(symbol.st_info) != STT_GNU_IFUNC)
			continue;
		name = elf_strptr(elf->table.elf, header.sh_link, symbol.st_name);
		if (name == NULL || *name == '\0')
			continue;
		elf->symbols[elf->symbol_count++] = (struct symbols_symbol){
			.value = symbol.st_value,
			.size = symbol.st_size,
			.end = section_end(elf->table.elf, &symbol),
			.name = name,
			.rank = symbol_rank(&symbol, name),
		};
	}
	if (elf->symbol_count > 1)
		qsort(elf->symbols, elf->symbol_count, sizeof(*elf->symbols), compare_symbols);
	size_symbols(elf);
}

const struct symbols_symbol *symbols_elf_find(const struct symbols_elf *elf, uint64_t address)
{
	size_t low = 0, high = elf->symbol_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (elf->symbols[middle].value <= address)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t back = 0; back < NEIGHBOURS_BACK && back < low; back++) {
		const struct symbols_symbol *symbol = &elf->symbols[low - 1 - back];

		if (address - symbol->value < symbol->size)
			return symbol;
	}
	return NULL;
}

static Elf_Scn *symbol_section(const struct symbols_elf *elf)
{
	Elf_Scn *section = find_section(elf->table.elf, SHT_SYMTAB, NULL);

	return section != NULL ? section : find_section(elf->table.elf, SHT_DYNSYM, NULL);
}

const char *symbols_elf_variable(const struct symbols_elf *elf, uint64_t address, uint64_t *offset)
{
	Elf_Scn *section = elf->table.elf != NULL ? symbol_section(elf) : NULL;
	Elf_Data *data = section != NULL ? elf_getdata(section, NULL) : NULL;
	const char *best = NULL;
	GElf_Shdr header;
	GElf_Sym symbol;

	if (data == NULL || gelf_getshdr(section, &header) == NULL || header.sh_entsize == 0)
		return NULL;
	for (size_t i = 0; i < data->d_size / header.sh_entsize && i < MAX_SYMBOLS; i++) {
		const char *name;

		if (gelf_getsym(data, (int)i, &symbol) == NULL ||
		    GELF_ST_TYPE(symbol.st_info) != STT_OBJECT || symbol.st_shndx == SHN_UNDEF ||
		    address - symbol.st_value >= symbol.st_size)
			continue;
		name = elf_strptr(elf->table.elf, header.sh_link, symbol.st_name);
		if (name == NULL || *name == '\0' || (best != NULL && address - symbol.st_value >= *offset))
			continue;
		best = name;
		*offset = address - symbol.st_value;
	}
	return best;
}

/* ---- opening -------------------------------------------------------------- */

/* Keeps `file` for what it is good for; returns false when it is not wanted. */
static bool keep_file(struct symbols_elf *elf, const struct symbols_file *file, bool *full_table)
{
	bool kept = false;

	if (elf->debug.elf == NULL && find_section(file->elf, 0, ".debug_info") != NULL) {
		elf->debug = *file;
		kept = true;
	}
	if (!*full_table && find_section(file->elf, SHT_SYMTAB, NULL) != NULL) {
		if (elf->table.elf != NULL && !elf->shared)
			file_close(&elf->table);
		*full_table = true;
	} else if (elf->table.elf != NULL || find_section(file->elf, SHT_DYNSYM, NULL) == NULL) {
		return kept;
	}
	elf->table = *file;
	elf->shared = kept;
	return true;
}

void symbols_elf_open(struct symbols_elf *elf, const struct trace_module *module, char *const *debug_dirs)
{
	struct candidates list = {.count = 0};
	bool full_table = false, linked = false;
	Elf_Scn *section = NULL;

	*elf = (struct symbols_elf){.debug = {.fd = -1}, .table = {.fd = -1}};
	collect_candidates(&list, module, debug_dirs);
	for (size_t i = 0; i < list.count && (elf->debug.elf == NULL || !full_table); i++) {
		struct symbols_file file;

		if (!file_open(&file, list.path[i]))
			continue;
		if (!same_build_id(file.elf, module)) {
			file_close(&file);
			continue;
		}
		if (!linked && module->build_id_size > 0)
			add_debuglink(&list, module, file.elf);
		linked = true;
		elf->unverified = module->build_id_size == 0;
		if (!keep_file(elf, &file, &full_table))
			file_close(&file);
	}
	candidates_free(&list);
	if (elf->table.elf == NULL)
		return;
	section = symbol_section(elf);
	if (section != NULL)
		read_symbols(elf, section);
}

void symbols_elf_close(struct symbols_elf *elf)
{
	free(elf->symbols);
	if (!elf->shared)
		file_close(&elf->table);
	file_close(&elf->debug);
	*elf = (struct symbols_elf){.debug = {.fd = -1}, .table = {.fd = -1}};
}
