/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory map.  Runs in the snapshot child; raw system calls, arena memory.
 */
#include "maps.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "arena.h"
#include "rawio.h"

#define LINE_MAX_   8192u /* a path may be long; what is beyond is not needed */
#define FIRST_COUNT 1024u
#define PAGE        4096u

static bool grow(struct maps *maps)
{
	size_t capacity = maps->capacity ? 2 * maps->capacity : FIRST_COUNT;
	struct maps_entry *entries = arena_map(capacity * sizeof(*entries));

	maps->failed = entries == NULL;
	if (maps->failed)
		return false;
	if (maps->count)
		memcpy(entries, maps->entries, maps->count * sizeof(*entries));
	maps->entries = entries; /* the former is left to the end of the child */
	maps->capacity = capacity;
	return true;
}

static const char *hex(const char *at, uint64_t *ret)
{
	uint64_t value = 0;

	for (;; at++) {
		if (*at >= '0' && *at <= '9')
			value = value << 4 | (uint64_t)(*at - '0');
		else if (*at >= 'a' && *at <= 'f')
			value = value << 4 | (uint64_t)(*at - 'a' + 10);
		else
			break;
	}
	*ret = value;
	return at;
}

static uint8_t kind_of(const char *name)
{
	if (strcmp(name, "[heap]") == 0)
		return MAPS_HEAP;
	if (strcmp(name, "[stack]") == 0)
		return MAPS_STACK;
	if (strncmp(name, "[anon", 5) == 0 || *name == '\0')
		return MAPS_ANONYMOUS;
	return *name == '[' ? MAPS_SPECIAL : MAPS_FILE;
}

/* "start-end rwxp offset device inode   name" */
static bool parse(const char *line, struct maps_entry *entry)
{
	const char *at = hex(line, &entry->start);

	if (*at++ != '-')
		return false;
	at = hex(at, &entry->end);
	if (*at++ != ' ' || strlen(at) < 4 || entry->end <= entry->start)
		return false;
	entry->readable = at[0] == 'r';
	entry->writable = at[1] == 'w';
	entry->shared = at[3] == 's';
	for (unsigned field = 0; field < 4 && at != NULL; field++)
		at = strchr(at + 1, ' ');
	while (at != NULL && *at == ' ')
		at++;
	entry->kind = kind_of(at != NULL ? at : "");
	return true;
}

struct lines {
	bool (*visit)(void *arg, const struct maps_entry *entry); /* false ends it */
	void *arg;
	size_t size;
	bool skip; /* the rest of a line that was too long */
	bool ended, malformed;
	char text[2 * LINE_MAX_ + 1];
};

static void take_line(struct lines *lines, const char *line)
{
	struct maps_entry entry;

	if (lines->skip)
		return;
	lines->malformed = !parse(line, &entry);
	lines->ended = lines->malformed || !lines->visit(lines->arg, &entry);
}

/* Takes whole lines out of the text; the rest of the last one moves to the
 * front.  Of a line that does not fit, the beginning is enough. */
static void take_lines(struct lines *lines)
{
	char *at = lines->text, *newline;

	lines->text[lines->size] = '\0';
	while (!lines->ended && (newline = strchr(at, '\n')) != NULL) {
		*newline = '\0';
		take_line(lines, at);
		lines->skip = false;
		at = newline + 1;
	}
	lines->size -= (size_t)(at - lines->text);
	memmove(lines->text, at, lines->size);
	if (lines->ended || lines->size < LINE_MAX_)
		return;
	lines->text[lines->size] = '\0';
	take_line(lines, lines->text);
	lines->skip = true;
	lines->size = 0;
}

static struct lines *new_lines(void)
{
	return arena_map(sizeof(struct lines)); /* too large for a thread's stack */
}

static void free_lines(struct lines *lines)
{
	if (lines != NULL)
		arena_unmap(lines, sizeof(*lines));
}

/* True when all lines, or those until visit had enough, were read. */
static bool read_lines(struct lines *lines, bool (*visit)(void *arg, const struct maps_entry *entry),
		       void *arg)
{
	long fd = rawio_open("/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
	long count = fd;

	if (lines != NULL) {
		lines->visit = visit;
		lines->arg = arg;
	}
	while (lines != NULL && fd >= 0 && !lines->ended) {
		count = RAW_CALL(SYS_read, fd, lines->text + lines->size, LINE_MAX_);
		if (count <= 0)
			break;
		lines->size += (size_t)count;
		take_lines(lines);
	}
	if (fd >= 0)
		rawio_close((int)fd);
	if (lines == NULL || count < 0 || lines->malformed)
		count = -1;
	return count >= 0;
}

static bool keep(void *arg, const struct maps_entry *entry)
{
	struct maps *maps = arg;

	if (maps->count == maps->capacity && !grow(maps))
		return false;
	maps->entries[maps->count++] = *entry;
	return true;
}

bool maps_read(struct maps *maps)
{
	struct lines *lines = new_lines();
	bool whole;

	memset(maps, 0, sizeof(*maps));
	whole = read_lines(lines, keep, maps);
	maps->gone_start = (uintptr_t)lines;
	maps->gone_end = maps->gone_start + ((sizeof(*lines) + PAGE - 1) & ~(uint64_t)(PAGE - 1));
	free_lines(lines);
	return whole && maps->count != 0 && !maps->failed;
}

struct wanted {
	uint64_t address;
	struct maps_entry *ret;
	bool found;
};

static bool is_wanted(void *arg, const struct maps_entry *entry)
{
	struct wanted *wanted = arg;

	wanted->found = entry->start <= wanted->address && wanted->address < entry->end;
	if (wanted->found)
		*wanted->ret = *entry;
	return !wanted->found;
}

bool maps_read_one(uint64_t address, struct maps_entry *ret)
{
	struct wanted wanted = {address, ret, false};
	struct lines *lines = new_lines();
	bool whole = read_lines(lines, is_wanted, &wanted);

	free_lines(lines);
	return whole && wanted.found;
}

const struct maps_entry *maps_find(const struct maps *maps, uint64_t address)
{
	size_t low = 0, high = maps->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (maps->entries[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < maps->count && maps->entries[low].start <= address ? &maps->entries[low] : NULL;
}

bool maps_readable(const struct maps *maps, uint64_t start, uint64_t end)
{
	while (start < end) {
		const struct maps_entry *entry = maps_find(maps, start);

		if (entry == NULL || !entry->readable || entry->kind == MAPS_SPECIAL)
			return false;
		start = entry->end;
	}
	return true;
}
