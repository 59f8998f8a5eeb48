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
#include <time.h>

#include "../arena.h"
#include "../emit.h"
#include "../guard.h"
#include "../hook_gobject.h"
#include "../rawio.h"
#include "../resolve.h"
#include "../stack.h"
#include "adapter.h"
#include "gobject.h"

#define FUNDAMENTAL_OBJECT (20ul << 2)
#define FUNDAMENTAL_PARAM  (19ul << 2)
#define FUNDAMENTAL_BOXED  (18ul << 2)
#define FUNDAMENTALS_END   (256ul << 2) /* smaller numbers are no addresses */
#define DEPTH_MAX          64u
#define PATIENCE_NS        UINT64_C(500000000)

struct type_query {
	unsigned long type;
	const char *name;
	unsigned class_size, instance_size;
};

static struct {
	unsigned long *(*g_type_children)(unsigned long type, unsigned *count);
	void *(*g_type_class_peek)(unsigned long type);
	void (*g_type_query)(unsigned long type, struct type_query *query);
	const char *(*g_type_name)(unsigned long type);
	unsigned (*g_quark_try_string)(const char *text);
	void (*g_free)(void *memory);
	void *g_nullify_pointer;
	const unsigned *version[3];
	void (*gst_version)(unsigned *major, unsigned *minor, unsigned *micro, unsigned *nano);
} s_glib;

static bool s_look_again;

static struct gobject_types *s_tables[2];
static struct gobject_types *s_current;
static uint32_t s_owner;       /* futex: the thread that collects, 0 = none */
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
	*(void **)&s_glib.g_type_name = dlsym(gobject, "g_type_name");
	*(void **)&s_glib.g_quark_try_string = dlsym(glib, "g_quark_try_string");
	*(void **)&s_glib.g_free = dlsym(glib, "g_free");
	s_glib.g_nullify_pointer = dlsym(glib, "g_nullify_pointer");
	s_glib.version[0] = dlsym(glib, "glib_major_version");
	s_glib.version[1] = dlsym(glib, "glib_minor_version");
	s_glib.version[2] = dlsym(glib, "glib_micro_version");
	return s_glib.g_type_children != NULL && s_glib.g_type_class_peek != NULL &&
	       s_glib.g_type_query != NULL && s_glib.g_type_name != NULL &&
	       s_glib.g_quark_try_string != NULL && s_glib.g_free != NULL;
}

static void load_gst(void)
{
	void *gst = open_library("libgstreamer-1.0.so.0");

	*(void **)&s_glib.gst_version = dlsym(gst != NULL ? gst : RTLD_DEFAULT, "gst_version");
	if (gst != NULL)
		(void)g_real.dlclose(gst);
}

void gobject_types_look_again(void)
{
	__atomic_store_n(&s_look_again, true, __ATOMIC_RELAXED);
}

static bool load_all(void)
{
	void *gobject = open_library("libgobject-2.0.so.0");
	void *glib = open_library("libglib-2.0.so.0");
	/* Linked into the program, perhaps. */
	bool loaded = load_from(gobject != NULL ? gobject : RTLD_DEFAULT, glib != NULL ? glib : RTLD_DEFAULT);

	if (gobject != NULL)
		(void)g_real.dlclose(gobject);
	if (glib != NULL)
		(void)g_real.dlclose(glib);
	if (loaded)
		load_gst();
	adapter_forget_error();
	return loaded;
}

