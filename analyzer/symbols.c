/* SPDX-License-Identifier: Apache-2.0
 *
 * Stack nodes to source frames.  Modules are opened on the first question
 * about them; answers are cached by address, because a stack tree has many
 * nodes at one address.  Nothing is looked up before it is asked for.
 */
#include "symbols.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demangle.h"
#include "symbols_dwarf.h"
#include "symbols_elf.h"

struct module_state {
	bool opened;
	char *build_id; /* hex, NULL when there is none */
	struct symbols_elf elf;
	struct symbols_dwarf *dwarf;
};

/* The frames of one address (or one script line). */
struct entry {
	uint64_t key, line;
	uint32_t tag;
	size_t count;
	struct symbols_frame frame[];
};

struct symbols {
	const struct trace *trace;
	char **debug_dirs;
	bool off;
	struct module_state *modules;
	struct entry **table; /* open addressing, a power of two, at most half full */
	size_t capacity, count;
	char **owned; /* demangled names */
	size_t owned_count, owned_capacity;
};

enum error_code symbols_new(const struct trace *trace, const struct symbols_options *options,
			    struct symbols **ret, struct error *error)
{
	struct symbols *symbols = calloc(1, sizeof(*symbols));
	size_t dirs = 0;

	*ret = NULL;
	if (symbols == NULL)
		return error_set(error, ERROR_MEMORY, "out of memory");
	elf_version(EV_CURRENT);
	symbols->trace = trace;
	symbols->off = options != NULL && options->off;
	symbols->capacity = 1024;
	while (options != NULL && options->debug_dirs != NULL && options->debug_dirs[dirs] != NULL)
		dirs++;
	symbols->modules = calloc((size_t)trace->module_count + 1, sizeof(*symbols->modules));
	symbols->table = calloc(symbols->capacity, sizeof(struct entry *));
	symbols->debug_dirs = calloc(dirs + 1, sizeof(char *));
	if (symbols->modules == NULL || symbols->table == NULL || symbols->debug_dirs == NULL)
		goto no_memory;
	for (size_t i = 0; i < dirs; i++) {
		symbols->debug_dirs[i] = strdup(options->debug_dirs[i]);
		if (symbols->debug_dirs[i] == NULL)
			goto no_memory;
	}
	*ret = symbols;
	return ERROR_NONE;
no_memory:
	symbols_free(symbols);
	return error_set(error, ERROR_MEMORY, "out of memory");
}

void symbols_free(struct symbols *symbols)
{
	if (symbols == NULL)
		return;
	for (uint32_t i = 0; symbols->modules != NULL && i < symbols->trace->module_count; i++) {
		struct module_state *state = &symbols->modules[i];

		symbols_dwarf_close(state->dwarf);
		if (state->opened && !symbols->off)
			symbols_elf_close(&state->elf);
		free(state->build_id);
	}
	for (size_t i = 0; symbols->table != NULL && i < symbols->capacity; i++)
		free(symbols->table[i]);
	for (size_t i = 0; symbols->debug_dirs != NULL && symbols->debug_dirs[i] != NULL; i++)
		free(symbols->debug_dirs[i]);
	for (size_t i = 0; i < symbols->owned_count; i++)
		free(symbols->owned[i]);
	free(symbols->owned);
	free(symbols->debug_dirs);
	free(symbols->modules);
	free(symbols->table);
	free(symbols);
}

const struct trace *symbols_trace(const struct symbols *symbols)
{
	return symbols->trace;
}

void symbols_statistics(const struct symbols *symbols, struct symbols_statistics *ret)
{
	*ret = (struct symbols_statistics){0};
	for (uint32_t i = 0; !symbols->off && i < symbols->trace->module_count; i++) {
		const struct module_state *state = &symbols->modules[i];
		const struct trace_module *module = &symbols->trace->modules[i];

		/* The kernel's own ([vdso]) has no file anywhere. */
		if (!state->opened || (module->path != NULL && module->path[0] == '['))
			continue;
		if (state->elf.table.elf == NULL && state->elf.debug.elf == NULL && ret->missing++ == 0)
			ret->first_missing = module->path;
		ret->unverified += state->elf.unverified;
	}
}

/* ---- the cache ------------------------------------------------------------ */

