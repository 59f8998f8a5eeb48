/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of fields in GObject's and GStreamer's own structures, which no trace has
 * names for, and what a programmer can do about a reference there.
 */
#ifndef GOBJECT_FIELDS_H
#define GOBJECT_FIELDS_H

#include "advice_python.h"
#include "graph.h"

#define GOBJECT_CONNECT "connect with g_signal_connect_object(), or let %s refer weakly"
#define GOBJECT_LEAVE   "look before %s in the cycle"
#define GOBJECT_DATA    "drop what is in %s before the object is let go of, or let it refer weakly"

/* "*": any object.  X(type of the owner, offset, name, rank, action, why) */
#define GOBJECT_FIELDS(X)                                                                        \
	X("signal handler", 40, "closure", FIXED, GOBJECT_LEAVE, "is part of a signal handler")  \
	X("GClosure", 16, "data", BEST, GOBJECT_CONNECT,                                         \
	  "is the data of a handler, which owns it as long as it is connected")                  \
	X("GClosure", 32, "callback", BEST, GOBJECT_CONNECT,                                     \
	  "is the function of a handler, with all that it captured, as long as it is connected") \
	X("*", 16, "qdata", LATE, GOBJECT_DATA, "is the data that was attached to the object")

/* NULL where there is no name. */
const char *gobject_field_name(const struct graph *graph, uint32_t from, const struct graph_edge *edge);

/* False where there is none. */
bool gobject_field_advice(const struct graph *graph, uint32_t from, const struct graph_edge *edge,
			  struct python_advice *ret);

#endif
