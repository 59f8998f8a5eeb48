/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks up places in a library of known names (fixtures/names.c): with DWARF,
 * stripped, stripped with a separate debug file, and under a wrong build id.
 * The library itself says at run time where its calls return to and on which
 * lines they stand.
 *
 * Usage: test_symbols LIBRARY STRIPPED DEBUG
 */
#include <dlfcn.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixtures/names.h"
#include "symbols.h"

static char *g_library, *g_stripped, *g_debug;
static struct names_place g_places[NAMES_COUNT];
static uint64_t g_offsets[NAMES_COUNT];
static uint8_t g_build_id[64];
static uint32_t g_build_id_size;

/* A trace of one module and one stack: node 1 + i is place i, node
 * NAMES_COUNT + 1 is a script frame called by place 0. */
struct fixture {
	struct trace trace;
	struct trace_module module;
	struct trace_frame frames[NAMES_COUNT + 3];
	struct trace_string strings[3];
	struct symbols *symbols;
	const struct symbols_frame *found;
};

static void open_fixture(struct fixture *f, const char *path, bool right_id, const char *const *debug_dirs)
{
	struct symbols_options options = {.debug_dirs = debug_dirs};

	memset(f, 0, sizeof(*f));
	f->module.number = 1;
	f->module.path = (char *)path;
	memcpy(f->module.build_id, g_build_id, sizeof(g_build_id));
	f->module.build_id_size = g_build_id_size;
	if (!right_id)
		f->module.build_id[0] ^= 1;
	for (uint32_t i = 0; i < NAMES_COUNT; i++) {
		f->frames[1 + i].tag = CASTAWAY_FRAME_MODULE0 + 1;
		f->frames[1 + i].address = g_offsets[i];
	}
	f->frames[NAMES_COUNT + 1] =
		(struct trace_frame){.parent = 1, .tag = CASTAWAY_FRAME_SCRIPT, .line = 42};
	f->frames[NAMES_COUNT + 1].function = 1;
	f->frames[NAMES_COUNT + 1].file = 2;
	f->frames[NAMES_COUNT + 2] = (struct trace_frame){.tag = CASTAWAY_FRAME_RAW, .address = 0x1234};
	f->strings[0] = (struct trace_string){"", 0};
	f->strings[1] = (struct trace_string){"parse", 5};
	f->strings[2] = (struct trace_string){"/srv/app.py", 11};
	f->trace.modules = &f->module;
	f->trace.module_count = 1;
	f->trace.frames = f->frames;
	f->trace.frame_count = NAMES_COUNT + 3;
	f->trace.strings = f->strings;
	f->trace.string_count = 3;
	assert_int_equal(symbols_new(&f->trace, &options, &f->symbols, NULL), ERROR_NONE);
}

static size_t look_up(struct fixture *f, int place)
{
	return symbols_node(f->symbols, (uint32_t)place + 1, &f->found);
}

static void expect_frame(const struct symbols_frame *frame, const char *function, const char *file, int line)
{
	assert_non_null(frame->function);
	assert_string_equal(frame->function, function);
	if (file == NULL) {
		assert_null(frame->file);
	} else {
		assert_non_null(frame->file);
		assert_non_null(strstr(frame->file, file));
	}
	assert_int_equal(frame->line, line);
}

static void expect_unknown(struct fixture *f, int place)
{
	assert_int_equal(look_up(f, place), 1);
	assert_null(f->found->function);
	assert_null(f->found->file);
	assert_string_equal(f->found->module, f->module.path);
	assert_int_equal(f->found->offset, g_offsets[place]);
	assert_int_equal(strlen(f->found->build_id), 2 * g_build_id_size);
}

/* Everything that DWARF says, wherever it was found. */
static void expect_everything(struct fixture *f)
{
	const int *line = g_places[NAMES_INLINED].line;

	assert_int_equal(look_up(f, NAMES_INLINED), 3);
	expect_frame(&f->found[0], "names_inner", "fixtures/names.c", line[0]);
	expect_frame(&f->found[1], "names_middle", "fixtures/names.c", line[1]);
	expect_frame(&f->found[2], "names_exported", "fixtures/names.c", line[2]);
	assert_true(f->found[0].inlined && f->found[1].inlined && !f->found[2].inlined);
	assert_string_equal(f->found[0].language, "c");
	assert_int_equal(look_up(f, NAMES_LOCAL), 1);
	expect_frame(f->found, "names_local", "fixtures/names.c", g_places[NAMES_LOCAL].line[0]);
	assert_int_equal(look_up(f, NAMES_CPP), 1);
	expect_frame(f->found, "names::Shelf::count(int, char const*)", "fixtures/names_cpp.cc",
		     g_places[NAMES_CPP].line[0]);
	assert_string_equal(f->found->raw_function, "_ZN5names5Shelf5countEiPKc");
	assert_string_equal(f->found->language, "c++");
	assert_int_equal(look_up(f, NAMES_HIDDEN), 1);
	expect_frame(f->found, "names::(anonymous namespace)::hidden(int)", "fixtures/names_cpp.cc",
		     g_places[NAMES_HIDDEN].line[0]);
}

