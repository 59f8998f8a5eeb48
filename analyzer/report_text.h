/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the text report: report_text.c has the page,
 * report_text_finding.c one finding, report_text_leak.c one leak.
 */
#ifndef REPORT_TEXT_H
#define REPORT_TEXT_H

#include "report_place.h"
#include "textout.h"

struct report_text {
	struct textout out;
	struct report_model model;
};

void report_text_finding(struct report_text *report, size_t number, const struct finding *finding);

/* One kind of leak. */
void report_text_leak(struct report_text *report, const struct leak *leak);

/* The same as malloc'ed texts without colour, for formats that show them whole;
 * NULL when there is no memory. */
char *report_text_of_finding(const struct report_model *model, size_t number, const struct finding *finding);
char *report_text_of_leak(const struct report_model *model, const struct leak *leak);

/* "3 x Parent, Child: 6 objects, 192 B; make `Child.parent` weak"; malloc'ed. */
char *report_text_line(const struct report_model *model, const struct finding *finding);
char *report_text_leak_line(const struct report_model *model, const struct leak *leak);

/* The frames of a stack, one a line, without those of castaway and of the
 * start of the program. */
void report_text_stack(struct report_text *report, unsigned indent, uint32_t stack);

#endif
