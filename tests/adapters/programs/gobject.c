/* SPDX-License-Identifier: Apache-2.0
 *
 * Cycles of GObject references, one kind per run: `gobject KIND strand` leaves
 * the cycle behind, `break` takes it apart before it lets go, `keep` holds on to
 * it, `mask` leaves it behind with pointers to it that hold nothing, `serve` runs a
 * main loop besides, until its input ends.
 */
#include <gio/gio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a type with a reference in its private data --------------------------------- */

typedef struct {
	GObject parent;
} Node;
typedef GObjectClass NodeClass;
typedef struct {
	int padding[10];
	GObject *other;
	char *label;
} NodePrivate;

GType node_get_type(void);
G_DEFINE_TYPE_WITH_PRIVATE(Node, node, G_TYPE_OBJECT)

enum { PROPERTY_LABEL = 1 };

static NodePrivate *private_of(void *node)
{
	return node_get_instance_private(node);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
	(void)id;
	(void)spec;
	g_value_set_string(value, private_of(object)->label);
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
	(void)id;
	g_free(private_of(object)->label);
	private_of(object)->label = g_value_dup_string(value);
	g_object_notify_by_pspec(object, spec);
}

static void dispose(GObject *object)
{
	g_clear_object(&private_of(object)->other);
	G_OBJECT_CLASS(node_parent_class)->dispose(object);
}

static void finalize(GObject *object)
{
	g_free(private_of(object)->label);
	G_OBJECT_CLASS(node_parent_class)->finalize(object);
}

static void node_class_init(NodeClass *class)
{
	class->get_property = get_property;
	class->set_property = set_property;
	class->dispose = dispose;
	class->finalize = finalize;
	g_object_class_install_property(
		class, PROPERTY_LABEL,
		g_param_spec_string("label", "label", "a text", NULL,
				    G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS));
	g_signal_new("ping", G_TYPE_FROM_CLASS(class), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE,
		     0);
}

static void node_init(Node *node)
{
	private_of(node)->label = g_strdup("node");
}

static void *new_node(void)
{
	return g_object_new(node_get_type(), NULL);
}

static void point(void *from, void *to)
{
	g_set_object(&private_of(from)->other, to);
}

/* ---- kinds: what each returns is let go of, and keeps itself if it is not broken ---- */

static GObject *g_live; /* an object that the program holds, with its own handlers */

static void on_ping(GObject *object, gpointer data)
{
	(void)object;
	(void)data;
}

static GObject *pair(void)
{
	GObject *a = new_node(), *b = new_node();

	point(a, b);
	point(b, a);
	g_object_unref(b);
	return a;
}

static void break_pair(GObject *a)
{
	point(a, NULL);
}

static void release(gpointer data, GClosure *closure)
{
	(void)closure;
	g_object_unref(data);
}

/* The handler's data holds the object that it is connected to. */
static GObject *closure(void)
{
	GObject *a = new_node();

	g_signal_connect_data(a, "ping", G_CALLBACK(on_ping), g_object_ref(a), release, 0);
	return a;
}

static void break_closure(GObject *a)
{
	g_signal_handlers_disconnect_by_data(a, a);
}

struct context {
	char padding[40];
	GObject *owner;
};

static void free_context(gpointer data, GClosure *closure)
{
	struct context *context = data;

	(void)closure;
	g_object_unref(context->owner);
	g_free(context);
}

static GObject *context(void)
{
	GObject *a = new_node();
	struct context *context = g_new0(struct context, 1);

	context->owner = g_object_ref(a);
	g_signal_connect_data(a, "ping", G_CALLBACK(on_ping), context, free_context, 0);
	return a;
}

static void break_context(GObject *a)
{
	g_signal_handlers_disconnect_matched(a, G_SIGNAL_MATCH_FUNC, 0, 0, NULL, (gpointer)on_ping, NULL);
}

/* A hash table among the object's data holds the object. */
static GObject *qdata(void)
{
	GObject *a = new_node();
	GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_object_unref);

	g_hash_table_insert(table, g_strdup("self"), g_object_ref(a));
	g_object_set_data_full(a, "table", table, (GDestroyNotify)g_hash_table_unref);
	return a;
}

static void break_qdata(GObject *a)
{
	g_object_set_data(a, "table", NULL);
}

static void free_list(gpointer list)
{
	g_list_free_full(list, g_object_unref);
}

/* A parent with a list of children, each of which holds the parent. */
static GObject *children(void)
{
	GObject *a = new_node();
	GList *list = NULL;

	for (int i = 0; i < 3; i++) {
		list = g_list_prepend(list, new_node());
		point(list->data, a);
	}
	g_object_set_data_full(a, "children", list, free_list);
	return a;
}

static void break_children(GObject *a)
{
	g_object_set_data(a, "children", NULL);
}

static GObject *store(void)
{
	GListStore *a = g_list_store_new(G_TYPE_OBJECT);
	GObject *b = new_node();

	g_list_store_append(a, b);
	point(b, a);
	g_object_unref(b);
	return G_OBJECT(a);
}

static void break_store(GObject *a)
{
	g_list_store_remove_all(G_LIST_STORE(a));
}

