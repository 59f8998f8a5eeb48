/* SPDX-License-Identifier: Apache-2.0
 *
 * Cycles of GStreamer's references: `gst KIND strand|mask|break|keep`, as gobject.c.
 */
#include <gst/gst.h>
#include <stdio.h>
#include <string.h>

/* ---- kinds: what each returns is let go of, and keeps itself if it is not broken ---- */

/* Each buffer is the other's parent: a meta that was copied back. */
static void *meta(void)
{
	GstBuffer *a = gst_buffer_new_allocate(NULL, 100, NULL),
		  *b = gst_buffer_new_allocate(NULL, 100, NULL);

	gst_buffer_add_parent_buffer_meta(a, b);
	gst_buffer_unref(b); /* with another reference it could not be changed */
	gst_buffer_add_parent_buffer_meta(b, a);
	return a;
}

static void break_meta(void *object)
{
	GstBuffer *other = gst_buffer_get_parent_buffer_meta(object)->buffer;

	gst_buffer_remove_meta(other, (GstMeta *)gst_buffer_get_parent_buffer_meta(other));
}

static void free_element(gpointer element)
{
	gst_object_unref(element);
}

/* A bin's child has the bin among its data. */
static void *bin(void)
{
	GstElement *bin = gst_object_ref_sink(gst_bin_new("outer")), *child = gst_bin_new("inner");

	gst_bin_add(GST_BIN(bin), child);
	g_object_set_data_full(G_OBJECT(child), "outer", gst_object_ref(bin), free_element);
	return bin;
}

static void break_bin(void *object)
{
	GstElement *child = gst_bin_get_by_name(object, "inner");

	g_object_set_data(G_OBJECT(child), "outer", NULL);
	gst_object_unref(child);
}

/* A message that waits in the bus that its structure holds. */
static void *bus(void)
{
	GstBus *bus = gst_bus_new();
	GstStructure *structure = gst_structure_new("loop", "bus", GST_TYPE_BUS, bus, NULL);

	gst_bus_post(bus, gst_message_new_application(NULL, structure));
	return bus;
}

static void break_bus(void *object)
{
	gst_bus_set_flushing(object, TRUE);
}

/* No cycle: a child's pointer to its parent holds nothing, and pads that are
 * linked know each other. */
static void *forgotten(void)
{
	GstElement *a = gst_object_ref_sink(gst_bin_new("a"));
	GstPad *source = gst_pad_new("source", GST_PAD_SRC), *sink = gst_pad_new("sink", GST_PAD_SINK);

	gst_element_add_pad(a, source);
	gst_element_add_pad(a, sink);
	gst_pad_link(source, sink);
	gst_object_ref(a);
	return a;
}

static void break_forgotten(void *object)
{
	gst_object_unref(object);
}

/* ---- main ----------------------------------------------------------------------------- */

static const struct kind {
	const char *name;
	void *(*make)(void);
	void (*break_up)(void *object);
	gboolean mini;
} g_kinds[] = {
	{"meta", meta, break_meta, TRUE},
	{"bin", bin, break_bin, FALSE},
	{"bus", bus, break_bus, FALSE},
	{"forgotten", forgotten, break_forgotten, FALSE},
};

static void *g_kept;
static GstElement *g_live;
static gpointer g_weak;

static void on_added(GstBin *bin, GstElement *element, gpointer data)
{
	(void)bin;
	(void)element;
	(void)data;
}

static void on_end(gpointer data, GstMiniObject *object)
{
	(void)data;
	(void)object;
}

/* Pointers that hold nothing: a handler's data, a weak pointer, a weak reference. */
static void mask(void *object, gboolean mini)
{
	g_signal_connect(g_live, "element-added", G_CALLBACK(on_added), object);
	if (mini) {
		gst_mini_object_weak_ref(object, on_end, object);
	} else {
		g_weak = object;
		g_object_add_weak_pointer(object, &g_weak);
	}
}

static __attribute__((noinline)) void act(const struct kind *kind, const char *what)
{
	void *object = kind->make();

	if (strcmp(what, "keep") == 0)
		g_kept = object;
	else if (strcmp(what, "break") == 0)
		kind->break_up(object);
	else if (strcmp(what, "mask") == 0)
		mask(object, kind->mini);
	if (g_kept != NULL)
		return;
	if (kind->mini)
		gst_mini_object_unref(object);
	else
		gst_object_unref(object);
}

/* No dead pointer shall lie in what the stack is used for from here on. */
static __attribute__((noinline)) void clear_stack(void)
{
	char bytes[32768];

	memset(bytes, 0, sizeof(bytes));
	__asm__ volatile("" : : "r"(bytes) : "memory");
}

int main(int argc, char **argv)
{
	g_setenv("GST_REGISTRY_DISABLE", "yes", TRUE);
	gst_init(NULL, NULL);
	g_live = gst_object_ref_sink(gst_bin_new("live"));
	for (size_t i = 0; argc == 3 && i < G_N_ELEMENTS(g_kinds); i++) {
		if (strcmp(argv[1], g_kinds[i].name) != 0)
			continue;
		act(&g_kinds[i], argv[2]);
		clear_stack();
		return 0;
	}
	fprintf(stderr, "usage: gst KIND strand|mask|break|keep\n");
	return 2;
}