static void test_dwarf(void **state)
{
	struct fixture f;
	const struct symbols_frame *again;

	open_fixture(&f, g_library, true, NULL);
	expect_everything(&f);
	look_up(&f, NAMES_CPP);
	symbols_node(f.symbols, NAMES_CPP + 1, &again);
	assert_ptr_equal(again, f.found);
	symbols_free(f.symbols);
}

/* Without DWARF and .symtab: exported functions from .dynsym, and no name of a
 * neighbour for what is not exported. */
static void test_stripped(void **state)
{
	struct symbols_statistics statistics;
	struct fixture f;

	open_fixture(&f, g_stripped, true, NULL);
	assert_int_equal(look_up(&f, NAMES_INLINED), 1);
	expect_frame(f.found, "names_exported", NULL, 0);
	assert_int_equal(look_up(&f, NAMES_CPP), 1);
	expect_frame(f.found, "names::Shelf::count(int, char const*)", NULL, 0);
	assert_string_equal(f.found->language, "c++");
	expect_unknown(&f, NAMES_LOCAL);
	expect_unknown(&f, NAMES_HIDDEN);
	symbols_statistics(f.symbols, &statistics);
	assert_int_equal(statistics.missing, 0);
	assert_int_equal(statistics.unverified, 0);
	symbols_free(f.symbols);
}

static void test_wrong_build_id(void **state)
{
	struct symbols_statistics statistics;
	struct fixture f;

	open_fixture(&f, g_library, false, NULL);
	for (int i = 0; i < NAMES_COUNT; i++)
		expect_unknown(&f, i);
	symbols_statistics(f.symbols, &statistics);
	assert_int_equal(statistics.missing, 1);
	assert_string_equal(statistics.first_missing, f.module.path);
	symbols_free(f.symbols);
}

/* The file at the path has a build id, the module had none: not the same. */
static void test_no_build_id(void **state)
{
	struct fixture f;

	open_fixture(&f, g_library, true, NULL);
	f.module.build_id_size = 0;
	assert_int_equal(look_up(&f, NAMES_INLINED), 1);
	assert_null(f.found->function);
	assert_null(f.found->build_id);
	symbols_free(f.symbols);
}

static char *format_path(const char *format, ...)
{
	va_list arguments;
	char *text = NULL;

	va_start(arguments, format);
	assert_true(vasprintf(&text, format, arguments) > 0);
	va_end(arguments);
	return text;
}

static void test_debug_dir(void **state)
{
	char root[] = "/tmp/castaway-symbols.XXXXXX", hex[129];
	const char *dirs[] = {"/nonexistent", root, NULL};
	char *ids, *prefix, *link;
	struct fixture f;

	for (uint32_t i = 0; i < g_build_id_size; i++)
		snprintf(hex + 2 * i, 3, "%02x", g_build_id[i]);
	assert_non_null(mkdtemp(root));
	ids = format_path("%s/.build-id", root);
	prefix = format_path("%s/%.2s", ids, hex);
	link = format_path("%s/%s.debug", prefix, hex + 2);
	assert_int_equal(mkdir(ids, 0700), 0);
	assert_int_equal(mkdir(prefix, 0700), 0);
	assert_int_equal(symlink(g_debug, link), 0);
	open_fixture(&f, g_stripped, true, dirs);
	expect_everything(&f);
	symbols_free(f.symbols);
	/* The trace of another machine: the path does not exist here. */
	open_fixture(&f, "/no/such/library.so", true, dirs);
	expect_everything(&f);
	symbols_free(f.symbols);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(rmdir(prefix), 0);
	assert_int_equal(rmdir(ids), 0);
	assert_int_equal(rmdir(root), 0);
	free(ids);
	free(prefix);
	free(link);
}

static void test_off(void **state)
{
	struct symbols_options options = {.off = true};
	struct fixture f;

	open_fixture(&f, g_library, true, NULL);
	symbols_free(f.symbols);
	assert_int_equal(symbols_new(&f.trace, &options, &f.symbols, NULL), ERROR_NONE);
	for (int i = 0; i < NAMES_COUNT; i++)
		expect_unknown(&f, i);
	symbols_free(f.symbols);
}

static void test_stack(void **state)
{
	struct symbols_frame *frames;
	struct fixture f;

	open_fixture(&f, g_library, true, NULL);
	assert_int_equal(symbols_stack(f.symbols, NAMES_COUNT + 1, 0, &frames), 4);
	expect_frame(&frames[0], "parse", "/srv/app.py", 42);
	assert_string_equal(frames[0].language, "python");
	assert_null(frames[0].module);
	assert_string_equal(frames[1].function, "names_inner");
	assert_string_equal(frames[3].function, "names_exported");
	free(frames);
	assert_int_equal(symbols_stack(f.symbols, NAMES_COUNT + 1, 2, &frames), 2);
	free(frames);
	assert_int_equal(symbols_stack(f.symbols, 0, 0, &frames), 0);
	assert_null(frames);
	assert_int_equal(symbols_stack(f.symbols, 999, 0, &frames), 0);
	symbols_free(f.symbols);
}

