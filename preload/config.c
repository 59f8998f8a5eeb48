/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the settings.  Runs in the constructor (and, for the output's name, in
 * a fork child); only the environment array and raw system calls, no getenv(),
 * which a program may replace.
 */
#include "config.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hot.h"
#include "rawio.h"

#define DEFAULT_OUTPUT "%e.%p.castaway"

HOT struct config g_config;
struct config_text g_config_text;

static char s_pattern[sizeof(g_config_text.output)]; /* absolute, with % as given */
static char s_program[NAME_MAX + 1];

enum key_type { BOOL, UINT, EVENTS };

static const struct {
	const char *name;
	enum key_type type;
	uint64_t value;
	size_t offset;
} s_keys[] = {
#define X(type, key, field, value, help) {key, type, value, offsetof(struct config, field)},
	CONFIG_KEYS(X)
#undef X
};

#define KEY_COUNT (sizeof(s_keys) / sizeof(*s_keys))

const char *config_find(char **environment, const char *name)
{
	size_t length = strlen(name);

	for (; environment != NULL && *environment != NULL; environment++) {
		if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
			return *environment + length + 1;
	}
	return NULL;
}

static void store(size_t key, uint64_t value)
{
	char *field = (char *)&g_config + s_keys[key].offset;

	if (s_keys[key].type == UINT)
		*(uint64_t *)field = value;
	else
		*(bool *)field = value != 0;
}

static bool same(const char *text, size_t length, const char *word)
{
	return strlen(word) == length && memcmp(text, word, length) == 0;
}

static bool parse_bool(const char *text, size_t length, uint64_t *ret)
{
	*ret = same(text, length, "yes") || same(text, length, "1") || same(text, length, "true");
	return *ret != 0 || same(text, length, "no") || same(text, length, "0") ||
	       same(text, length, "false");
}

static bool parse_events(const char *text, size_t length, uint64_t *ret)
{
	*ret = same(text, length, "live");
	return *ret != 0 || same(text, length, "all");
}

static bool parse_number(const char *text, size_t length, uint64_t *ret)
{
	*ret = 0;
	if (length == 0 || length > 18)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		*ret = *ret * 10 + (uint64_t)(text[i] - '0');
	}
	return true;
}

static bool (*const k_parsers[])(const char *text, size_t length, uint64_t *ret) = {
	[BOOL] = parse_bool,
	[UINT] = parse_number,
	[EVENTS] = parse_events,
};

/* One "key=value"; a key alone means "yes". */
static bool set_one(const char *text, size_t length)
{
	const char *equals = memchr(text, '=', length);
	size_t key_length = equals != NULL ? (size_t)(equals - text) : length;
	const char *value = equals != NULL ? equals + 1 : "yes";
	size_t value_length = equals != NULL ? length - key_length - 1 : 3;
	uint64_t number;

	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (!same(text, key_length, s_keys[i].name))
			continue;
		if (!k_parsers[s_keys[i].type](value, value_length, &number))
			return false;
		store(i, number);
		return true;
	}
	return false;
}

static void note_error(const char *text, size_t length)
{
	if (g_config_text.error[0] != '\0')
		return;
	if (length >= sizeof(g_config_text.error))
		length = sizeof(g_config_text.error) - 1;
	memcpy(g_config_text.error, text, length);
	rawio_complain(
		(const char *const[]){"ignoring the unknown setting '", g_config_text.error, "'", NULL});
}

static void read_options(const char *options)
{
	struct rawio_text copy;

	rawio_text_begin(&copy, g_config_text.options, sizeof(g_config_text.options));
	rawio_text_put(&copy, options);
	while (*options != '\0') {
		size_t length = strcspn(options, ":");

		if (length > 0 && !set_one(options, length))
			note_error(options, length);
		options += length + (options[length] == ':');
	}
}

/* The program's name is that of its file: argv[0] may say anything. */
static void find_program(void)
{
	char path[PATH_MAX];
	long length = RAW_CALL(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", path, sizeof(path) - 1);
	const char *base;
	struct rawio_text text;

	path[length > 0 ? length : 0] = '\0';
	base = strrchr(path, '/');
	rawio_text_begin(&text, s_program, sizeof(s_program));
	rawio_text_put(&text, base != NULL && base[1] != '\0' ? base + 1 : "program");
}

/* Absolute now, because the target may change its directory; a directory's own
 * % signs must not be expanded. */
static void read_pattern(const char *output)
{
	char directory[PATH_MAX] = "";
	struct rawio_text text;

	if (output == NULL || *output == '\0')
		output = DEFAULT_OUTPUT;
	rawio_text_begin(&text, s_pattern, sizeof(s_pattern));
	if (*output != '/' && RAW_CALL(SYS_getcwd, directory, sizeof(directory)) > 0 && directory[0] == '/') {
		for (const char *at = directory; *at != '\0'; at++) {
			char twice[3] = {*at, *at == '%' ? '%' : '\0', '\0'};

			rawio_text_put(&text, twice);
		}
		rawio_text_put(&text, "/");
	}
	rawio_text_put(&text, output);
}

void config_expand_output(void)
{
	struct rawio_text text;

	rawio_text_begin(&text, g_config_text.output, sizeof(g_config_text.output));
	for (const char *at = s_pattern; *at != '\0'; at++) {
		char one[2] = {*at, '\0'};

		if (*at != '%') {
			rawio_text_put(&text, one);
			continue;
		}
		switch (at[1]) {
		case 'p':
			rawio_text_put_number(&text, (uint64_t)rawio_pid());
			break;
		case 'e':
			rawio_text_put(&text, s_program);
			break;
		case '%':
			rawio_text_put(&text, one);
			break;
		default: /* not ours: as it stands */
			rawio_text_put(&text, one);
			continue;
		}
		at++;
	}
}

void config_read(char **environment)
{
	const char *options = config_find(environment, "CASTAWAY_OPTIONS");

	for (size_t i = 0; i < KEY_COUNT; i++)
		store(i, s_keys[i].value);
	if (options != NULL)
		read_options(options);
	/* A death is not told. */
	if (g_config.events_live)
		g_config.free_stacks = false;
	find_program();
	read_pattern(config_find(environment, "CASTAWAY_OUTPUT"));
	config_expand_output();
}

void config_stop_following(char **environment, const char *library)
{
	char *list = (char *)(uintptr_t)config_find(environment, "LD_PRELOAD");
	const char *base = strrchr(library, '/');
	char *out = list;

	base = base != NULL ? base + 1 : library;
	if (list == NULL)
		return;
	for (const char *at = list; *at != '\0';) {
		size_t gap = strspn(at, ": ");
		size_t length = strcspn(at + gap, ": ");
		size_t base_length = strlen(base);
		bool ours = length >= base_length &&
			    memcmp(at + gap + length - base_length, base, base_length) == 0 &&
			    (length == base_length || at[gap + length - base_length - 1] == '/');

		if (!ours) {
			size_t skip = out == list ? gap : 0; /* no separator in front */

			memmove(out, at + skip, gap + length - skip);
			out += gap + length - skip;
		}
		at += gap + length;
	}
	*out = '\0';
}
