/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole stacks, and which of their frames are the program's own.
 */
#include <stdlib.h>
#include <string.h>

#include "symbols.h"

bool symbols_is_castaway(const struct symbols_frame *frame)
{
	const char *slash = frame->module != NULL ? strrchr(frame->module, '/') : NULL;
	const char *module = slash != NULL ? slash + 1 : frame->module;

	if (module != NULL && strncmp(module, "libcastaway", 11) == 0)
		return true;
	/* The annotation header is compiled into the program itself. */
	return frame->function != NULL && strncmp(frame->function, "castaway_", 9) == 0;
}

static size_t collect(struct symbols *symbols, uint32_t node, size_t max, bool all,
		      struct symbols_frame **ret)
{
	const struct trace *trace = symbols_trace(symbols);
	struct symbols_frame *frames = NULL;
	size_t count = 0, capacity = 0;

	*ret = NULL;
	while (node != 0 && node < trace->frame_count && (max == 0 || count < max)) {
		const struct symbols_frame *found;
		size_t n = symbols_node(symbols, node, &found);
		uint32_t parent = trace->frames[node].parent;

		for (size_t i = 0; i < n && (max == 0 || count < max); i++) {
			if (!all && symbols_is_castaway(&found[i]))
				continue;
			if (count == capacity) {
				struct symbols_frame *grown;

				capacity = capacity > 0 ? capacity * 2 : 16;
				grown = reallocarray(frames, capacity, sizeof(*grown));
				if (grown == NULL)
					goto done;
				frames = grown;
			}
			frames[count++] = found[i];
		}
		if (parent >= node) /* parents have smaller numbers; anything else is damage */
			break;
		node = parent;
	}
done:
	*ret = frames;
	return count;
}

size_t symbols_stack(struct symbols *symbols, uint32_t node, size_t max, struct symbols_frame **ret)
{
	return collect(symbols, node, max, true, ret);
}

size_t symbols_program_stack(struct symbols *symbols, uint32_t node, size_t max, struct symbols_frame **ret)
{
	return collect(symbols, node, max, false, ret);
}