/* A pair, and a binding between the two, which holds neither. */
static GObject *binding(void)
{
	GObject *a = pair();

	g_object_bind_property(a, "label", private_of(a)->other, "label", G_BINDING_SYNC_CREATE);
	return a;
}

static void on_toggle(gpointer data, GObject *object, gboolean last)
{
	(void)data;
	(void)object;
	(void)last;
}

/* As a language binding does it: the other side holds the object by a toggle
 * reference, and the object holds the other side. */
static GObject *toggle(void)
{
	GObject *a = new_node(), *b = new_node();

	g_object_add_toggle_ref(a, on_toggle, b);
	private_of(b)->other = a;
	point(a, b);
	g_object_unref(b);
	return a;
}

static void break_toggle(GObject *a)
{
	GObject *b = private_of(a)->other;

	private_of(b)->other = NULL;
	g_object_remove_toggle_ref(a, on_toggle, b);
	point(a, NULL);
}

/* No cycle: somebody took a reference and forgot it. */
static GObject *forgotten(void)
{
	GObject *a = new_node(), *b = new_node();

	point(a, b);
	g_object_unref(b);
	g_object_ref(a);
	return a;
}

static void break_forgotten(GObject *a)
{
	g_object_unref(a);
}

/* ---- what points to a cycle and holds nothing -------------------------------------- */

static gpointer g_weak_pointer;
static GWeakRef g_weak_ref;

static void mask(GObject *a)
{
	gpointer *heap_pointer = g_new0(gpointer, 1);

	/* A handler of a living object whose data nobody owns. */
	g_signal_connect(g_live, "ping", G_CALLBACK(on_ping), a);
	g_signal_connect_object(g_live, "ping", G_CALLBACK(on_ping), a, 0);
	g_weak_pointer = a;
	g_object_add_weak_pointer(a, &g_weak_pointer);
	*heap_pointer = a;
	g_object_add_weak_pointer(a, heap_pointer);
	g_object_set_data_full(g_live, "weak", heap_pointer, g_free);
	g_weak_ref_init(&g_weak_ref, a);
}

static GObject *masked(void)
{
	GObject *a = closure();

	mask(a);
	return a;
}

static void unmask(GObject *a)
{
	gpointer *heap_pointer = g_object_get_data(g_live, "weak");

	g_signal_handlers_disconnect_by_data(g_live, a);
	g_object_remove_weak_pointer(a, &g_weak_pointer);
	g_object_remove_weak_pointer(a, heap_pointer);
	g_object_set_data(g_live, "weak", NULL);
	g_weak_ref_clear(&g_weak_ref);
	break_closure(a);
}

/* ---- main ----------------------------------------------------------------------------- */

static const struct kind {
	const char *name;
	GObject *(*make)(void);
	void (*break_up)(GObject *object);
} g_kinds[] = {
	{"pair", pair, break_pair},
	{"closure", closure, break_closure},
	{"context", context, break_context},
	{"qdata", qdata, break_qdata},
	{"children", children, break_children},
	{"store", store, break_store},
	{"binding", binding, break_pair},
	{"toggle", toggle, break_toggle},
	{"forgotten", forgotten, break_forgotten},
	{"masked", masked, unmask},
};

static GObject *g_kept;

static __attribute__((noinline)) void act(const struct kind *kind, const char *what)
{
	GObject *object = kind->make();

	if (strcmp(what, "keep") == 0)
		g_kept = object;
	else if (strcmp(what, "break") == 0)
		kind->break_up(object);
	else if (strcmp(what, "mask") == 0)
		mask(object);
	if (g_kept == NULL)
		g_object_unref(object);
}

/* No dead pointer shall lie in what the stack is used for from here on. */
static __attribute__((noinline)) void clear_stack(void)
{
	char bytes[32768];

	memset(bytes, 0, sizeof(bytes));
	__asm__ volatile("" : : "r"(bytes) : "memory");
}

static gboolean on_input(GIOChannel *channel, GIOCondition condition, gpointer loop)
{
	(void)channel;
	(void)condition;
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

/* Says who it is when the loop has nothing else to do. */
static gboolean on_idle(gpointer data)
{
	(void)data;
	printf("%d\n", (int)getpid());
	fflush(stdout);
	return G_SOURCE_REMOVE;
}

static void serve(void)
{
	GMainLoop *loop = g_main_loop_new(NULL, FALSE);
	GIOChannel *input = g_io_channel_unix_new(0);

	g_io_add_watch(input, G_IO_IN | G_IO_HUP, on_input, loop);
	g_idle_add(on_idle, NULL);
	g_main_loop_run(loop);
	g_io_channel_unref(input);
	g_main_loop_unref(loop);
}

int main(int argc, char **argv)
{
	g_live = new_node();
	g_signal_connect(g_live, "ping", G_CALLBACK(on_ping), NULL);
	for (size_t i = 0; argc == 3 && i < G_N_ELEMENTS(g_kinds); i++) {
		if (strcmp(argv[1], g_kinds[i].name) != 0)
			continue;
		act(&g_kinds[i], argv[2]);
		clear_stack();
		if (strcmp(argv[2], "serve") == 0)
			serve();
		return 0;
	}
	fprintf(stderr, "usage: gobject KIND strand|mask|break|keep|serve\n");
	return 2;
}
