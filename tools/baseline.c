/* SPDX-License-Identifier: Apache-2.0
 *
 * Read with jansson; written as one line per entry.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "baseline.h"
#include "jsontext.h"

#define FINGERPRINT_DIGITS 16

bool baseline_parse_fingerprint(const char *text, uint64_t *ret)
{
	if (strlen(text) != FINGERPRINT_DIGITS || strspn(text, "0123456789abcdef") != FINGERPRINT_DIGITS)
		return false;
	*ret = strtoull(text, NULL, 16);
	return true;
}

/* Index of the first entry that is not below `fingerprint`. */
static size_t position(const struct baseline *baseline, uint64_t fingerprint)
{
	size_t low = 0, high = baseline->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (baseline->entries[middle].fingerprint < fingerprint)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct baseline_entry *baseline_find(const struct baseline *baseline, uint64_t fingerprint)
{
	size_t at = position(baseline, fingerprint);

	if (at < baseline->count && baseline->entries[at].fingerprint == fingerprint)
		return &baseline->entries[at];
	return NULL;
}

static bool grow(struct baseline *baseline)
{
	size_t capacity = baseline->capacity ? 2 * baseline->capacity : 64;
	struct baseline_entry *entries;

	if (baseline->count < baseline->capacity)
		return true;
	entries = realloc(baseline->entries, capacity * sizeof(*entries));
	if (!entries)
		return false;
	baseline->entries = entries;
	baseline->capacity = capacity;
	return true;
}

bool baseline_add(struct baseline *baseline, uint64_t fingerprint, const char *verdict, const char *label,
		  uint64_t count)
{
	size_t at = position(baseline, fingerprint);
	struct baseline_entry entry = {.fingerprint = fingerprint, .count = count};

	if (at < baseline->count && baseline->entries[at].fingerprint == fingerprint) {
		if (baseline->entries[at].count < count)
			baseline->entries[at].count = count;
		return true;
	}
	entry.verdict = strdup(verdict);
	entry.label = strdup(label);
	if (!entry.verdict || !entry.label || !grow(baseline)) {
		free(entry.verdict);
		free(entry.label);
		return false;
	}
	memmove(&baseline->entries[at + 1], &baseline->entries[at],
		(baseline->count - at) * sizeof(*baseline->entries));
	baseline->entries[at] = entry;
	baseline->count++;
	return true;
}

static enum error_code read_entry(struct baseline *baseline, json_t *item, size_t index, struct error *error)
{
	const char *hex, *verdict = "stranded", *label = "";
	json_int_t count = 1;
	uint64_t fingerprint;

	if (json_unpack(item, "{s:s, s?s, s?s, s?I}", "fingerprint", &hex, "verdict", &verdict, "label",
			&label, "count", &count) ||
	    !baseline_parse_fingerprint(hex, &fingerprint))
		return error_set(error, ERROR_INPUT, "finding %zu has no fingerprint of %d hex digits", index,
				 FINGERPRINT_DIGITS);
	if (!baseline_add(baseline, fingerprint, verdict, label, count > 0 ? (uint64_t)count : 0))
		return error_set(error, ERROR_MEMORY, "out of memory");
	return ERROR_NONE;
}

static enum error_code read_document(struct baseline *baseline, json_t *document, struct error *error)
{
	json_t *findings = json_object_get(document, "findings");
	const char *schema = json_string_value(json_object_get(document, "schema"));
	enum error_code code = ERROR_NONE;
	json_t *item;
	size_t i;

	if (!schema || strcmp(schema, BASELINE_SCHEMA) != 0)
		return error_set(error, ERROR_INPUT, "is not a baseline (schema is not %s)", BASELINE_SCHEMA);
	if (!json_is_array(findings))
		return error_set(error, ERROR_INPUT, "is not a baseline (no list of findings)");
	json_array_foreach(findings, i, item) if (!code) code = read_entry(baseline, item, i, error);
	return code;
}

enum error_code baseline_read(const char *path, struct baseline *baseline, struct error *error)
{
	FILE *file = fopen(path, "re");
	json_error_t json_error;
	json_t *document;
	enum error_code code;

	*baseline = (struct baseline){0};
	if (!file) {
		int os_error = errno;

		code = error_set(error, ERROR_IO, "%s", strerror(os_error));
		if (error)
			error->os_error = os_error;
		return code;
	}
	document = json_loadf(file, JSON_REJECT_DUPLICATES, &json_error);
	fclose(file);
	if (!document)
		return error_set_at(error, ERROR_INPUT, (uint64_t)json_error.position, "is not JSON: %s",
				    json_error.text);
	code = read_document(baseline, document, error);
	json_decref(document);
	if (code)
		baseline_free(baseline);
	return code;
}

void baseline_write(const struct baseline *baseline, FILE *out)
{
	struct jsontext json;

	jsontext_start(&json, out);
	jsontext_object(&json, NULL, JSONTEXT_LINES);
	jsontext_string(&json, "schema", BASELINE_SCHEMA);
	jsontext_array(&json, "findings", JSONTEXT_LINES);
	for (size_t i = 0; i < baseline->count; i++) {
		const struct baseline_entry *entry = &baseline->entries[i];
		char hex[FINGERPRINT_DIGITS + 1];

		snprintf(hex, sizeof(hex), "%016" PRIx64, entry->fingerprint);
		jsontext_object(&json, NULL, JSONTEXT_FLAT);
		jsontext_string(&json, "fingerprint", hex);
		jsontext_string(&json, "verdict", entry->verdict);
		jsontext_count(&json, "count", entry->count);
		jsontext_string(&json, "label", entry->label);
		jsontext_object_end(&json);
	}
	jsontext_array_end(&json);
	jsontext_object_end(&json);
}

void baseline_free(struct baseline *baseline)
{
	for (size_t i = 0; i < baseline->count; i++) {
		free(baseline->entries[i].verdict);
		free(baseline->entries[i].label);
	}
	free(baseline->entries);
	*baseline = (struct baseline){0};
}
