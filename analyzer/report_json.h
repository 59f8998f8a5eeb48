/* SPDX-License-Identifier: Apache-2.0
 *
 * The halves of the JSON report: report_json.c has the frame of it,
 * report_json_structures.c the findings.
 */
#ifndef REPORT_JSON_H
#define REPORT_JSON_H

#include "jsontext.h"
#include "report_model.h"

void report_json_stack(struct jsontext *json, const char *key, const struct report_model *model,
		       uint32_t stack);
void report_json_fingerprint(struct jsontext *json, uint64_t fingerprint);
void report_json_structures(struct jsontext *json, struct report_model *model);

#endif
