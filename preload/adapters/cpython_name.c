/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of objects that the program's text has a name for: functions, methods,
 * classes, modules, frames, generators.  Runs where cpython_snapshot.c runs;
 * only loads.  What is no str where one is expected gives no name.
 */
#include "cpython.h"

#include <string.h>

#include "../emit.h"

#define MODULE_NAME      48
#define METHOD_FUNCTION  16
#define CFUNCTION_DEF    16 /* PyMethodDef, which begins with the name */
#define BUILTIN_NAME_MAX 256u

static uint32_t text_at(const void *object, intptr_t offset)
{
	return cpython_text_intern((const struct py_object *)py_word(object, offset));
}

static uint32_t code_name(uintptr_t code)
{
	if (code == 0 || (code & 7) != 0 || ((const struct py_object *)code)->type != g_py.PyCode_Type)
		return 0;
	return text_at((const void *)code, g_py_layout->code_name);
}

static uint32_t method_name(const struct py_object *method)
{
	const struct py_object *function = (const struct py_object *)py_word(method, METHOD_FUNCTION);

	return function != NULL && function->type == g_py.PyFunction_Type
		       ? text_at(function, g_py_layout->function_qualname)
		       : 0;
}

static uint32_t builtin_name(const struct py_object *function)
{
	const uintptr_t definition = py_word(function, CFUNCTION_DEF);
	const char *name = definition != 0 ? (const char *)py_word((const void *)definition, 0) : NULL;

	return name != NULL ? strings_intern(name, strnlen(name, BUILTIN_NAME_MAX)) : 0;
}

static uint32_t frame_name(const struct py_object *frame)
{
	const uintptr_t own = py_word(frame, PY_FRAME_OBJECT_FRAME);

	if (g_py_layout->frame_object_code != 0)
		return code_name(py_word(frame, g_py_layout->frame_object_code));
	return own != 0 ? code_name(py_word((const void *)own, g_py_layout->frame_code)) : 0;
}

static uint32_t class_name(const struct py_object *class)
{
	const struct py_type_info *info = cpython_type_info((const struct py_type *)class);

	return info != NULL ? info->name : 0;
}

uint32_t cpython_name(const struct py_object *object)
{
	const struct py_type *type = object->type;

	if (type == g_py.PyFunction_Type)
		return text_at(object, g_py_layout->function_qualname);
	if (type == g_py.PyMethod_Type)
		return method_name(object);
	if (type == g_py.PyCFunction_Type)
		return builtin_name(object);
	if (type == g_py.PyFrame_Type)
		return frame_name(object);
	if (type == g_py.PyGen_Type || type == g_py.PyCoro_Type || type == g_py.PyAsyncGen_Type)
		return text_at(object, g_py_layout->generator_qualname);
	if (type == g_py.PyModule_Type)
		return text_at(object, MODULE_NAME);
	return type->flags & PY_TYPE_TYPE ? class_name(object) : 0;
}
