/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the text report: report_text.c has the page,
 * report_text_finding.c one finding, report_text_place.c stacks and places.
 */
#ifndef REPORT_TEXT_H
#define REPORT_TEXT_H

#include "report_model.h"
#include "textout.h"

struct report_text {
	struct textout out;
	struct report_model model;
};

void report_text_finding(struct report_text *report, size_t number, const struct finding *finding);

/* "parent_new at parent.c:12", of the first frame that is the program's own;
 * malloc'ed, NULL when there is no stack. */
char *report_text_place(const struct report_text *report, uint32_t stack);

/* The frames of a stack, one a line, without those of castaway and of the
 * start of the program. */
void report_text_stack(struct report_text *report, unsigned indent, uint32_t stack);

/* printf into a malloc'ed string; NULL when there is no memory. */
char *report_text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