static size_t hash_frame(const struct trace_frame *frame, size_t capacity)
{
	uint64_t hash = frame->address * 0x9e3779b97f4a7c15u;

	hash ^= (((uint64_t)frame->tag << 32) | frame->line) * 0xc2b2ae3d27d4eb4fu;
	hash ^= hash >> 29;
	return (size_t)(hash * 0x9e3779b97f4a7c15u >> 20) & (capacity - 1);
}

/* `line` means something in script frames only. */
static struct trace_frame normalized(const struct trace_frame *frame)
{
	struct trace_frame key = {.tag = frame->tag};

	key.address = frame->address;
	key.line = frame->tag == CASTAWAY_FRAME_SCRIPT ? frame->line : 0;
	return key;
}

static struct entry **find_slot(struct entry **table, size_t capacity, const struct trace_frame *key)
{
	size_t at = hash_frame(key, capacity);

	while (table[at] != NULL &&
	       (table[at]->key != key->address || table[at]->tag != key->tag || table[at]->line != key->line))
		at = (at + 1) & (capacity - 1);
	return &table[at];
}

static bool grow_table(struct symbols *symbols)
{
	size_t capacity = symbols->capacity * 2;
	struct entry **table = calloc(capacity, sizeof(struct entry *));

	if (table == NULL)
		return false;
	for (size_t i = 0; i < symbols->capacity; i++) {
		struct entry *entry = symbols->table[i];
		struct trace_frame key = {.tag = 0};

		if (entry == NULL)
			continue;
		key.tag = entry->tag;
		key.address = entry->key;
		key.line = (uint32_t)entry->line;
		*find_slot(table, capacity, &key) = entry;
	}
	free(symbols->table);
	symbols->table = table;
	symbols->capacity = capacity;
	return true;
}

static char *own(struct symbols *symbols, char *text)
{
	if (text != NULL && symbols->owned_count == symbols->owned_capacity) {
		size_t capacity = symbols->owned_capacity > 0 ? symbols->owned_capacity * 2 : 256;
		char **grown = reallocarray(symbols->owned, capacity, sizeof(*grown));

		if (grown == NULL) {
			free(text);
			return NULL;
		}
		symbols->owned = grown;
		symbols->owned_capacity = capacity;
	}
	if (text != NULL)
		symbols->owned[symbols->owned_count++] = text;
	return text;
}

/* ---- looking up ----------------------------------------------------------- */

static char *hex_of(const struct trace_module *module)
{
	char *hex;

	if (module->build_id_size == 0 || module->build_id_size > sizeof(module->build_id))
		return NULL;
	hex = malloc(2 * (size_t)module->build_id_size + 1);
	for (uint32_t i = 0; hex != NULL && i < module->build_id_size; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", module->build_id[i]);
	return hex;
}

static struct module_state *open_module(struct symbols *symbols, uint32_t index)
{
	struct module_state *state = &symbols->modules[index];
	const struct trace_module *module = &symbols->trace->modules[index];

	if (state->opened)
		return state;
	state->opened = true;
	state->build_id = hex_of(module);
	if (symbols->off)
		return state;
	symbols_elf_open(&state->elf, module, symbols->debug_dirs);
	if (state->elf.debug.elf != NULL)
		state->dwarf = symbols_dwarf_open(state->elf.debug.elf);
	return state;
}

const char *symbols_variable(struct symbols *symbols, uint32_t module, uint64_t address, uint64_t *offset)
{
	struct module_state *state;

	if (module == 0 || module > symbols->trace->module_count)
		return NULL;
	state = open_module(symbols, module - 1);
	return symbols_elf_variable(&state->elf, address - symbols->trace->modules[module - 1].load_bias,
				    offset);
}

/* The parts that a compiler makes of one function are that function to a
 * reader: `f.cold`, `f.part.0`, and `f(int) [clone .cold]` once demangled. */
static void strip_clone(char *name)
{
	static const char *const marks[] = {" [clone ", ".cold",     ".part.",     ".constprop.",
					    ".isra.",   ".lto_priv", ".localalias"};

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		char *at = strstr(name, marks[i]);

		if (at != NULL && at != name)
			*at = '\0';
	}
}

static void name_frame(struct symbols *symbols, struct symbols_frame *frame, const char *raw,
		       const char *plain)
{
	const char *language = raw != NULL ? demangle_language(raw) : NULL;
	char *readable = language != NULL ? demangle(raw) : NULL;

	frame->raw_function = raw != NULL ? raw : plain;
	if (readable == NULL && plain == NULL && raw != NULL)
		readable = strdup(raw);
	if (readable != NULL)
		strip_clone(readable);
	frame->function = own(symbols, readable);
	if (frame->function == NULL)
		frame->function = frame->raw_function;
	if (frame->language == NULL)
		frame->language = language;
}

