/* SPDX-License-Identifier: Apache-2.0
 *
 * What GObject's type system knows.  Runs in a thread of the target with the
 * guard held, at a moment when that thread is in none of GLib's functions: the
 * calls take GLib's locks for a short time.  Two tables take turns, because a
 * snapshot may be made while one is being filled.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "../arena.h"
#include "../emit.h"
#include "../rawio.h"
#include "../resolve.h"
#include "../stack.h"
#include "adapter.h"
#include "gobject.h"

#define FUNDAMENTAL_OBJECT (20ul << 2)
#define FUNDAMENTAL_PARAM  (19ul << 2)
#define DEPTH_MAX          64u

struct type_query {
	unsigned long type;
	const char *name;
	unsigned class_size, instance_size;
};

static struct {
	unsigned long *(*g_type_children)(unsigned long type, unsigned *count);
	void *(*g_type_class_peek)(unsigned long type);
	void (*g_type_query)(unsigned long type, struct type_query *query);
	unsigned (*g_quark_try_string)(const char *text);
	void (*g_free)(void *memory);
	void *g_nullify_pointer;
	const unsigned *version[3];
} s_glib;

static struct gobject_types *s_tables[2];
static struct gobject_types *s_current;
static bool s_busy;
static uint32_t s_glib_module; /* of a GLib that was there before main, else 0 */

const struct gobject_types *gobject_types_get(void)
{
	return __atomic_load_n(&s_current, __ATOMIC_ACQUIRE);
}

/* RTLD_DEFAULT does not see libraries that came with a private plug-in. */
static void *open_library(const char *name)
{
	return g_real.dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
}

static bool load_from(void *gobject, void *glib)
{
	*(void **)&s_glib.g_type_children = dlsym(gobject, "g_type_children");
	*(void **)&s_glib.g_type_class_peek = dlsym(gobject, "g_type_class_peek");
	*(void **)&s_glib.g_type_query = dlsym(gobject, "g_type_query");
	*(void **)&s_glib.g_quark_try_string = dlsym(glib, "g_quark_try_string");
	*(void **)&s_glib.g_free = dlsym(glib, "g_free");
	s_glib.g_nullify_pointer = dlsym(glib, "g_nullify_pointer");
	s_glib.version[0] = dlsym(glib, "glib_major_version");
	s_glib.version[1] = dlsym(glib, "glib_minor_version");
	s_glib.version[2] = dlsym(glib, "glib_micro_version");
	return s_glib.g_type_children != NULL && s_glib.g_type_class_peek != NULL &&
	       s_glib.g_type_query != NULL && s_glib.g_quark_try_string != NULL && s_glib.g_free != NULL;
}

static bool load(void)
{
	void *gobject = open_library("libgobject-2.0.so.0");
	void *glib = open_library("libglib-2.0.so.0");
	/* Linked into the program, perhaps. */
	bool loaded = load_from(gobject != NULL ? gobject : RTLD_DEFAULT, glib != NULL ? glib : RTLD_DEFAULT);

	if (gobject != NULL)
		(void)g_real.dlclose(gobject);
	if (glib != NULL)
		(void)g_real.dlclose(glib);
	adapter_forget_error();
	return loaded;
}

void gobject_types_link(void)
{
	uintptr_t bias;

	if (load())
		s_glib_module = modules_find((uintptr_t) * (void **)&s_glib.g_quark_try_string, &bias);
}

bool gobject_types_linked(void)
{
	return s_glib_module != 0;
}

bool gobject_types_is_glib(uintptr_t pc)
{
	uintptr_t bias;

	return modules_find(pc, &bias) == s_glib_module;
}

/* An abstract type, or one without an instance yet, has no class. */
static void add_type(struct gobject_types *types, unsigned long fundamental, unsigned long type)
{
	struct type_query query = {0};
	const unsigned long *class = s_glib.g_type_class_peek(type);
	struct gobject_type *entry = &types->type[types->count];

	s_glib.g_type_query(type, &query);
	if (class == NULL || *class != type || query.name == NULL || query.instance_size < GOBJECT_SIZE)
		return;
	entry->class = (uintptr_t) class;
	entry->size = fundamental == FUNDAMENTAL_OBJECT ? query.instance_size : 0;
	entry->name = strings_intern(query.name, strlen(query.name));
	types->count++;
}

