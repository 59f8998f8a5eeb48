/* SPDX-License-Identifier: Apache-2.0
 *
 * Words in field names (or, where fields have no names, in the names of the
 * owning types) which say that a reference leads back.  Best first: what is
 * almost always meant as a back reference before what merely often is.
 */
#ifndef ADVICE_HINTS_H
#define ADVICE_HINTS_H

/* X(word, what such a reference does) */
#define ADVICE_HINTS(X)                                \
	X("parent", "points back to the parent")       \
	X("owner", "points back to the owner")         \
	X("backref", "is a back reference")            \
	X("back", "points back")                       \
	X("up", "points upwards")                      \
	X("prev", "points to the previous one")        \
	X("previous", "points to the previous one")    \
	X("container", "points back to the container") \
	X("outer", "points outwards")                  \
	X("root", "points back to the root")           \
	X("delegate", "names a delegate")              \
	X("observer", "names an observer")             \
	X("listener", "names a listener")              \
	X("subscriber", "names a subscriber")          \
	X("callback", "belongs to a callback")         \
	X("closure", "is captured by a closure")       \
	X("cell", "is captured by a closure")          \
	X("self", "refers to the object itself")       \
	X("this", "refers to the object itself")       \
	X("target", "names a target")                  \
	X("handler", "belongs to a handler")           \
	X("userdata", "is the data of a callback")     \
	X("context", "refers to the context")          \
	X("frame", "is held by a stack frame")         \
	X("traceback", "is held by a traceback")       \
	X("cache", "is kept by a cache")

#endif