static struct entry *new_entry(size_t count, const struct symbols_frame *common)
{
	struct entry *entry = calloc(1, sizeof(*entry) + count * sizeof(entry->frame[0]));

	if (entry == NULL)
		return NULL;
	entry->count = count;
	for (size_t i = 0; i < count; i++)
		entry->frame[i] = *common;
	return entry;
}

/* The name of the function itself where DWARF has none, or only a short one:
 * a C++ function in an anonymous namespace has no linkage name there. */
static const char *table_name(const struct module_state *state, uint64_t address,
			      const struct symbols_dwarf_frame *frame, const char *language)
{
	const struct symbols_symbol *symbol;

	if (frame->linkage_name != NULL)
		return NULL;
	if (frame->name != NULL && (language == NULL || strcmp(language, "c") == 0))
		return NULL;
	symbol = symbols_elf_find(&state->elf, address);
	if (symbol == NULL || (frame->name != NULL && demangle_language(symbol->name) == NULL))
		return NULL;
	return symbol->name;
}

static struct entry *lookup_native(struct symbols *symbols, uint32_t index, uint64_t offset)
{
	struct module_state *state = open_module(symbols, index);
	struct symbols_frame common = {
		.module = symbols->trace->modules[index].path, .offset = offset, .build_id = state->build_id};
	struct symbols_dwarf_frame found[SYMBOLS_DWARF_MAX_INLINE] = {{0}};
	uint64_t address = offset > 0 ? offset - 1 : 0; /* of the call, not of where it returns to */
	const char *name = NULL;
	size_t count = 0;
	struct entry *entry;

	if (state->dwarf != NULL)
		count = symbols_dwarf_find(state->dwarf, address, found, &common.language);
	if (count == 0)
		count = 1;
	if (!symbols->off)
		name = table_name(state, address, &found[count - 1], common.language);
	if (name != NULL)
		found[count - 1].linkage_name = name;
	entry = new_entry(count, &common);
	for (size_t i = 0; entry != NULL && i < count; i++) {
		struct symbols_frame *frame = &entry->frame[i];

		frame->file = found[i].file;
		frame->line = found[i].line;
		frame->inlined = i + 1 < count;
		name_frame(symbols, frame, found[i].linkage_name, found[i].name);
	}
	return entry;
}

static struct entry *lookup(struct symbols *symbols, const struct trace_frame *frame)
{
	const struct trace *trace = symbols->trace;
	struct symbols_frame common = {0};

	if (frame->tag == CASTAWAY_FRAME_SCRIPT) {
		const char *file = trace_text(trace, frame->file);

		common.function = trace_text(trace, frame->function);
		common.raw_function = common.function;
		common.file = *file != '\0' ? file : NULL;
		common.line = frame->line;
		common.language = "python";
		return new_entry(1, &common);
	}
	if (frame->tag >= CASTAWAY_FRAME_MODULE0 + 1 &&
	    frame->tag - CASTAWAY_FRAME_MODULE0 <= trace->module_count)
		return lookup_native(symbols, frame->tag - CASTAWAY_FRAME_MODULE0 - 1, frame->address);
	common.offset = frame->address;
	return new_entry(1, &common);
}

size_t symbols_node(struct symbols *symbols, uint32_t node, const struct symbols_frame **ret)
{
	static const struct symbols_frame unknown;
	struct trace_frame key;
	struct entry **slot;

	*ret = NULL;
	if (node == 0 || node >= symbols->trace->frame_count)
		return 0;
	*ret = &unknown;
	key = normalized(&symbols->trace->frames[node]);
	slot = find_slot(symbols->table, symbols->capacity, &key);
	if (*slot == NULL) {
		struct entry *entry;

		if (symbols->count * 2 >= symbols->capacity && !grow_table(symbols))
			return 1;
		entry = lookup(symbols, &key);
		if (entry == NULL)
			return 1;
		entry->tag = key.tag;
		entry->key = key.address;
		entry->line = key.line;
		slot = find_slot(symbols->table, symbols->capacity, &key);
		*slot = entry;
		symbols->count++;
	}
	*ret = (*slot)->frame;
	return (*slot)->count;
}