/* Depth first, children in their order; false when it is too deep or too much. */
static bool walk(struct gobject_types *types, unsigned long fundamental)
{
	struct {
		unsigned long *types;
		unsigned count, next;
	} level[DEPTH_MAX];
	unsigned depth = 1;
	bool whole = true;

	add_type(types, fundamental, fundamental);
	level[0].types = s_glib.g_type_children(fundamental, &level[0].count);
	level[0].next = 0;
	while (depth > 0) {
		unsigned long type;

		if (level[depth - 1].next == level[depth - 1].count) {
			s_glib.g_free(level[--depth].types);
			continue;
		}
		type = level[depth - 1].types[level[depth - 1].next++];
		if (types->count == GOBJECT_TYPES || depth == DEPTH_MAX) {
			whole = false;
			continue;
		}
		add_type(types, fundamental, type);
		level[depth].types = s_glib.g_type_children(type, &level[depth].count);
		level[depth++].next = 0;
	}
	return whole;
}

static void collect_quarks(struct gobject_types *types)
{
#define X(name, text) types->quark[GOBJECT_QUARK_##name] = s_glib.g_quark_try_string(text);
	GOBJECT_QUARKS(X)
#undef X
}

static bool is_known_layout(void)
{
	struct type_query query = {0};

	s_glib.g_type_query(FUNDAMENTAL_OBJECT, &query);
	return query.name != NULL && strcmp(query.name, "GObject") == 0 &&
	       query.instance_size == GOBJECT_SIZE;
}

static void name_version(struct gobject_types *types)
{
	struct rawio_text text;

	rawio_text_begin(&text, types->version, sizeof(types->version));
	for (unsigned i = 0; i < 3 && s_glib.version[i] != NULL; i++) {
		rawio_text_put(&text, i > 0 ? "." : "");
		rawio_text_put_number(&text, *s_glib.version[i]);
	}
}

/* Before 2.76, small blocks came from slabs of GLib's own. */
static void check_slices(void)
{
	const char *setting = getenv("G_SLICE");

	if (s_glib.version[0] == NULL || s_glib.version[1] == NULL || *s_glib.version[0] > 2 ||
	    *s_glib.version[1] >= 76 || (setting != NULL && strstr(setting, "always-malloc") != NULL))
		return;
	limits_count(
		CASTAWAY_LIMIT_ADAPTER_OFF, 1,
		"gobject: most objects are not seen unless the program starts with G_SLICE=always-malloc");
}

/* NULL when there is no memory. */
static struct gobject_types *spare_table(void)
{
	struct gobject_types **spare = &s_tables[s_tables[0] != NULL && s_tables[0] == s_current];

	if (*spare == NULL)
		*spare = arena_map(sizeof(**spare));
	return *spare;
}

static void collect(void)
{
	struct gobject_types *types;
	uintptr_t bias;

	if (!gobject_types_linked() && !load())
		return;
	if (!is_known_layout()) {
		limits_count(CASTAWAY_LIMIT_ADAPTER_OFF, 1, "gobject: objects have an unknown layout");
		return;
	}
	types = spare_table();
	if (types == NULL)
		return;
	types->count = 0;
	if (!walk(types, FUNDAMENTAL_OBJECT) || !walk(types, FUNDAMENTAL_PARAM))
		limits_count(CASTAWAY_LIMIT_ADAPTER_OFF, 1, "gobject: more types than are looked at");
	collect_quarks(types);
	types->nullify = (uintptr_t)s_glib.g_nullify_pointer;
	name_version(types);
	check_slices();
	types->handler_name = strings_intern("signal handler", 14);
	types->closure_name = strings_intern("GClosure", 8);
	types->binding_name = strings_intern("GBinding", 8);
	types->module = modules_find((uintptr_t) * (void **)&s_glib.g_type_children, &bias);
	__atomic_store_n(&s_current, types, __ATOMIC_RELEASE);
}

void gobject_types_collect(void)
{
	if (__atomic_exchange_n(&s_busy, true, __ATOMIC_ACQUIRE))
		return;
	collect();
	__atomic_store_n(&s_busy, false, __ATOMIC_RELEASE);
}
