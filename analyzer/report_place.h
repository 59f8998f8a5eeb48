/* SPDX-License-Identifier: Apache-2.0
 *
 * Where in the program something was, for all report formats.
 */
#ifndef REPORT_PLACE_H
#define REPORT_PLACE_H

#include "report_model.h"

/* The frames of a stack, innermost first, without those of castaway and of the
 * start of the program.  *ret is malloc'ed; returns their number. */
size_t report_place_stack(const struct report_model *model, uint32_t stack, struct symbols_frame **ret);

/* Which of `count` > 0 frames is the program's own rather than machinery. */
size_t report_place_pick(const struct symbols_frame *frames, size_t count);

/* "parent_new at parent.c:12"; malloc'ed, NULL when there is no memory. */
char *report_place_describe(const struct symbols_frame *frame);

/* The same of the frame that is picked from a stack; NULL when there is none. */
char *report_place(const struct report_model *model, uint32_t stack);

const char *report_place_base(const char *path); /* the part after the last slash; NULL is fine */

/* printf into a malloc'ed string; NULL when there is no memory. */
char *report_place_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
