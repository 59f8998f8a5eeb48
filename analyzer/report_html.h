/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the HTML report.
 */
#ifndef REPORT_HTML_H
#define REPORT_HTML_H

#include "report_model.h"

/* One cycle of the structure in hand as an SVG element; nothing where there is
 * no cycle, or one too long for a picture. */
void report_html_cycle(FILE *out, const struct report_model *model, const struct finding *finding);

#endif
