/* SPDX-License-Identifier: Apache-2.0
 *
 * One file per report format: report_NAME.c defines `report_NAME` and gets a
 * line in REPORT_FORMATS.
 */
#ifndef REPORT_H
#define REPORT_H

#include <stdio.h>

#include "analysis.h"

struct report_options {
	bool color;
	bool all_members;    /* --members=all */
	size_t max_frames;   /* per stack; 0 = all */
	size_t max_findings; /* text, html, dot; 0 = all */
};

struct report_model;

struct report_format {
	const char *name; /* as in --format= */
	/* Failures of `out` are seen by the caller. */
	enum error_code (*write)(struct report_model *model, FILE *out, struct error *error);
};

/* X(name) */
#define REPORT_FORMATS(X) \
	X(text)           \
	X(json)           \
	X(html)           \
	X(sarif)          \
	X(junit)          \
	X(dot)            \
	X(pprof)          \
	X(heapsnapshot)

#define X(name) extern const struct report_format report_##name;
REPORT_FORMATS(X)
#undef X

enum error_code report_write(const struct report_format *format, const struct analysis *analysis,
			     const struct report_options *options, FILE *out, struct error *error);

const struct report_format *report_find(const char *name); /* NULL = unknown */

#endif
