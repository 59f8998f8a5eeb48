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

static bool grow(struct maps *maps)
{
	size_t capacity = maps->capacity ? 2 * maps->capacity : FIRST_COUNT;
	struct maps_entry *entries = arena_map(capacity * sizeof(*entries));

	if (entries == NULL)
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
static bool parse(struct maps *maps, const char *line)
{
	struct maps_entry *entry;
	const char *at = line;

	if (maps->count == maps->capacity && !grow(maps))
		return false;
	entry = &maps->entries[maps->count];
	at = hex(at, &entry->start);
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
	maps->count++;
	return true;
}

/* Takes whole lines out of text[0..size); the rest of the last one moves to the
 * front.  Of a line that does not fit, the beginning is enough. */
static bool take_lines(struct maps *maps, char *text, size_t *size, bool *skip)
{
	char *at = text, *newline;

	text[*size] = '\0';
	while ((newline = strchr(at, '\n')) != NULL) {
		*newline = '\0';
		if (!*skip && !parse(maps, at))
			return false;
		*skip = false;
		at = newline + 1;
	}
	*size -= (size_t)(at - text);
	memmove(text, at, *size);
	if (*size < LINE_MAX_)
		return true;
	text[*size] = '\0';
	if (!*skip && !parse(maps, text))
		return false;
	*skip = true;
	*size = 0;
	return true;
}

bool maps_read(struct maps *maps)
{
	char text[2 * LINE_MAX_ + 1];
	long fd = rawio_open("/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
	size_t size = 0;
	bool skip = false, ok = fd >= 0;

	memset(maps, 0, sizeof(*maps));
	while (ok) {
		long count = RAW_CALL(SYS_read, fd, text + size, LINE_MAX_);

		if (count <= 0) {
			ok = count == 0;
			break;
		}
		size += (size_t)count;
		ok = take_lines(maps, text, &size, &skip);
	}
	if (fd >= 0)
		rawio_close((int)fd);
	return ok && maps->count != 0;
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
