/* SPDX-License-Identifier: Apache-2.0
 *
 * A thread goes to sleep in its main loop for the first time while main ends:
 * one of them looks at the type system first, which takes long with so many types.
 */
#include <glib-object.h>
#include <stdio.h>

#define TYPES 10000u

static GObject *g_held;
static volatile int s_arrived;

static void meet(void)
{
	__atomic_add_fetch(&s_arrived, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&s_arrived, __ATOMIC_ACQUIRE) < 2)
		g_thread_yield();
}

static gpointer work(gpointer loop)
{
	meet();
	g_main_loop_run(loop);
	return NULL;
}

int main(void)
{
	GMainContext *context = g_main_context_new();

	for (unsigned i = 0; i < TYPES; i++) {
		char name[32];
		GType type;

		snprintf(name, sizeof(name), "Kind%u", i);
		type = g_type_register_static_simple(G_TYPE_OBJECT, name, sizeof(GObjectClass), NULL,
						     sizeof(GObject), NULL, 0);
		g_type_class_unref(g_type_class_ref(type));
	}
	g_held = g_object_new(g_type_from_name("Kind7"), NULL);
	g_thread_new("worker", work, g_main_loop_new(context, FALSE));
	meet();
	/* So that it is the other one, mostly. */
	for (unsigned i = 0; i < 300; i++)
		g_object_unref(g_object_new(g_type_from_name("Kind8"), NULL));
	return 0;
}
