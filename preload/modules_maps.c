/* SPDX-License-Identifier: Apache-2.0
 *
 * /proc/self/maps and the ELF headers that it points to.  Runs in the target's
 * threads, under the guard and the flag of modules_refresh(), on raw system
 * calls: it takes no lock and touches no mapping of the target directly.
 */
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "arena.h"
#include "modules.h"
#include "rawio.h"

#define LINE_MAX_   8192u /* an address range and a path of PATH_MAX, escaped in part */
#define NOTES_MAX   4096u
#define SEGMENT_MAX (UINT64_C(1) << 40)

/* One refresh at a time uses these. */
static char s_text[2 * LINE_MAX_];
static union {
	Elf64_Ehdr header;
	Elf64_Phdr phdrs[MODULE_PHDRS];
	uint8_t notes[NOTES_MAX];
} s_elf;

static const char *number(const char *at, unsigned base, uint64_t *ret)
{
	uint64_t value = 0;

	for (;; at++) {
		unsigned digit = 99;

		if (*at >= '0' && *at <= '9')
			digit = (unsigned)(*at - '0');
		else if (*at >= 'a' && *at <= 'f')
			digit = (unsigned)(*at - 'a') + 10;
		if (digit >= base)
			break;
		value = value * base + digit;
	}
	*ret = value;
	return at;
}

static const char *after(const char *at, char separator)
{
	return *at == separator ? at + 1 : at;
}

/* "start-end rwxp offset major:minor inode   path" */
static void line_parse(char *line, struct module_mapping *ret)
{
	static const char deleted[] = " (deleted)";
	uint64_t value, minor;
	const char *at = number(line, 16, &value);
	size_t length;

	ret->start = value;
	at = number(after(at, '-'), 16, &value);
	ret->end = value;
	at = after(at, ' ');
	ret->executable = strnlen(at, 4) == 4 && at[2] == 'x';
	at += strnlen(at, 4);
	at = number(after(at, ' '), 16, &ret->offset);
	at = number(after(at, ' '), 16, &value);
	at = number(after(at, ':'), 16, &minor);
	ret->device = (uint32_t)(value << 20 | minor);
	at = number(after(at, ' '), 10, &ret->inode);
	while (*at == ' ')
		at++;
	ret->path = at;
	length = strlen(at);
	/* An upgraded library: its path is still the best name that there is. */
	if (length >= sizeof(deleted) && strcmp(at + length - (sizeof(deleted) - 1), deleted) == 0)
		line[(size_t)(at - line) + length - (sizeof(deleted) - 1)] = '\0';
}

bool modules_maps_read(void (*visit)(const struct module_mapping *mapping, void *arg), void *arg)
{
	long fd = rawio_open("/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
	struct module_mapping mapping;
	size_t used = 0;
	long got = 0;

	if (fd < 0)
		return false;
	do {
		char *line = s_text, *end;

		got = RAW_CALL(SYS_read, fd, s_text + used, sizeof(s_text) - 1 - used);
		if (got > 0)
			used += (size_t)got;
		s_text[used] = '\0';
		for (; (end = memchr(line, '\n', used - (size_t)(line - s_text))); line = end + 1) {
			*end = '\0';
			line_parse(line, &mapping);
			visit(&mapping, arg);
		}
		used -= (size_t)(line - s_text);
		memmove(s_text, line, used);
	} while (got > 0 && used < sizeof(s_text) - 1);
	rawio_close((int)fd);
	return got == 0;
}

/* The kernel copies, so that memory which is gone is an error and not a fault. */
static bool copy_out(uintptr_t from, void *to, size_t size)
{
	struct iovec local = {to, size}, remote = {(void *)from, size};

	return RAW_CALL(SYS_process_vm_readv, rawio_pid(), &local, 1, &remote, 1, 0) == (long)size;
}

/* The build id among the notes in [notes, notes + size). */
static void build_id_find(const uint8_t *notes, size_t size, struct module_elf *ret)
{
	size_t at = 0;

	while (at <= size && size - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		size_t name, description;

		memcpy(&note, notes + at, sizeof(note));
		name = at + sizeof(note);
		if (note.n_namesz > size - name)
			return;
		description = name + ((note.n_namesz + 3u) & ~(size_t)3);
		if (description > size || note.n_descsz > size - description)
			return;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    memcmp(notes + name, "GNU", 4) == 0 && note.n_descsz <= sizeof(ret->build_id)) {
			ret->build_id_size = note.n_descsz;
			memcpy(ret->build_id, notes + description, note.n_descsz);
			return;
		}
		at = description + ((note.n_descsz + 3u) & ~(size_t)3);
	}
}

static bool phdrs_read(uintptr_t base, struct module_elf *ret)
{
	const Elf64_Ehdr *header = &s_elf.header;
	uint16_t count;
	uintptr_t at;

	if (!copy_out(base, &s_elf.header, sizeof(s_elf.header)) ||
	    memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64 ||
	    (header->e_type != ET_DYN && header->e_type != ET_EXEC) ||
	    header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phoff > SEGMENT_MAX ||
	    header->e_phnum == 0 || header->e_phnum > MODULE_PHDRS)
		return false;
	count = header->e_phnum;
	at = base + header->e_phoff;
	if (!copy_out(at, s_elf.phdrs, count * sizeof(Elf64_Phdr)))
		return false;
	ret->phdrs = arena_alloc(count * sizeof(Elf64_Phdr));
	if (!ret->phdrs)
		return false;
	memcpy(ret->phdrs, s_elf.phdrs, count * sizeof(Elf64_Phdr));
	ret->phdr_count = count;
	return true;
}

/* The segment with file offset 0 is the one that starts at `base`. */
static bool layout(uintptr_t base, struct module_elf *ret)
{
	const Elf64_Phdr *phdrs = ret->phdrs;
	uint64_t low = UINT64_MAX, high = 0;
	bool based = false;

	for (uint16_t i = 0; i < ret->phdr_count; i++) {
		const Elf64_Phdr *p = &phdrs[i];

		if (p->p_type != PT_LOAD || p->p_memsz > SEGMENT_MAX)
			continue;
		if (p->p_offset < 4096 && !based) {
			ret->bias = base - (p->p_vaddr - p->p_offset);
			based = true;
		}
		low = p->p_vaddr < low ? p->p_vaddr : low;
		high = p->p_vaddr + p->p_memsz > high ? p->p_vaddr + p->p_memsz : high;
	}
	if (!based || low >= high || high - low > SEGMENT_MAX)
		return false;
	ret->start = ret->bias + low;
	ret->end = ret->bias + high;
	return true;
}

bool modules_elf_read(uintptr_t base, struct module_elf *ret)
{
	const Elf64_Phdr *phdrs;

	*ret = (struct module_elf){0};
	if (!phdrs_read(base, ret) || !layout(base, ret))
		return false;
	phdrs = ret->phdrs;
	for (uint16_t i = 0; i < ret->phdr_count && !ret->build_id_size; i++) {
		size_t size = phdrs[i].p_memsz < NOTES_MAX ? phdrs[i].p_memsz : NOTES_MAX;

		if (phdrs[i].p_type == PT_NOTE && copy_out(ret->bias + phdrs[i].p_vaddr, s_elf.notes, size))
			build_id_find(s_elf.notes, size, ret);
	}
	return true;
}
