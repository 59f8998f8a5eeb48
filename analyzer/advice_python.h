/* SPDX-License-Identifier: Apache-2.0
 *
 * What a Python programmer can do about a reference, by the types at its ends
 * and its field.  A bound method cannot hold its object weakly, nor a class its
 * own order of bases: advice to do so would be worth nothing.
 */
#ifndef ADVICE_PYTHON_H
#define ADVICE_PYTHON_H

#include <stdbool.h>

enum python_rank {
	PYTHON_BEST,  /* the place that such cycles are broken at */
	PYTHON_USUAL, /* an attribute, or what a container holds */
	PYTHON_LATE,  /* can be dropped, not made weak */
	PYTHON_FIXED, /* the interpreter's own */
};

struct python_advice {
	enum python_rank rank;
	const char *action; /* with one %s for the place; NULL: make it weak */
	const char *why;    /* NULL: as in any language */
};

#define PYTHON_METHOD "use weakref.WeakMethod for %s"
#define PYTHON_CLOSE  "close the generator that has %s"
#define PYTHON_CLEAR  "drop %s when it is done with"
#define PYTHON_CLASS  "leave %s alone and make fewer classes at run time"
#define PYTHON_OWN    "look before %s in the cycle"

/* The first that fits; NULL: any, "*": any name of the interpreter's own.
 * X(type of the owner, field, type of the target, rank, action, why) */
#define PYTHON_ADVICE(X)                                                                                    \
	X("method", NULL, NULL, FIXED, PYTHON_OWN, "is how a bound method keeps its object")                \
	X("builtin_function_or_method", NULL, NULL, FIXED, PYTHON_OWN, "is how a method keeps its object")  \
	X("type", NULL, NULL, FIXED, PYTHON_CLASS, "belongs to a class, which always keeps itself")         \
	X("abc.ABCMeta", NULL, NULL, FIXED, PYTHON_CLASS, "belongs to a class, which always keeps itself")  \
	X("getset_descriptor", NULL, NULL, FIXED, PYTHON_CLASS, "belongs to a class")                       \
	X("member_descriptor", NULL, NULL, FIXED, PYTHON_CLASS, "belongs to a class")                       \
	X("wrapper_descriptor", NULL, NULL, FIXED, PYTHON_CLASS, "belongs to a class")                      \
	X("method_descriptor", NULL, NULL, FIXED, PYTHON_CLASS, "belongs to a class")                       \
	X("cell", NULL, NULL, LATE, PYTHON_CLEAR, "is a variable that a function inside captured")          \
	X("function", NULL, NULL, FIXED, PYTHON_OWN, "is part of the function")                             \
	X("tuple", NULL, NULL, FIXED, PYTHON_OWN, "cannot change: it is in a tuple")                        \
	X("traceback", NULL, NULL, FIXED, PYTHON_OWN, "is how a traceback keeps its frames")                \
	X("frame", NULL, NULL, LATE, PYTHON_CLEAR, "is a local variable of a frame that a traceback keeps") \
	X("generator", NULL, NULL, LATE, PYTHON_CLOSE, "is a local variable of a paused generator")         \
	X("coroutine", NULL, NULL, LATE, PYTHON_CLOSE, "is a local variable of a paused coroutine")         \
	X("async_generator", NULL, NULL, LATE, PYTHON_CLOSE, "is a local variable of a paused generator")   \
	X(NULL, "__traceback__", NULL, LATE, PYTHON_CLEAR, "keeps the frames of the exception")             \
	X(NULL, "__context__", NULL, LATE, PYTHON_CLEAR, "keeps the exception before this one")             \
	X(NULL, "__cause__", NULL, LATE, PYTHON_CLEAR, "keeps the exception that caused this one")          \
	X(NULL, "__dict__", NULL, FIXED, PYTHON_OWN, "holds the attributes")                                \
	X(NULL, "*", NULL, FIXED, PYTHON_OWN, "is the interpreter's own")                                   \
	X(NULL, NULL, "method", BEST, PYTHON_METHOD, "is a bound method, which keeps its object")           \
	X(NULL, NULL, "function", USUAL, PYTHON_CLEAR, "is a function that keeps what it captured")

/* `field` is "" when it is not known. */
struct python_advice advice_python(const char *from, const char *field, const char *to);

/* "[3]": the places of a container are alike; "['key']" is one of its own. */
static inline bool advice_python_is_item(const char *field)
{
	return field[0] == '[' && field[1] != '\'';
}

#endif
