/* SPDX-License-Identifier: Apache-2.0
 *
 * Small traces that together hold every chunk type, every event and every way
 * to write them: what mutations start from.
 */
#ifndef SEEDS_H
#define SEEDS_H

#include "trace_builder.h"

/* X(name) */
#define SEEDS(X)       \
	X(events)      \
	X(threads)     \
	X(snapshot)    \
	X(inherit)     \
	X(live)        \
	X(rotated)     \
	X(failed_exec) \
	X(scan)        \
	X(twice)       \
	X(hidden)

#define X(name) struct builder *seed_##name(bool compress);
SEEDS(X)
#undef X

#endif