static bool load(void)
{
	const unsigned depth = guard_suspend();
	const bool loaded = load_all();

	guard_resume(depth);
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

bool gobject_types_loaded(void)
{
	return gobject_types_linked() || hook_gobject_used();
}

bool gobject_types_is_glib(uintptr_t pc)
{
	uintptr_t bias;

	return modules_find(pc, &bias) == s_glib_module;
}

/* Returns what descendants have as their ancestor.  An abstract type, or one
 * without an instance yet, has no class. */
static uint16_t add_type(struct gobject_types *types, enum gobject_kind kind, unsigned long type,
			 uint16_t ancestor)
{
	struct type_query query = {0};
	const unsigned long *class = s_glib.g_type_class_peek(type);
	struct gobject_type *entry = &types->type[types->count];

	s_glib.g_type_query(type, &query);
	if (class == NULL || *class != type || query.name == NULL || query.instance_size < GOBJECT_SIZE)
		return ancestor;
	*entry = (struct gobject_type){
		.class = (uintptr_t) class,
		.size = kind == GOBJECT_INSTANCE ? query.instance_size : 0,
		.name = strings_intern(query.name, strlen(query.name)),
		.ancestor = ancestor,
		.kind = (uint8_t)kind,
	};
	return (uint16_t)++types->count;
}

/* A GstMiniObject begins with its type, which is the address of a description. */
static void add_boxed(struct gobject_types *types, unsigned long type)
{
	const char *name = s_glib.g_type_name(type);

	if (name == NULL || type < FUNDAMENTALS_END)
		return;
	types->type[types->count++] = (struct gobject_type){
		.class = type, .name = strings_intern(name, strlen(name)), .kind = GOBJECT_MINI};
}

static bool collect_boxed(struct gobject_types *types)
{
	unsigned count = 0;
	unsigned long *children = s_glib.g_type_children(FUNDAMENTAL_BOXED, &count);
	bool whole = types->count + count <= GOBJECT_TYPES;

	for (unsigned i = 0; whole && i < count; i++)
		add_boxed(types, children[i]);
	s_glib.g_free(children);
	return whole;
}

/* Depth first, children in their order; false when it is too deep or too much. */
static bool walk(struct gobject_types *types, enum gobject_kind kind, unsigned long fundamental)
{
	struct {
		unsigned long *types;
		unsigned count, next;
		uint16_t ancestor;
	} level[DEPTH_MAX];
	unsigned depth = 1;
	bool whole = true;

	level[0].ancestor = add_type(types, kind, fundamental, 0);
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
		level[depth].ancestor = add_type(types, kind, type, level[depth - 1].ancestor);
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

static void name_gst_version(struct gobject_types *types)
{
	struct rawio_text text;
	unsigned version[4] = {0};

	rawio_text_begin(&text, types->gst_version, sizeof(types->gst_version));
	if (s_glib.gst_version == NULL)
		return;
	s_glib.gst_version(&version[0], &version[1], &version[2], &version[3]);
	for (unsigned i = 0; i < 3; i++) {
		rawio_text_put(&text, i > 0 ? "." : "");
		rawio_text_put_number(&text, version[i]);
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
	if (s_glib.gst_version == NULL && __atomic_exchange_n(&s_look_again, false, __ATOMIC_RELAXED)) {
		const unsigned depth = guard_suspend();

		load_gst();
		adapter_forget_error();
		guard_resume(depth);
	}
	if (!walk(types, GOBJECT_INSTANCE, FUNDAMENTAL_OBJECT) ||
	    !walk(types, GOBJECT_PARAM, FUNDAMENTAL_PARAM) ||
	    (s_glib.gst_version != NULL && !collect_boxed(types)))
		limits_count(CASTAWAY_LIMIT_ADAPTER_OFF, 1, "gobject: more types than are looked at");
	collect_quarks(types);
	types->nullify = (uintptr_t)s_glib.g_nullify_pointer;
	name_version(types);
	name_gst_version(types);
	check_slices();
	types->handler_name = strings_intern("signal handler", 14);
	types->closure_name = strings_intern("GClosure", 8);
	types->binding_name = strings_intern("GBinding", 8);
	types->gst_object = strings_intern("GstObject", 9);
	types->gst_pad = strings_intern("GstPad", 6);
	types->gst_bus = strings_intern("GstBus", 6);
	types->module = modules_find((uintptr_t) * (void **)&s_glib.g_type_children, &bias);
	__atomic_store_n(&s_current, types, __ATOMIC_RELEASE);
}

/* Whoever finds another thread looking is content with what that finds, unless
 * `patient`: the snapshot is to be of this moment, and the first look may be the
 * other's. */
static bool claim(bool patient)
{
	const uint32_t self = (uint32_t)rawio_tid();
	const uint64_t end = patient ? rawio_clock(CLOCK_MONOTONIC) + PATIENCE_NS : 0;

	for (;;) {
		uint32_t owner = 0;

		if (__atomic_compare_exchange_n(&s_owner, &owner, self, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return true;
		if (owner == self || rawio_clock(CLOCK_MONOTONIC) >= end)
			return false;
		(void)rawio_futex_wait(&s_owner, owner, PATIENCE_NS / 10);
	}
}

void gobject_types_collect(bool patient)
{
	if (!claim(patient)) {
		if (patient && gobject_types_get() == NULL)
			limits_count(CASTAWAY_LIMIT_ADAPTER_OFF, 1,
				     "gobject: another thread did not come to an end with its types");
		return;
	}
	collect();
	__atomic_store_n(&s_owner, 0, __ATOMIC_RELEASE);
	rawio_futex_wake(&s_owner);
}
