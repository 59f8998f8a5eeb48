/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads and applies suppression files.
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "baseline.h"
#include "suppress.h"

static const char *const g_kinds[] = {
#define X(kind, help) #kind,
	SUPPRESS_KINDS(X)
#undef X
};

const char *suppress_kind_name(enum suppress_kind kind)
{
	return g_kinds[kind];
}

static bool parse_kind(const char *text, size_t length, enum suppress_kind *ret)
{
	for (size_t i = 0; i < sizeof(g_kinds) / sizeof(g_kinds[0]); i++) {
		if (strlen(g_kinds[i]) == length && !strncmp(g_kinds[i], text, length)) {
			*ret = (enum suppress_kind)i;
			return true;
		}
	}
	return false;
}

/* `text` is one line without blanks around it and without comment. */
static enum error_code add_line(struct suppressions *list, const char *text, const char *path, unsigned line,
				struct error *error)
{
	struct suppression entry = {.path = path, .line = line};
	const char *colon = strchr(text, ':');
	struct suppression *entries;

	if (!colon || !colon[1] || !parse_kind(text, (size_t)(colon - text), &entry.kind))
		return error_set(error, ERROR_INPUT,
				 "line %u: expected fingerprint:, type:, function: or module: and a pattern",
				 line);
	if (entry.kind == SUPPRESS_fingerprint && !baseline_parse_fingerprint(colon + 1, &entry.fingerprint))
		return error_set(error, ERROR_INPUT, "line %u: a fingerprint has 16 hex digits", line);
	entry.pattern = strdup(colon + 1);
	entries = realloc(list->entries, (list->count + 1) * sizeof(*entries));
	if (entries)
		list->entries = entries;
	if (!entries || !entry.pattern) {
		free(entry.pattern);
		return error_set(error, ERROR_MEMORY, "out of memory");
	}
	list->entries[list->count++] = entry;
	return ERROR_NONE;
}

/* Cuts a comment (a `#` at the start or after a blank) and outer blanks. */
static char *trim(char *text)
{
	size_t length;

	for (char *at = text; (at = strchr(at, '#')); at++) {
		if (at == text || at[-1] == ' ' || at[-1] == '\t') {
			*at = '\0';
			break;
		}
	}
	text += strspn(text, " \t");
	length = strlen(text);
	while (length && strchr(" \t\r\n", text[length - 1]))
		text[--length] = '\0';
	return text;
}

enum error_code suppress_read(const char *path, struct suppressions *list, struct error *error)
{
	FILE *file = fopen(path, "re");
	enum error_code code = ERROR_NONE;
	char *buffer = NULL;
	size_t capacity = 0;

	errno = file ? 0 : errno;
	for (unsigned line = 1; file && !code && getline(&buffer, &capacity, file) >= 0; line++) {
		char *text = trim(buffer);

		if (*text)
			code = add_line(list, text, path, line, error);
		errno = 0;
	}
	if (!code && errno) {
		int os_error = errno;

		code = error_set(error, ERROR_IO, "%s", strerror(os_error));
		if (error)
			error->os_error = os_error;
	}
	free(buffer);
	if (file)
		fclose(file);
	return code;
}

static bool match_any(const char *pattern, const struct subject_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		if (!fnmatch(pattern, names->items[i], 0))
			return true;
	return false;
}

static bool match(const struct suppression *entry, const struct subject *subject)
{
	switch (entry->kind) {
	case SUPPRESS_fingerprint:
		return subject->has_fingerprint && entry->fingerprint == subject->fingerprint;
	case SUPPRESS_type:
		return match_any(entry->pattern, &subject->types) ||
		       match_any(entry->pattern, &subject->qualified);
	case SUPPRESS_function:
		return match_any(entry->pattern, &subject->functions);
	case SUPPRESS_module:
		return match_any(entry->pattern, &subject->modules);
	}
	return false;
}

bool suppress_match(struct suppressions *list, const struct subject *subject)
{
	for (size_t i = 0; i < list->count; i++) {
		if (match(&list->entries[i], subject)) {
			list->entries[i].used++;
			return true;
		}
	}
	return false;
}

void suppress_free(struct suppressions *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->entries[i].pattern);
	free(list->entries);
	*list = (struct suppressions){0};
}
