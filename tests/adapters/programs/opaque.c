/* SPDX-License-Identifier: Apache-2.0
 *
 * A hand-made extension module with types that keep objects and do not tell the
 * collector, each in its own way; and one that does it right.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

/* The members of every type here; what is used of them differs. */
struct holder {
	PyObject_HEAD PyObject *held; /* owned */
	PyObject *owner;              /* borrowed */
};

static PyObject *s_known; /* borrowed by the module's C code */
static PyObject *s_kept;  /* owned by it */
static struct {
	long number;
	PyObject *kept; /* owned */
} * s_state;

static int holder_init(PyObject *self, PyObject *args, PyObject *keywords)
{
	struct holder *holder = (struct holder *)self;

	if (!PyArg_ParseTuple(args, "|O", &holder->held))
		return -1;
	Py_XINCREF(holder->held);
	return 0;
}

static void holder_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	if (s_known == self)
		s_known = NULL;
	if (PyType_IS_GC(type))
		PyObject_GC_UnTrack(self);
	Py_CLEAR(((struct holder *)self)->held);
	type->tp_free(self);
	if (type->tp_flags & Py_TPFLAGS_HEAPTYPE)
		Py_DECREF(type);
}

static PyObject *holder_hold(PyObject *self, PyObject *object)
{
	Py_INCREF(object);
	Py_XSETREF(((struct holder *)self)->held, object);
	Py_RETURN_NONE;
}

static PyObject *holder_set_owner(PyObject *self, PyObject *object)
{
	((struct holder *)self)->owner = object;
	Py_RETURN_NONE;
}

static PyMethodDef holder_methods[] = {
	{"hold", holder_hold, METH_O, NULL},
	{"set_owner", holder_set_owner, METH_O, NULL},
	{NULL, NULL, 0, NULL},
};

static PyMemberDef holder_members[] = {
	{"held", T_OBJECT, offsetof(struct holder, held), READONLY, NULL},
	{NULL, 0, 0, 0, NULL},
};

/* Static, no Py_TPFLAGS_HAVE_GC. */
static PyTypeObject box_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "opaque.Box",
	.tp_basicsize = sizeof(struct holder),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.tp_new = PyType_GenericNew,
	.tp_init = holder_init,
	.tp_dealloc = holder_dealloc,
	.tp_methods = holder_methods,
	.tp_members = holder_members,
};

/* A second one, whose field has no name. */
static PyTypeObject crate_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "opaque.Crate",
	.tp_basicsize = sizeof(struct holder),
	.tp_flags = Py_TPFLAGS_DEFAULT,
	.tp_new = PyType_GenericNew,
	.tp_init = holder_init,
	.tp_dealloc = holder_dealloc,
	.tp_methods = holder_methods,
};

/* Made at run time, no Py_TPFLAGS_HAVE_GC. */
static PyType_Slot heap_slots[] = {
	{Py_tp_new, PyType_GenericNew},  {Py_tp_init, holder_init},       {Py_tp_dealloc, holder_dealloc},
	{Py_tp_methods, holder_methods}, {Py_tp_members, holder_members}, {0, NULL},
};
static PyType_Spec heap_spec = {"opaque.HeapBox", sizeof(struct holder), 0, Py_TPFLAGS_DEFAULT, heap_slots};

/* On the collector's lists, with a tp_traverse that leaves the field out. */
static int forgetful_traverse(PyObject *self, visitproc visit, void *arg)
{
	Py_VISIT(Py_TYPE(self));
	return 0;
}
static PyType_Slot forgetful_slots[] = {
	{Py_tp_new, PyType_GenericNew},       {Py_tp_init, holder_init},
	{Py_tp_dealloc, holder_dealloc},      {Py_tp_methods, holder_methods},
	{Py_tp_traverse, forgetful_traverse}, {0, NULL},
};
static PyType_Spec forgetful_spec = {"opaque.Forgetful", sizeof(struct holder), 0,
				     Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, forgetful_slots};

/* As it should be. */
static int honest_traverse(PyObject *self, visitproc visit, void *arg)
{
	Py_VISIT(Py_TYPE(self));
	Py_VISIT(((struct holder *)self)->held);
	return 0;
}
static int honest_clear(PyObject *self)
{
	Py_CLEAR(((struct holder *)self)->held);
	return 0;
}
static PyType_Slot honest_slots[] = {
	{Py_tp_new, PyType_GenericNew},
	{Py_tp_init, holder_init},
	{Py_tp_dealloc, holder_dealloc},
	{Py_tp_methods, holder_methods},
	{Py_tp_traverse, honest_traverse},
	{Py_tp_clear, honest_clear},
	{0, NULL},
};
static PyType_Spec honest_spec = {"opaque.Honest", sizeof(struct holder), 0,
				  Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, honest_slots};

static PyObject *keep(PyObject *module, PyObject *object)
{
	Py_INCREF(object);
	Py_XSETREF(s_kept, object);
	Py_RETURN_NONE;
}

static PyObject *keep_in_block(PyObject *module, PyObject *object)
{
	if (s_state == NULL)
		s_state = calloc(1, sizeof(*s_state));
	if (s_state == NULL)
		return PyErr_NoMemory();
	Py_INCREF(object);
	Py_XSETREF(s_state->kept, object);
	Py_RETURN_NONE;
}

static PyObject *know(PyObject *module, PyObject *object)
{
	s_known = object;
	Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
	{"keep", keep, METH_O, "C code holds the object"},
	{"keep_in_block", keep_in_block, METH_O, "the same, by memory of its own"},
	{"know", know, METH_O, "C code has a pointer to the object and does not hold it"},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "opaque", .m_size = -1,
					.m_methods = functions};

static int add_heap_type(PyObject *module, PyType_Spec *spec, const char *name)
{
	PyObject *type = PyType_FromSpec(spec);

	return type == NULL ? -1 : PyModule_AddObject(module, name, type);
}

PyMODINIT_FUNC PyInit_opaque(void);

PyMODINIT_FUNC PyInit_opaque(void)
{
	PyObject *module = PyModule_Create(&definition);

	if (module == NULL || PyModule_AddType(module, &box_type) < 0 ||
	    PyModule_AddType(module, &crate_type) < 0 || add_heap_type(module, &heap_spec, "HeapBox") < 0 ||
	    add_heap_type(module, &forgetful_spec, "Forgetful") < 0 ||
	    add_heap_type(module, &honest_spec, "Honest") < 0)
		return NULL;
	return module;
}