static void test_hostile(void **state)
{
	static const char *const paths[] = {"/dev/zero", "/tmp", "/etc/passwd", "", "[vdso]", "relative.so"};
	struct fixture f;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		open_fixture(&f, paths[i], true, NULL);
		expect_unknown(&f, NAMES_CPP);
		f.frames[2].tag = 99; /* a module that does not exist */
		assert_int_equal(symbols_node(f.symbols, 2, &f.found), 1);
		assert_null(f.found->module);
		assert_int_equal(symbols_node(f.symbols, NAMES_COUNT + 2, &f.found), 1);
		assert_int_equal(f.found->offset, 0x1234);
		symbols_free(f.symbols);
	}
	open_fixture(&f, g_library, true, NULL);
	f.frames[1].address = 0;
	f.frames[2].address = UINT64_MAX;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(look_up(&f, i), 1);
		assert_null(f.found->function);
	}
	symbols_free(f.symbols);
}

/* The library cut off and overwritten at many places: nothing may crash, and
 * what is found must not be trusted further than that. */
static void test_damaged(void **state)
{
	char path[] = "/tmp/castaway-symbols.XXXXXX";
	FILE *in = fopen(g_library, "rb"), *out;
	static uint8_t bytes[1 << 20], copy[1 << 20];
	size_t size, answered = 0;
	int fd = mkstemp(path);

	assert_non_null(in);
	assert_true(fd >= 0);
	size = fread(bytes, 1, sizeof(bytes), in);
	fclose(in);
	for (unsigned round = 0; round < 200; round++) {
		struct fixture f;

		memcpy(copy, bytes, size);
		for (unsigned i = 0; i < 20; i++)
			copy[(round * 2654435761u + i * 40503u * (round + 1)) % size] ^=
				(uint8_t)(1 + round + i);
		out = fopen(path, "wb");
		assert_non_null(out);
		fwrite(copy, 1, round % 4 == 0 ? size * (round + 1) / 201 : size, out);
		fclose(out);
		open_fixture(&f, path, true, NULL);
		for (int i = 0; i < NAMES_COUNT; i++)
			answered += look_up(&f, i);
		symbols_free(f.symbols);
	}
	assert_true(answered >= 200 * NAMES_COUNT);
	close(fd);
	unlink(path);
}

static int read_build_id(struct dl_phdr_info *info, size_t size, void *base)
{
	if (info->dlpi_addr != (uintptr_t)base)
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		const char *note = (const char *)(info->dlpi_addr + header->p_vaddr);
		const char *end = note + header->p_memsz;

		while (header->p_type == PT_NOTE && note < end) {
			const ElfW(Nhdr) *n = (const void *)note;
			const char *name = note + sizeof(*n), *id = name + ((n->n_namesz + 3u) & ~3u);

			if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 && strcmp(name, "GNU") == 0) {
				g_build_id_size = n->n_descsz;
				memcpy(g_build_id, id, n->n_descsz);
				return 1;
			}
			note = id + ((n->n_descsz + 3u) & ~3u);
		}
	}
	return 0;
}

/* Runs the library, so that it tells where its calls are. */
static int set_up(void **state)
{
	static const char *const functions[] = {"names_exported", "names_call_cpp", "names_call_local"};
	void *library = dlopen(g_library, RTLD_NOW);
	struct link_map *map;
	struct names_place *places;

	if (library == NULL || dlinfo(library, RTLD_DI_LINKMAP, &map) != 0)
		return -1;
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void (*function)(void);

		*(void **)&function = dlsym(library, functions[i]);
		if (function == NULL)
			return -1;
		function();
	}
	places = dlsym(library, "names_places");
	if (places == NULL || dl_iterate_phdr(read_build_id, (void *)map->l_addr) == 0)
		return -1;
	memcpy(g_places, places, sizeof(g_places));
	for (int i = 0; i < NAMES_COUNT; i++)
		g_offsets[i] = (uintptr_t)g_places[i].address - map->l_addr;
	return dlclose(library);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dwarf),          cmocka_unit_test(test_stripped),
		cmocka_unit_test(test_wrong_build_id), cmocka_unit_test(test_no_build_id),
		cmocka_unit_test(test_debug_dir),      cmocka_unit_test(test_off),
		cmocka_unit_test(test_stack),          cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_damaged),
	};

	if (argc != 4) {
		fprintf(stderr, "usage: %s LIBRARY STRIPPED DEBUG\n", argv[0]);
		return 2;
	}
	g_library = realpath(argv[1], NULL);
	g_stripped = realpath(argv[2], NULL);
	g_debug = realpath(argv[3], NULL);
	if (g_library == NULL || g_stripped == NULL || g_debug == NULL) {
		perror(argv[0]);
		return 2;
	}
	return cmocka_run_group_tests(tests, set_up, NULL);
}
